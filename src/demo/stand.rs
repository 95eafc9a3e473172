//! The sample shop on a cluster of its own: servers, tables, rule file and configuration, ready for a proxy,
//! and the client that loads the rows through it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::admin::create::{creations, statements};
use crate::demo::cluster::{Cluster, Layout};
use crate::demo::folder::TempFolder;
use crate::demo::install::{Installation, ServerError, account};
use crate::demo::server::SHOWING_WAITS;
use crate::demo::shop;
use crate::diagnostic::{Source, render};
use crate::error::SqlError;
use crate::rules::{GroupId, Placement, RuleSet};
use crate::sql::{Facts, Flavour, SqlMode, TextCharset};
use crate::value::Key;
use crate::wire::auth;

/// The account that loads the rows, and that visitors use: its password is its name.
pub const VISITOR: &str = "demo";

/// Where a demo keeps its servers.
#[derive(Debug)]
pub enum Folder {
    /// In a folder that is removed at the end.
    Temporary(TempFolder),
    /// In a folder that stays.
    Kept(PathBuf),
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }
}

/// Two groups, each a primary and a replica, with the tables of the shop.
#[derive(Debug)]
pub struct Stand {
    /// The servers.
    pub cluster: Cluster,
    /// What lies where.
    pub rules: RuleSet,
    folder: Folder,
    installation: Installation,
}

impl Stand {
    /// Starts the servers and makes the tables; over a folder with data, goes on with that.
    ///
    /// # Errors
    /// If a server does not start, or the folder holds data of another flavour.
    pub fn set_up(installation: &Installation, folder: Folder) -> Result<Stand, ServerError> {
        let path = folder.path();
        fs::create_dir_all(path.join("rules")).map_err(ServerError::io(format!("creating {}", path.display())))?;
        same_flavour(installation.flavour, &path.join("flavour"))?;
        let options = SHOWING_WAITS.map(str::to_owned).to_vec();
        let cluster = Cluster::start(installation, path, &Layout { options, ..Layout::new(2, 1) })?;
        let source = Source {
            name: path.join("rules/shop.toml").display().to_string(),
            text: format!(
                "[defaults]\nuser     = \"{}\"\npassword = \"{}\"\n\n{}{}",
                account::USER,
                account::PASSWORD,
                cluster.rules(),
                shop::RULES
            ),
        };
        let rules = RuleSet::parse(std::slice::from_ref(&source)).map_err(|mistakes| {
            ServerError::failed("reading the demo's rules", render(&mistakes, std::slice::from_ref(&source), false))
        })?;
        write(Path::new(&source.name), &source.text)?;
        let stand = Stand { cluster, rules, folder, installation: installation.clone() };
        if !stand.is_loaded() {
            stand.create_tables()?;
        }
        Ok(stand)
    }

