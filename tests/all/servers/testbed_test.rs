//! The servers that all other tests stand on do what they say.

use std::process::Command;
use std::time::{Duration, Instant};

use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::install::account;
use shardloom::demo::server::{Server, Settings};
use shardloom::sql::Flavour;

use super::testbed::{PATIENCE, TestCluster, folder, installations};

#[test]
fn two_groups_replicate_apart() {
    for installation in installations() {
        let test = TestCluster::start(&installation, &Layout::new(2, 1));
        let [g0, g1] = test.cluster.groups.as_slice() else { panic!("two groups") };
        g0.primary.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, name VARCHAR(20));").unwrap();
        g0.primary.sql("INSERT INTO shop.t VALUES (1, 'ä\tb'), (2, NULL)").unwrap();
        g0.catch_up(PATIENCE).unwrap();
        assert_eq!(g0.replicas[0].sql("SELECT * FROM shop.t ORDER BY id").unwrap(), "1\tä\\tb\n2\tNULL");
        assert_eq!(g1.primary.sql("SHOW DATABASES LIKE 'sh%'").unwrap(), "");
        let refused = g0.replicas[0].sql("SET SESSION autocommit = 1; CREATE DATABASE other").map(|_| ());
        if installation.flavour == Flavour::MySql {
            let message = refused.unwrap_err().to_string(); // root may write to MariaDB's read-only servers
            assert!(message.contains("ERROR 1290"), "{message}");
        }
        let ids: Vec<_> = test.cluster.servers().map(|server| server.sql("SELECT @@server_id").unwrap()).collect();
        assert_eq!(ids, ["100", "101", "200", "201"]);
    }
}

#[test]
fn a_killed_primary_keeps_what_it_committed() {
    for installation in installations() {
        let mut test = TestCluster::start(&installation, &Layout::new(1, 1));
        let group = &mut test.cluster.groups[0];
        group
            .primary
            .sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)")
            .unwrap();
        let port = group.primary.port();
        group.primary.kill();
        assert!(group.primary.pid().is_none());
        assert!(group.primary.sql("SELECT 1").is_err());
        group.primary.restart().unwrap();
        assert_eq!(group.primary.port(), port);
        assert_eq!(group.primary.sql("SELECT id FROM d.t").unwrap(), "1");
        group.primary.sql("INSERT INTO d.t VALUES (2)").unwrap();
        group.catch_up(PATIENCE).unwrap(); // the replica finds its way back by itself
        assert_eq!(group.replicas[0].sql("SELECT COUNT(*) FROM d.t").unwrap(), "2");
    }
}

#[test]
fn a_replica_takes_over() {
    for installation in installations() {
        let mut test = TestCluster::start(&installation, &Layout::new(1, 2));
        let group = &mut test.cluster.groups[0];
        group
            .primary
            .sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)")
            .unwrap();
        group.catch_up(PATIENCE).unwrap();
        group.primary.kill();
        let [first, second] = group.replicas.as_mut_slice() else { panic!("two replicas") };
        first.lead().unwrap();
        second.follow(first).unwrap();
        first.sql("INSERT INTO d.t VALUES (2)").unwrap();
        second.catch_up(first, PATIENCE).unwrap();
        assert_eq!(second.sql("SELECT COUNT(*) FROM d.t").unwrap(), "2");
    }
}

#[test]
fn a_cluster_goes_on_where_it_was_left() {
    for installation in installations() {
        let folder = folder();
        let cluster = || Cluster::start(&installation, folder.path(), &Layout::new(1, 1)).unwrap();
        let mut first = cluster();
        first.groups[0].primary.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
        first.groups[0].catch_up(PATIENCE).unwrap();
        first.groups[0].replicas[0].stop().unwrap();
        first.groups[0].primary.sql("INSERT INTO d.t VALUES (1)").unwrap();
        drop(first);
        let second = cluster();
        assert_eq!(second.groups[0].replicas[0].sql("SELECT id FROM d.t").unwrap(), "1");
    }
}

#[test]
fn semi_synchronous_replication_can_be_had() {
    for installation in installations() {
        let layout = Layout { semi_sync: true, ..Layout::new(1, 1) };
        let test = TestCluster::start(&installation, &layout);
        let status = test.cluster.groups[0].primary.sql("SHOW STATUS LIKE 'Rpl_semi_sync_%_clients'").unwrap();
        assert!(status.ends_with("_clients\t1"), "{status}");
    }
}

#[test]
fn a_frozen_server_answers_only_after_it_is_thawed() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("one"), Settings::new(7)).unwrap();
        server.freeze();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| server.sql("SELECT @@server_id").unwrap());
            std::thread::sleep(Duration::from_millis(500));
            assert!(!answer.is_finished());
            server.thaw();
            assert_eq!(answer.join().unwrap(), "7");
        });
        assert!(started.elapsed() >= Duration::from_millis(500));
    }
}

#[test]
fn the_account_logs_in_over_tcp_with_and_without_tls() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("one"), Settings::new(1)).unwrap();
        let ca = format!("--ssl-ca={}", installation.tls("ca").display());
        let (verified, plain): (Vec<&str>, &str) = match installation.flavour {
            Flavour::MySql => (vec![&ca, "--ssl-mode=VERIFY_IDENTITY"], "--ssl-mode=DISABLED"),
            Flavour::MariaDb => (vec![&ca, "--ssl-verify-server-cert"], "--skip-ssl"),
        };
        let cipher = |options: &[&str]| {
            let output = Command::new(&installation.client)
                .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--batch", "--skip-column-names"])
                .arg(format!("--port={}", server.port()))
                .args([format!("--user={}", account::USER), format!("--password={}", account::PASSWORD)])
                .args(options)
                .args((installation.flavour == Flavour::MySql).then_some("--get-server-public-key"))
                .args(["-e", "SHOW STATUS LIKE 'Ssl_version'"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(cipher(&verified), "Ssl_version\tTLSv1.3\n");
        assert_eq!(cipher(&[plain]), "Ssl_version\t\n");
    }
}

#[test]
fn a_dropped_server_is_gone() {
    for installation in installations() {
        let folder = folder();
        let server = Server::start(&installation, &folder.path().join("one"), Settings::new(1)).unwrap();
        let (pid, port) = (server.pid().unwrap(), server.port());
        drop(server);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    }
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    for installation in installations() {
        let folder = folder();
        let settings = Settings::new(1).with(["--no-such-option=1"]);
        let error = Server::start(&installation, &folder.path().join("one"), settings).unwrap_err().to_string();
        assert!(error.contains("did not start") && error.contains("no-such-option"), "{error}");
    }
}
