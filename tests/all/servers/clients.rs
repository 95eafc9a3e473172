//! Real drivers play the scenarios of `tests/clients`; one line for each driver and scenario goes to standard output.

use std::path::Path;
use std::process::{Command, Stdio};

use shardloom::admin::create::{creations, statements};
use shardloom::config::{Config, Identity, LockTables, Password, Tls, User};
use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::{Server, Settings};
use shardloom::diagnostic::Source;
use shardloom::rules::RuleSet;
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};

use super::proxy::{PASSWORD, TestProxy};
use super::testbed::{TestCluster, folder, installations};

/// All drivers, with both kinds of login, with and without TLS, on sharded tables.
#[test]
fn drivers_pass_through_the_proxy() {
    let mut passed = true;
    for installation in installations() {
        let test = TestCluster::start(&installation, &Layout::new(2, 1));
        create_tables(&installation, &test.cluster);
        let proxy = TestProxy::start_with(&test.cluster, RULES, |config| configure(config, &installation));
        let rows = 1_000_000;
        let mut client = Command::new(&installation.client);
        client
            .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--user=wide"])
            .args([format!("--port={}", proxy.address().port()), format!("--password={PASSWORD}")]);
        fill(client.arg("clients"), rows);
        let mut run = run(&installation, proxy.address().port(), rows);
        run.env("CLIENT_LOGINS", format!("sha2:sha2:{PASSWORD} native:native:{PASSWORD}"));
        passed &= played(&format!("Drivers through the proxy, before {} servers", installation.flavour), run);
    }
    assert!(passed, "a driver failed: see the lines above");
}

const RULES: &str = r#"
[schema.clients]
home = "g0"

[schema.clients.family.by_owner]
column = "owner"
method = { hash = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.clients.family.by_id]
column = "id"
method = { hash = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.clients.table]
item    = { family = "by_owner" }
numbers = { family = "by_id" }
sbtest1 = { family = "by_id" }
loaded  = { family = "by_id" }
"#;

/// One user for each kind of login, the cluster's certificate, and statements with a value of 20 MB.
fn configure(config: &mut Config, installation: &Installation) {
    let identity = Identity::Files { cert: installation.tls("cert"), key: installation.tls("key") };
    config.tls = Some(Tls { identity, ..Tls::default() });
    config.limits.statement = config.limits.packet;
    let app = config.users.iter().find(|user| user.name == "atomic").unwrap().clone();
    // A dump locks the tables that it fills.
    let app = User { lock_tables: LockTables::Ignore, ..app };
    let Password::Verifiers { caching_sha2, native } = app.password.clone() else { panic!("verifiers") };
    let sha2 = Password::Verifiers { caching_sha2, native: None };
    let native = Password::Verifiers { caching_sha2: None, native };
    config.users.push(User { name: "sha2".into(), password: sha2, ..app.clone() });
    config.users.push(User { name: "native".into(), password: native, ..app });
}

/// The tables of `schema.sql`, each where the rules have it.
fn create_tables(installation: &Installation, cluster: &Cluster) {
    let text = format!("{}{RULES}", cluster.rules());
    let rules = RuleSet::parse(&[Source { name: "clients.toml".into(), text }]).unwrap();
    let facts =
        Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: installation.flavour, version: 0 };
    for group in &cluster.groups {
        group.primary.sql("CREATE DATABASE clients CHARACTER SET utf8mb4").unwrap();
    }
    for create in statements(&schema(), facts).unwrap() {
        for creation in creations(&rules, rules.schema("clients").unwrap(), create, facts).unwrap() {
            cluster.groups[usize::from(creation.group.0)].primary.sql(&creation.sql).unwrap();
        }
    }
}

fn schema() -> String {
    std::fs::read_to_string(Path::new(FOLDER).join("schema.sql")).unwrap()
}

/// The scenarios are right: they pass where nothing of ours is between the driver and the server.
/// Fewer rows than through the proxy, as it is the scenarios that are tested here.
#[test]
fn drivers_pass_against_a_plain_server() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("plain"), Settings::new(1)).unwrap();
        server.sql(&format!("CREATE DATABASE clients; USE clients; {}", schema())).unwrap();
        let rows = 20_000;
        fill(server.client().arg("clients"), rows);
        let login = match installation.flavour {
            Flavour::MySql => "sha2",
            Flavour::MariaDb => "native",
        };
        let mut run = run(&installation, server.port(), rows);
        run.env("CLIENT_LOGINS", format!("{login}:{}:{}", account::USER, account::PASSWORD));
        let passed = played(&format!("Drivers against {} itself", installation.flavour), run);
        assert!(passed, "a driver failed: see the lines above");
    }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Writes the rows that the scenarios read through `client`.
fn fill(client: &mut Command, rows: u32) {
    let mut fill = Command::new(format!("{FOLDER}/fill"))
        .env("CLIENT_ROWS", rows.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = client.stdin(fill.stdout.take().unwrap()).status().unwrap();
    fill.wait().unwrap();
    assert!(status.success(), "the tables could not be filled");
}

/// Plays, and prints what came of it in one piece, as the other test plays meanwhile; whether all passed.
fn played(title: &str, mut run: Command) -> bool {
    let output = run.stderr(Stdio::inherit()).output().unwrap();
    println!("\n{title}\n{}", String::from_utf8_lossy(&output.stdout));
    output.status.success()
}

/// The script that plays, with all but the logins given to it.
fn run(installation: &Installation, port: u16, rows: u32) -> Command {
    let mut command = Command::new(format!("{FOLDER}/run"));
    command
        .env("CLIENT_HOST", "127.0.0.1")
        .env("CLIENT_PORT", port.to_string())
        .env("CLIENT_SCHEMA", "clients")
        .env("CLIENT_FLAVOUR", installation.flavour.to_string())
        .env("CLIENT_ROWS", rows.to_string())
        .env("CLIENT_CA", installation.tls("ca"))
        .env("CLIENT_CERT", installation.tls("client-cert"))
        .env("CLIENT_KEY", installation.tls("client-key"))
        .stdin(Stdio::null());
    // For a developer who looks at one of them: CLIENT_ONLY="go-sql-driver mysql2".
    command.args(std::env::var("CLIENT_ONLY").unwrap_or_default().split_whitespace());
    command
}
