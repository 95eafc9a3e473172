//! The same tables laid out in several ways, behind one proxy, and whole on a server of their own: a schema each.
//! It knows where rows are to lie, and not what is asked of them.

use std::fmt::Write as _;

use shardloom::demo::cluster::{Cluster, Layout as ClusterLayout};
use shardloom::demo::install::{Installation, account};

use crate::servers::proxy::{PASSWORD, TestProxy};
use crate::servers::score::client::Client;
use crate::servers::score::data;
use crate::servers::testbed::TestCluster;

/// One way to lay out the tables; its schema has this name on the proxy, on the groups and on the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Layout {
    /// 8 shards by the key that joins people, orders and items.
    Key8,
    /// 4 shards by the same key.
    Key4,
    /// 1 shard, and not on the home group.
    Key1,
    /// 8 shards by other columns: strings of a collation, columns that may be NULL.
    Other8,
    /// 8 shards of which most have no row.
    Empty8,
    /// Copies on every group.
    Copies,
}

pub(super) const LAYOUTS: [Layout; 6] =
    [Layout::Key8, Layout::Key4, Layout::Key1, Layout::Other8, Layout::Empty8, Layout::Copies];

/// The tables that are sharded, each with its sharding column in `Other8` and with its keys there and elsewhere: a
/// unique key has to contain the sharding column.
const SHARDED: [(&str, &str, &str, &str); 6] = [
    ("people", "name", "PRIMARY KEY (id, name)", "PRIMARY KEY (id)"),
    ("orders", "id", "PRIMARY KEY (id, person)", "PRIMARY KEY (id, person)"),
    ("items", "sku", "PRIMARY KEY (order_id, line, person, sku)", "PRIMARY KEY (order_id, line, person)"),
    ("types", "owner", "PRIMARY KEY (id, owner)", "PRIMARY KEY (id)"),
    ("words", "ci", "KEY (id)", "PRIMARY KEY (id)"),
    ("members", "team", MEMBERS, MEMBERS),
];

/// The keys of `members`, which lookups keep where shards cannot.
const MEMBERS: &str = "PRIMARY KEY (id), UNIQUE KEY email (email), UNIQUE KEY of_nick (nick, num)";