    /// Writes `shardloom.toml` beside the rules and gives its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_configuration(&self) -> Result<PathBuf, ServerError> {
        let file = self.folder.path().join("shardloom.toml");
        let mut text = format!(
            "listen = [\"127.0.0.1:{}\", \"./shardloom.sock\"]\nrules  = \"rules\"\nadmin  = \"127.0.0.1:{}\"\n\n\
             [timeouts]\ndrain = \"2s\"\n\n[log]\nlevel = \"warn\"\n",
            free_port(3307)?,
            free_port(9307)?,
        );
        let hashed = auth::hash_password(VISITOR.as_bytes());
        let (sha2, native) = hashed.map_err(|error| ServerError::failed("hashing a password", error))?;
        let _ = write!(text, "\n[user.{VISITOR}]\npassword = ['''{sha2}''', '''{native}''']\nschemas  = [\"shop\"]\n");
        write(&file, &text)?;
        Ok(file)
    }

    /// Whether an earlier run has filled the tables.
    pub fn is_loaded(&self) -> bool {
        self.loaded_mark().exists()
    }

    /// Fills the tables through the proxy at `proxy` and waits until the replicas have all of it.
    ///
    /// # Errors
    /// The first error the proxy answers with.
    pub fn load(&self, proxy: SocketAddr, orders: u64) -> Result<(), ServerError> {
        let mut child = self
            .client(proxy, VISITOR)
            .arg("shop")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ServerError::io("running a client"))?;
        if let Some(input) = child.stdin.take() {
            let mut input = BufWriter::new(input);
            // If the client ends early, its own message tells more than a broken pipe.
            let _ = shop::inserts(orders).try_for_each(|sql| writeln!(input, "{sql};"));
        }
        let output = child.wait_with_output().map_err(ServerError::io("loading the shop"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ServerError::Sql { server: "loading the shop".to_owned(), message });
        }
        self.cluster.groups.iter().try_for_each(|group| group.catch_up(Duration::from_secs(120)))?;
        write(&self.loaded_mark(), "")
    }

    /// What to tell a visitor of a demo that listens at `proxy`.
    pub fn welcome(&self, proxy: SocketAddr, admin: Option<SocketAddr>) -> String {
        let (group, table, socket) = self.home_of_user(42);
        let client = self.client_name();
        let port = proxy.port();
        let admin = admin.map(|admin| format!("\n  Metrics   http://{admin}/metrics")).unwrap_or_default();
        let ending = match &self.folder {
            Folder::Temporary(_) => "Ctrl-C ends it and removes everything; --keep DIR would keep the data.".to_owned(),
            Folder::Kept(path) => format!("Ctrl-C ends it; the data stays in {}.", path.display()),
        };
        format!(
            "
Shardloom is ready: a shop on two groups of {} {} servers, each a primary and a replica.

  Connect   {client} -h 127.0.0.1 -P {port} -u {VISITOR} -p{VISITOR} shop
  Rules     {}{admin}

Worth trying:

  1. One shard
       SELECT * FROM orders WHERE user_id = 42 ORDER BY created_at DESC LIMIT 3;
  2. All shards, merged in order
       SELECT id, user_id, total FROM orders ORDER BY total DESC, id LIMIT 5;
  3. All shards, folded
       SELECT status, COUNT(*), SUM(total), AVG(total) FROM orders GROUP BY status;
  4. How a statement is answered
       EXPLAIN SHARDLOOM SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 42;
  5. A write, and where it went: {group}, table {table}
       UPDATE users SET name = 'You' WHERE id = 42;
       $ {client} -u root -S {} shop -e 'SELECT * FROM {table} WHERE id = 42'

{ending}
",
            self.installation.flavour,
            self.installation.version,
            self.folder.path().join("rules/shop.toml").display(),
            socket.display(),
        )
    }

    /// Stops the servers, cleanly if their data stays.
    ///
    /// # Errors
    /// If one does not stop.
    pub fn stop(mut self) -> Result<(), ServerError> {
        match self.folder {
            Folder::Temporary(_) => Ok(()), // dropping kills them
            Folder::Kept(_) => self.cluster.stop(),
        }
    }

    fn create_tables(&self) -> Result<(), ServerError> {
        let failed = |error: SqlError| ServerError::failed("placing the demo's tables", error);
        let facts = Facts {
            mode: SqlMode::default(),
            charset: TextCharset::Utf8,
            flavour: self.installation.flavour,
            version: 0, // the tables have no versioned comments
        };
        let Some(schema) = self.rules.schema("shop") else { return Ok(()) };
        let mut sql: Vec<String> = vec!["DROP DATABASE IF EXISTS shop; CREATE DATABASE shop;\n".into(); 2];
        for create in statements(shop::TABLES, facts).map_err(failed)? {
            for creation in creations(&self.rules, schema, create, facts).map_err(failed)? {
                let _ = writeln!(sql[usize::from(creation.group.0)], "{};", creation.sql);
            }
        }
        for (group, sql) in self.cluster.groups.iter().zip(sql) {
            group.primary.sql(&sql)?;
        }
        Ok(())
    }

    fn loaded_mark(&self) -> PathBuf {
        self.folder.path().join("loaded")
    }

    fn client(&self, proxy: SocketAddr, user: &str) -> Command {
        let mut command = Command::new(&self.installation.client);
        command
            .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--default-character-set=utf8mb4"])
            .args([format!("--port={}", proxy.port()), format!("--user={user}"), format!("--password={user}")]);
        command
    }

    /// The group, table and primary's socket of a row in `users`.
    fn home_of_user(&self, id: i128) -> (String, String, PathBuf) {
        let found = self.rules.schema("shop").and_then(|schema| {
            let Placement::Sharded(users) = schema.table("users") else { return None };
            let family = self.rules.family(users.family)?;
            let shard = family.route(0, &Key::Int(id))?;
            Some((family.home(shard), users.physical(shard).table.clone()))
        });
        let (GroupId(group), table) = found.unwrap_or((GroupId(0), "users".to_owned()));
        (format!("group g{group}"), table, self.cluster.groups[usize::from(group)].primary.socket())
    }

    /// As one types it.
    fn client_name(&self) -> String {
        match self.installation.flavour {
            Flavour::MySql => self.installation.client.display().to_string(),
            Flavour::MariaDb => "mariadb".to_owned(),
        }
    }
}

fn same_flavour(flavour: Flavour, file: &Path) -> Result<(), ServerError> {
    match fs::read_to_string(file) {
        Ok(found) if found != flavour.to_string() => Err(ServerError::failed(
            format!("{} holds a demo of {found}, not of {flavour}", file.parent().unwrap_or(file).display()),
            "give --flavour, or another folder",
        )),
        Ok(_) => Ok(()),
        Err(_) => write(file, &flavour.to_string()),
    }
}

fn write(file: &Path, text: &str) -> Result<(), ServerError> {
    fs::write(file, text).map_err(ServerError::io(format!("writing {}", file.display())))
}

/// The wanted port if nobody has it, else any.
fn free_port(wanted: u16) -> Result<u16, ServerError> {
    let bound =
        TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let address = bound.and_then(|listener| listener.local_addr());
    Ok(address.map_err(ServerError::io("looking for a free port"))?.port())
}
