//! `shardloom demo` as a visitor runs it: it welcomes, answers, and leaves nothing behind.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shardloom::demo::install::Installation;
use shardloom::sql::Flavour;

use super::testbed::{PATIENCE, folder, installations};

/// A demo in the foreground of another process.
struct Visit {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    /// What it has said, up to the end of the welcome.
    said: String,
}

impl Visit {
    fn start(installation: &Installation, options: &[&str]) -> Visit {
        let flavour = match installation.flavour {
            Flavour::MySql => "mysql",
            Flavour::MariaDb => "mariadb",
        };
        let mut process = Command::new(env!("CARGO_BIN_EXE_shardloom"))
            .args(["demo", "--flavour", flavour, "--rows", "2000"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut visit = Visit { process, output, said: String::new() };
        while !visit.said.contains("Ctrl-C") {
            let read = visit.output.read_line(&mut visit.said).unwrap();
            assert!(read > 0, "the demo ended: {}", visit.said);
        }
        visit
    }

    /// What follows `before` in its words, up to white space.
    fn word_after(&self, before: &str) -> &str {
        let (_, rest) = self.said.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {}", self.said));
        rest.split_whitespace().next().unwrap()
    }

    fn ask(&self, installation: &Installation, sql: &str) -> String {
        let output = Command::new(&installation.client)
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=demo", "--password=demo"])
            .args(["--batch", "--skip-column-names", "--port", self.word_after(" -P "), "shop", "-e", sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Ctrl-C; what it says then.
    fn leave(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        let mut last = String::new();
        self.output.read_to_string(&mut last).unwrap();
        assert!(self.process.wait().unwrap().success(), "{last}");
        last
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn gone(folder: &Path) -> bool {
    let limit = Instant::now() + PATIENCE;
    while folder.exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    !folder.exists()
}

#[test]
fn a_demo_welcomes_and_leaves_nothing() {
    for installation in installations() {
        let visit = Visit::start(&installation, &[]);
        let rules = visit.word_after("Rules ").to_owned();
        let folder = Path::new(&rules).parent().unwrap().parent().unwrap();
        assert_eq!(visit.ask(&installation, "SELECT COUNT(*) FROM orders"), "2000");
        assert_eq!(visit.ask(&installation, "SELECT COUNT(*) FROM users"), "100");
        let sums = visit.ask(&installation, "SELECT SUM(total) FROM orders");
        assert_eq!(visit.ask(&installation, "SELECT SUM(quantity * price) FROM order_items"), sums);
        for statement in visit.said.lines().map(str::trim).filter(|line| line.ends_with(';')) {
            assert!(!visit.ask(&installation, statement).is_empty() || statement.starts_with("UPDATE"), "{statement}");
        }
        let user = "SELECT name FROM users WHERE id = 42";
        assert_eq!(visit.ask(&installation, user), "You");
        let (_, directly) = visit.said.split_once("$ ").unwrap();
        let directly = Command::new("sh").args(["-c", directly.lines().next().unwrap()]).output().unwrap();
        assert!(String::from_utf8_lossy(&directly.stdout).contains("You"), "{directly:?}");
        // A DBA finds nothing wrong with how the servers are set up to find deadlocks.
        let check = Command::new(env!("CARGO_BIN_EXE_shardloom"))
            .arg("check")
            .arg(Path::new(&rules).parent().unwrap())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        assert!(told.contains("transactions over several groups: ") && !told.contains("deadlocks"), "{told}");
        assert!(folder.exists());
        visit.leave();
        assert!(gone(folder), "{} is still there", folder.display());
    }
}

#[test]
fn a_kept_demo_goes_on() {
    let installation = &installations()[0];
    let folder = folder();
    let keep = ["--keep", folder.path().to_str().unwrap()];
    let first = Visit::start(installation, &keep);
    first.ask(installation, "UPDATE users SET name = 'Kept' WHERE id = 7");
    first.leave();
    let second = Visit::start(installation, &keep);
    assert!(!second.said.contains("Loading"), "{}", second.said);
    assert_eq!(second.ask(installation, "SELECT name FROM users WHERE id = 7"), "Kept");
    second.leave();
    assert!(folder.path().join("g0/primary/data").exists());
}

#[test]
fn a_killed_demo_leaves_nothing_either() {
    let installation = &installations()[0];
    let mut visit = Visit::start(installation, &[]);
    let rules = visit.word_after("Rules ").to_owned();
    let folder = Path::new(&rules).parent().unwrap().parent().unwrap();
    visit.process.kill().unwrap();
    visit.process.wait().unwrap();
    assert!(gone(folder), "{} is still there", folder.display());
}