impl Layout {
    pub(super) fn schema(self) -> &'static str {
        match self {
            Layout::Key8 => "key8",
            Layout::Key4 => "key4",
            Layout::Key1 => "key1",
            Layout::Other8 => "other8",
            Layout::Empty8 => "empty8",
            Layout::Copies => "copies",
        }
    }

    fn rules(self) -> String {
        let schema = self.schema();
        let head = format!("[schema.{schema}]\nhome = \"g0\"\n");
        let table = "table = \"{table}_{shard:02}\"\n";
        let tables = |lines: &str| {
            format!("[schema.{schema}.table]\n{lines}codes = {{ broadcast = true }}\nlogs = {{ group = \"g1\" }}\n")
        };
        let by_key = |method: &str, groups: &str| {
            let family = |name: &str, column: &str| {
                format!(
                    "[schema.{schema}.family.{name}]\ncolumn = \"{column}\"\nmethod = {{ {method} }}\n\
                     groups = [{groups}]\n{table}"
                )
            };
            let lines = "people = { family = \"by_person\", column = \"id\" }\norders = { family = \"by_person\" }\n\
                         items = { family = \"by_person\" }\ntypes = { family = \"by_id\" }\n\
                         words = { family = \"by_id\" }\nfresh = { family = \"by_person\" }\n\
                         fresh2 = { family = \"by_person\" }\nfresh_copy = { broadcast = true }\n\
                         members_id = { broadcast = true }\n";
            let members = members(&["members_email", "members_nick"], "by_id");
            let families = [family("by_person", "person"), family("by_id", "id"), by_value(schema)].concat();
            format!("{head}{families}{}", tables(&format!("{lines}{members}")))
        };
        match self {
            Layout::Key8 => by_key("hash = 8", "\"g0\", \"g1\""),
            Layout::Key4 => by_key("mod = 4", "\"g0\", \"g1\""),
            Layout::Key1 => by_key("hash = 1", "\"g1\""),
            Layout::Empty8 => by_key("range = [-100, 3, 4, 500, 900, 5000, 9000]", "\"g0\", \"g1\""),
            Layout::Other8 => {
                // Tables that only statements of the corpora create.
                let mut text = format!(
                    "{head}[schema.{schema}.family.by_fresh]\ncolumn = \"person\"\nmethod = {{ hash = 8 }}\n\
                     groups = [\"g0\", \"g1\"]\n{table}"
                );
                let mut lines = "fresh = { family = \"by_fresh\" }\nfresh2 = { family = \"by_fresh\" }\n\
                                 fresh_copy = { broadcast = true }\n"
                    .to_owned();
                for (name, column, ..) in SHARDED {
                    write!(
                        text,
                        "[schema.{schema}.family.by_{name}]\ncolumn = \"{column}\"\nmethod = {{ hash = 8 }}\n\
                         groups = [\"g0\", \"g1\"]\n{table}"
                    )
                    .unwrap();
                    if name != "members" {
                        writeln!(lines, "{name} = {{ family = \"by_{name}\" }}").unwrap();
                    }
                }
                text += &by_value(schema);
                lines += &members(&["members_email", "members_nick", "members_id"], "by_members");
                text + &tables(&lines)
            }
            Layout::Copies => {
                let lines: String =
                    SHARDED.iter().map(|(name, ..)| format!("{name} = {{ broadcast = true }}\n")).collect();
                let more = ["fresh", "fresh2", "fresh_copy", "members_email", "members_nick", "members_id"];
                let fresh = more.map(|name| format!("{name} = {{ broadcast = true }}\n"));
                head + &tables(&(lines + &fresh.concat()))
            }
        }
    }

    /// Shards of the sharded tables, group by group.
    fn shards(self, group: usize) -> std::ops::Range<u32> {
        match (self, group) {
            (Layout::Key8 | Layout::Other8 | Layout::Empty8, 0) => 0..4,
            (Layout::Key8 | Layout::Other8 | Layout::Empty8, _) => 4..8,
            (Layout::Key4, 0) => 0..2,
            (Layout::Key4, _) => 2..4,
            (Layout::Key1, 0) => 0..0,
            (Layout::Key1, _) => 0..1,
            (Layout::Copies, _) => 0..0,
        }
    }

    fn create(self, name: &str, physical: &str) -> String {
        let keys = SHARDED.iter().find(|(table, ..)| *table == name).map_or("", |(_, _, other, own)| match self {
            Layout::Other8 => other,
            _ => own,
        });
        let columns = data::columns(name).replace("{keys}", keys).replace("{key}", self.key_of_members());
        format!("CREATE TABLE {}.{physical} ({columns});\n", self.schema())
    }

    /// The column by which `members` is split.
    pub(super) fn key_of_members(self) -> &'static str {
        if self == Layout::Other8 { "team" } else { "id" }
    }

    /// The lookups of `members`.
    pub(super) fn lookups(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Layout::Copies => &[],
            Layout::Other8 => &data::LOOKUPS,
            _ => &data::LOOKUPS[..2],
        }
    }

    /// What a group holds of this layout.
    fn on_group(self, group: usize) -> String {
        let mut ddl = format!("CREATE DATABASE {} CHARACTER SET utf8mb4;\n", self.schema());
        for (name, ..) in SHARDED {
            if self == Layout::Copies {
                ddl += &self.create(name, name);
            }
            for shard in self.shards(group) {
                ddl += &self.create(name, &format!("{name}_{shard:02}"));
            }
        }
        for (name, _) in data::LOOKUPS {
            if self.lookups().iter().any(|(lookup, _)| *lookup == name) {
                // Three shards: two on the first group.
                for shard in [0..2, 2..3][group].clone() {
                    ddl += &self.create(name, &format!("{name}_{shard:02}"));
                }
            } else {
                ddl += &self.create(name, name);
            }
        }
        ddl += &self.create("codes", "codes");
        ddl + &if group == 0 { self.create("notes", "notes") } else { self.create("logs", "logs") }
    }

    /// What the one server with everything holds of it.
    fn whole(self) -> String {
        let mut ddl = format!("CREATE DATABASE {} CHARACTER SET utf8mb4;\n", self.schema());
        for name in data::TABLES.into_iter().chain(data::LOOKUPS.map(|(name, _)| name)) {
            ddl += &self.create(name, name);
        }
        ddl
    }

    /// Tables of which every group has a copy.
    pub(super) fn copied(self) -> Vec<&'static str> {
        match self {
            Layout::Copies => SHARDED.iter().map(|(name, ..)| *name).chain(["codes"]).collect(),
            _ => vec!["codes"],
        }
    }
}

