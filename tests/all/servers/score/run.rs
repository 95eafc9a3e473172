//! One corpus, in one layout and one protocol: a session of the proxy beside one of the reference.
//! What the proxy refuses does not run on the reference, so that the two stay alike.

use std::collections::BTreeSet;

use shardloom::sql::ast::LiteralKind;
use shardloom::sql::literal::decode;
use shardloom::sql::scan::{Scan, scan};
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};
use shardloom::value::Datum;

use crate::servers::score::client::{Argument, Client, Protocol, Reply};
use crate::servers::score::corpus::Corpus;
use crate::servers::score::data::{TABLES, load};
use crate::servers::score::layout::{Layout, World};
use crate::servers::score::verdict::{Rows, Verdict, compare, refusal};

/// The proxy and the reference, asked the same.
pub(super) struct Pair<'a> {
    world: &'a World,
    layout: Layout,
    pub(super) proxy: Client,
    pub(super) one: Client,
    /// Tables that were written since they were loaded.
    touched: BTreeSet<&'static str>,
}

/// Something that is WRONG, for people.
pub(super) struct Finding {
    pub(super) place: String,
    pub(super) sql: String,
    pub(super) what: String,
    pub(super) proxy: String,
    pub(super) one: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { place, sql, what, proxy, one } = self;
        write!(f, "WRONG in {place}: {what}\n  {sql}\n  proxy: {proxy:.1500}\n  one:   {one:.1500}")
    }
}

