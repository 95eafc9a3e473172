//! Real drivers play the scenarios of `tests/clients`; one line for each driver and scenario goes to standard output.

use std::path::Path;
use std::process::{Command, Stdio};

use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::{Server, Settings};
use shardloom::sql::Flavour;

use super::testbed::{folder, installations};

/// The scenarios are right: they pass where nothing of ours is between the driver and the server.
/// Fewer rows than through the proxy, as it is the scenarios that are tested here.
#[test]
fn drivers_pass_against_a_plain_server() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("plain"), Settings::new(1)).unwrap();
        let schema = std::fs::read_to_string(Path::new(FOLDER).join("schema.sql")).unwrap();
        server.sql(&format!("CREATE DATABASE clients; USE clients; {schema}")).unwrap();
        let rows = 20_000;
        fill(server.client().arg("clients"), rows);
        let login = match installation.flavour {
            Flavour::MySql => "sha2",
            Flavour::MariaDb => "native",
        };
        println!("\nDrivers against {} itself", installation.flavour);
        let mut run = run(&installation, server.port(), rows);
        run.env("CLIENT_LOGINS", format!("{login}:{}:{}", account::USER, account::PASSWORD));
        assert!(run.status().unwrap().success(), "a driver failed: see the lines above");
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

/// The script that plays, with all but the logins given to it.
fn run(installation: &Installation, port: u16, rows: u32) -> Command {
    let mut command = Command::new(format!("{FOLDER}/run"));
    command
        .env("CLIENT_HOST", "127.0.0.1")
        .env("CLIENT_PORT", port.to_string())
        .env("CLIENT_SCHEMA", "clients")
        .env("CLIENT_ROWS", rows.to_string())
        .env("CLIENT_CA", installation.tls("ca"))
        .env("CLIENT_CERT", installation.tls("client-cert"))
        .env("CLIENT_KEY", installation.tls("client-key"))
        .stdin(Stdio::null());
    command
}