/// The family of lookups, whatever they are split by.
fn by_value(schema: &str) -> String {
    format!(
        "[schema.{schema}.family.by_value]\nmethod = {{ hash = 3 }}\ngroups = [\"g0\", \"g1\"]\n\
         table = \"{{table}}_{{shard:02}}\"\n"
    )
}

/// The rules of `members` in a family, and of its lookups.
fn members(lookups: &[&str], family: &str) -> String {
    let found = data::LOOKUPS.iter().filter(|(name, _)| lookups.contains(name));
    let mut keys = Vec::new();
    let mut lines = String::new();
    for (name, columns) in found {
        let columns: Vec<String> = columns.split(", ").map(|column| format!("\"{column}\"")).collect();
        keys.push(format!("{{ columns = [{}], lookup = \"{name}\" }}", columns.join(", ")));
        writeln!(lines, "{name} = {{ family = \"by_value\", column = {} }}", columns[0]).unwrap();
    }
    format!("members = {{ family = \"{family}\", unique = [{}] }}\n{lines}", keys.join(", "))
}

/// Two groups behind a proxy, and one server that has everything.
pub(super) struct World {
    pub(super) installation: Installation,
    cluster: TestCluster,
    reference: TestCluster,
    proxy: TestProxy,
}

impl World {
    pub(super) fn start(installation: &Installation) -> World {
        // Nobody kills these servers, and definitions wait for the disk many times.
        let layout = |groups| {
            let options = vec!["--innodb-flush-method=nosync".to_owned()];
            ClusterLayout { options, ..ClusterLayout::new(groups, 0) }
        };
        let cluster = TestCluster::start(installation, &layout(2));
        let reference = TestCluster::start(installation, &layout(1));
        for (number, group) in cluster.cluster.groups.iter().enumerate() {
            group.primary.sql(&LAYOUTS.map(|layout| layout.on_group(number)).concat()).unwrap();
        }
        // Some flags of columns follow the join order that the optimizer chose, which follows the statistics: those
        // are not to change while the statements run.
        for server in cluster.cluster.groups.iter().chain(&reference.cluster.groups).map(|group| &group.primary) {
            server.sql("SET GLOBAL innodb_stats_auto_recalc = 0;").unwrap();
        }
        reference.cluster.groups[0].primary.sql(&LAYOUTS.map(Layout::whole).concat()).unwrap();
        let proxy = TestProxy::start(&cluster.cluster, &LAYOUTS.map(Layout::rules).concat());
        World { installation: installation.clone(), cluster, reference, proxy }
    }

    /// A client of the proxy.
    pub(super) fn proxy(&self, layout: Layout) -> Client {
        Client::connect(&self.proxy.address().to_string(), "atomic", PASSWORD, layout.schema())
    }

    /// A client of the server that has everything.
    pub(super) fn reference(&self, layout: Layout) -> Client {
        direct(&self.reference.cluster, 0, layout)
    }

    /// A client of each group's primary.
    pub(super) fn groups(&self, layout: Layout) -> Vec<Client> {
        (0..self.cluster.cluster.groups.len()).map(|group| direct(&self.cluster.cluster, group, layout)).collect()
    }
}

fn direct(cluster: &Cluster, group: usize, layout: Layout) -> Client {
    Client::connect(&cluster.groups[group].primary.addr(), account::USER, account::PASSWORD, layout.schema())
}