/// First words of statements that change nothing that a later statement could see.
const READS: &[&str] = &["SELECT", "WITH", "(", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"];

/// What asks for the statement before: nothing may be asked between the two.
const LOOKS_BACK: &[&str] = &["ROW_COUNT", "FOUND_ROWS", "WARNINGS", "ERRORS", "_COUNT", "DIAGNOSTICS"];

impl<'a> Pair<'a> {
    pub(super) fn open(world: &'a World, layout: Layout) -> Pair<'a> {
        let (proxy, one) = (world.proxy(layout), world.reference(layout));
        Pair { world, layout, proxy, one, touched: BTreeSet::new() }
    }

    /// Both sessions anew, all tables with the rows they are to have.
    pub(super) fn reset(&mut self) {
        // The old sessions may hold locks.
        for client in [&mut self.proxy, &mut self.one] {
            if !client.broken {
                client.query("ROLLBACK");
                client.query("UNLOCK TABLES");
            }
        }
        self.proxy = self.world.proxy(self.layout);
        self.one = self.world.reference(self.layout);
        for sql in load() {
            for (who, client) in [("proxy", &mut self.proxy), ("reference", &mut self.one)] {
                let reply = client.query(&sql);
                assert!(reply.error.is_none(), "{who}, {:?}: {}: {:.300}", self.layout, reply.show(), sql);
            }
        }
        self.touched.clear();
    }

    /// Runs every case; `None` for those that are for the other vendor, or not for this protocol.
    pub(super) fn run(
        &mut self,
        corpus: &Corpus,
        protocol: Protocol,
        found: &mut Vec<Finding>,
    ) -> Vec<Option<Verdict>> {
        if !corpus.is_for(self.layout) {
            return corpus.cases.iter().map(|_| None).collect();
        }
        (self.proxy, self.one) = (self.world.proxy(self.layout), self.world.reference(self.layout));
        let mut verdicts = Vec::new();
        let mut written = false;
        for (i, case) in corpus.cases.iter().enumerate() {
            if case.only.is_some_and(|only| only != self.world.installation.flavour) {
                verdicts.push(None);
                continue;
            }
            written |= !is_read(&case.sql);
            let sql = case.sql.replace("$schema", self.layout.schema());
            let binary = protocol == Protocol::Binary && can_be_prepared(&sql);
            let (mut verdict, proxy, one) =
                if binary { self.binary(&sql, case.rows) } else { self.text(&sql, case.rows) };
            let next = corpus.cases.get(i + 1).map_or("", |next| &next.sql).to_ascii_uppercase();
            let looked_at = LOOKS_BACK.iter().any(|word| next.contains(word));
            if matches!(verdict, Verdict::Identical | Verdict::Differs(_)) && !looked_at && case.rows != Rows::Volatile
            {
                verdict = self.afterwards(&sql, &proxy, &one, verdict);
            }
            if matches!(verdict, Verdict::Refused(_)) && !is_read(&sql) && !looked_at {
                verdict = self.untouched(&sql, verdict);
            }
            if case.follows_plan {
                verdict = verdict.without(&["flags", "warnings"]);
            }
            if case.follows_copies {
                verdict = verdict.without(&["flags", "table"]);
            }
            if case.follows_history {
                verdict = verdict.without(&["charset", "decimals", "flags", "length", "prepared columns", "type"]);
            }
            if let Verdict::Wrong(what) = &verdict {
                let finding = Finding {
                    place: format!(
                        "{} {:?} {:?} {protocol:?}",
                        corpus.name, self.world.installation.flavour, self.layout
                    ),
                    what: what.clone(),
                    proxy: proxy.show(),
                    one: one.show(),
                    sql,
                };
                if !found.iter().any(|known| known.sql == finding.sql && known.what == finding.what) {
                    println!("{finding}");
                }
                found.push(finding);
                if written || self.proxy.broken || self.one.broken {
                    self.reset();
                }
            }
            verdicts.push((binary || protocol == Protocol::Text).then_some(verdict));
        }
        if written {
            self.copies_agree(&corpus.name, found);
            self.reset();
        }
        verdicts
    }

    pub(super) fn text(&mut self, sql: &str, rows: Rows) -> (Verdict, Reply, Reply) {
        let proxy = self.proxy.query(sql);
        if let Some(reason) = refusal(&proxy) {
            return (Verdict::Refused(reason), proxy, Reply::default());
        }
        let one = self.one.query(sql);
        (compare(&proxy, &one, rows), proxy, one)
    }

    /// With placeholders instead of literals where the reference can prepare that.
    pub(super) fn binary(&mut self, sql: &str, rows: Rows) -> (Verdict, Reply, Reply) {
        // PREPARE is a statement itself, which changes what those see that look back.
        let upper = sql.to_ascii_uppercase();
        let looks_back = LOOKS_BACK.iter().any(|word| upper.contains(word));
        let with_placeholders = placeholders(sql).filter(|(text, _)| {
            !looks_back && self.one.query(&format!("PREPARE probe FROM '{}'", text.replace('\'', "''"))).error.is_none()
        });
        let (text, arguments) = with_placeholders.unwrap_or((sql.to_owned(), Vec::new()));
        let proxy = self.proxy.execute(&text, &arguments);
        if let Some(reason) = refusal(&proxy) {
            return (Verdict::Refused(reason), proxy, Reply::default());
        }
        let one = self.one.execute(&text, &arguments);
        (compare(&proxy, &one, rows), proxy, one)
    }

    /// Warnings, the session, and the tables that were written.
    fn afterwards(&mut self, sql: &str, proxy: &Reply, one: &Reply, verdict: Verdict) -> Verdict {
        let warned = |reply: &Reply| reply.error.is_some() || reply.outcomes.iter().any(|outcome| outcome.warnings > 0);
        let mut differs = match verdict {
            Verdict::Differs(differs) => differs,
            _ => BTreeSet::new(),
        };
        if (warned(proxy) || warned(one))
            && let Verdict::Wrong(_) = self.text("SHOW WARNINGS", Rows::Any).0
        {
            differs.insert("warnings");
        }
        if !is_read(sql) || touches_session(sql) {
            if let Verdict::Wrong(what) | Verdict::Refused(what) =
                self.text(session_probe(self.world.installation.flavour), Rows::Any).0
            {
                return Verdict::Wrong(format!("session: {what}"));
            }
            for table in TABLES {
                if mentions(sql, table) {
                    self.touched.insert(table);
                }
            }
            let all = !TABLES.iter().any(|table| mentions(sql, table)) && !sql.to_ascii_uppercase().starts_with("SET");
            let looked_at: Vec<&str> =
                self.touched.iter().copied().filter(|table| all || mentions(sql, table)).collect();
            for table in looked_at {
                if let Verdict::Wrong(what) | Verdict::Refused(what) =
                    self.text(&format!("SELECT * FROM {table}"), Rows::Any).0
                {
                    return Verdict::Wrong(format!("table {table}: {what}"));
                }
            }
        }
        if mentions(sql, "members")
            && let Some(what) = self.lookups_lack()
        {
            return Verdict::Wrong(what);
        }
        if differs.is_empty() { Verdict::Identical } else { Verdict::Differs(differs) }
    }

    /// What the lookups of `members` have else than its rows.
    fn lookups_lack(&mut self) -> Option<String> {
        let key = self.layout.key_of_members();
        for (lookup, columns) in self.layout.lookups() {
            let columns = if columns.split(", ").any(|column| column == key) {
                (*columns).to_owned()
            } else {
                format!("{columns}, {key}")
            };
            let whole: Vec<String> = columns.split(", ").map(|column| format!("{column} IS NOT NULL")).collect();
            let kept = self.proxy.query(&format!("SELECT {columns} FROM {lookup}"));
            let rows = self.one.query(&format!("SELECT {columns} FROM members WHERE {}", whole.join(" AND ")));
            if let Verdict::Wrong(what) | Verdict::Refused(what) = compare(&kept, &rows, Rows::Any) {
                return Some(format!("lookup {lookup}: {what}"));
            }
        }
        None
    }

    /// What was refused has left nothing behind.
    fn untouched(&mut self, sql: &str, refused: Verdict) -> Verdict {
        for table in TABLES.iter().filter(|table| mentions(sql, table)) {
            if let Verdict::Wrong(what) = self.text(&format!("SELECT * FROM {table}"), Rows::Any).0 {
                return Verdict::Wrong(format!("refused, but table {table}: {what}"));
            }
        }
        if mentions(sql, "members")
            && let Some(what) = self.lookups_lack()
        {
            return Verdict::Wrong(format!("refused, but {what}"));
        }
        refused
    }

    /// Every group has the same copy of what is copied.
    fn copies_agree(&mut self, corpus: &str, found: &mut Vec<Finding>) {
        self.proxy.query("ROLLBACK");
        self.one.query("ROLLBACK");
        for mut group in self.world.groups(self.layout) {
            for table in self.layout.copied() {
                let sql = format!("SELECT * FROM {table}");
                let (copy, whole) = (group.query(&sql), self.one.query(&sql));
                if let Verdict::Wrong(what) = compare(&copy, &whole, Rows::Any) {
                    let place = format!("{corpus} {:?} copies", self.layout);
                    let finding = Finding { place, sql, what, proxy: copy.show(), one: whole.show() };
                    println!("{finding}");
                    found.push(finding);
                }
            }
        }
    }
}

pub(super) fn is_read(sql: &str) -> bool {
    let upper = sql.trim_start().to_ascii_uppercase();
    READS.iter().any(|read| upper.starts_with(read)) && !upper.contains(';')
}

/// Reads that leave something in the session.
fn touches_session(sql: &str) -> bool {
    let upper = sql.to_ascii_uppercase();
    [":=", " INTO ", "LAST_INSERT_ID(", "NEXTVAL"].iter().any(|sign| upper.contains(sign))
}

fn can_be_prepared(sql: &str) -> bool {
    let upper = sql.trim_start().to_ascii_uppercase();
    const HEADS: [&str; 21] = [
        "SELECT", "WITH", "(", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE", "SHOW", "SET ", "DO ",
        "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "ANALYZE", "CHECK", "OPTIMIZE", "REPAIR",
    ];
    HEADS.iter().any(|head| upper.starts_with(head)) && !sql.contains(';')
}

pub(super) fn mentions(sql: &str, table: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    sql.match_indices(table)
        .any(|(at, _)| !sql[..at].ends_with(is_word) && !sql[at + table.len()..].starts_with(is_word))
}

fn session_probe(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MySql => {
            "SELECT LAST_INSERT_ID(), DATABASE(), @@sql_mode, @@time_zone, @@autocommit, @@transaction_isolation, \
             @@transaction_read_only, @@character_set_client, @@character_set_results, @@collation_connection, \
             @@foreign_key_checks, @@unique_checks, @@sql_safe_updates, @@sql_select_limit, @@group_concat_max_len, \
             @@sql_auto_is_null, @@div_precision_increment, @@lc_time_names, @@max_sort_length, @a, @b"
        }
        Flavour::MariaDb => {
            "SELECT LAST_INSERT_ID(), DATABASE(), @@sql_mode, @@time_zone, @@autocommit, @@tx_isolation, \
             @@tx_read_only, @@character_set_client, @@character_set_results, @@collation_connection, \
             @@foreign_key_checks, @@unique_checks, @@sql_safe_updates, @@sql_select_limit, @@group_concat_max_len, \
             @@sql_auto_is_null, @@div_precision_increment, @@lc_time_names, @@max_sort_length, @a, @b"
        }
    }
}

/// The statement with its numbers and strings as placeholders. Where a literal is no value (`ORDER BY 1`, `LIMIT` is
/// one), that is another statement: no placeholders.
fn placeholders(sql: &str) -> Option<(String, Vec<Argument>)> {
    let facts =
        Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };
    let head = sql.trim_start().to_ascii_uppercase();
    let by_position =
        head.match_indices("BY ").any(|(at, _)| head[at + 3..].trim_start().starts_with(|c: char| c.is_ascii_digit()));
    if by_position || sql.contains('\\') || head.starts_with("SHOW") || head.starts_with("SET") {
        return None;
    }
    let mut scanned = Scan::default();
    scan(sql.as_bytes(), facts, 0, &mut scanned).ok()?;
    let (mut text, mut arguments, mut from) = (String::new(), Vec::new(), 0);
    for literal in &scanned.literals {
        let (start, end) = (literal.span.start as usize, literal.span.end as usize);
        if !matches!(literal.kind, LiteralKind::String | LiteralKind::Integer | LiteralKind::Float) {
            continue;
        }
        // MySQL takes `-?` beside a column without a sign for a number that has none either.
        let signed =
            sql[from..start].strip_suffix('-').is_some_and(|before| before.ends_with(['=', '<', '>', '(', ' ']));
        let start = if signed { start - 1 } else { start };
        let argument = match decode(&sql.as_bytes()[literal.span.start as usize..end], literal.kind, false, facts)? {
            Datum::Int(number) => Argument::Int(if signed { -number } else { number }),
            _ if signed => continue,
            Datum::Double(number) => Argument::Double(number),
            Datum::Text(bytes) => Argument::Text(String::from_utf8_lossy(&bytes).into_owned()),
            _ => continue,
        };
        text += &sql[from..start];
        text.push('?');
        arguments.push(argument);
        from = end;
    }
    if arguments.is_empty() {
        return None;
    }
    Some((text + &sql[from..], arguments))
}
