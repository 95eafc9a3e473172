//! What transactions over several groups have left on the servers: shown, told by the command line, and resolved; also while
//! one of the groups is down.

use std::process::Command;
use std::time::Duration;

use shardloom::demo::cluster::Cluster;
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::account;

use crate::servers::atomic::{RULES, bank, connect, wait_for_metric, wait_until_clean};
use crate::servers::proxy::{Client, TestProxy, write_rules};
use crate::servers::testbed::{folder, installations, wait_until};

/// The number of our XA names.
const FORMAT: u32 = 1_397_489_665;

/// The servers of three groups, with what a coordinator leaves there.
struct Bank<'c>(&'c Cluster);

impl Bank<'_> {
    fn server(&self, group: usize) -> Client {
        Client::connect(&self.0.groups[group].primary.addr(), account::USER, account::PASSWORD, "bank")
    }

    /// As an answer names its primary.
    fn name(&self, group: usize) -> String {
        format!("g{group} ({})", self.0.groups[group].primary.addr())
    }

    fn identity(&self, group: usize) -> String {
        self.server(group).show("SELECT identity FROM _shardloom.group_identity")
    }

    /// The branch of any transaction on group 1.
    fn branch(&self) -> String {
        format!("{}-00000001", self.identity(1))
    }

    /// Prepares it, with an account changed.
    fn leave(&self, global: &str) {
        let (mut one, branch) = (self.server(1), self.branch());
        for sql in [
            format!("XA START '{global}','{branch}',{FORMAT}"),
            "UPDATE acct_1 SET v = v + 1 WHERE id = 1".to_owned(),
            format!("INSERT INTO _shardloom.branch VALUES ('{global}','{branch}')"),
            format!("XA END '{global}','{branch}',{FORMAT}"),
            format!("XA PREPARE '{global}','{branch}',{FORMAT}"),
        ] {
            one.run(&sql);
        }
    }
}

/// The name of a transaction, by its commit point.
fn named(point: &str, number: u32) -> String {
    format!("sl1-{point}-000000000001-{number:010x}-ffffffff-00000001")
}

/// `shardloom txn`: whether it ended well, and what it said.
fn txn(rules: &TempFolder, action: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardloom"));
    let output = command.arg("txn").args(action).arg("--rules").arg(rules.path()).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// What a proxy has left is shown, resolved by its decision, and never touched if it is not ours to decide.
#[test]
fn what_is_left_is_shown_and_resolved() {
    for installation in installations() {
        let cluster = bank(&installation);
        // A proxy that takes nobody for dead.
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.timeouts.in_doubt = Duration::from_secs(86_400);
        });
        let mut client = connect(&proxy, "atomic");
        assert_eq!(client.show("UPDATE acct SET v = 1"), "ok 12");
        wait_until_clean(&cluster.cluster);
        assert_eq!(client.show("SHOW SHARDLOOM TRANSACTIONS"), "");

        let bank = Bank(&cluster.cluster);
        let (point, branch) = (bank.identity(0), bank.branch());
        let rules = folder();
        write_rules(rules.path(), &cluster.cluster, RULES);
        let txn = |action: &[&str]| txn(&rules, action).1;

        // Without a decision: shown, and rolled back when somebody says so. A fence is left until its deadline.
        let undecided = named(&point, 1);
        bank.leave(&undecided);
        let shown = client.show("SHOW SHARDLOOM TRANSACTIONS");
        let (g0, g1) = (bank.name(0), bank.name(1));
        assert_eq!(shown, format!("{undecided}|{g0}|none|{g1}||in doubt|NULL|NULL|NULL"));
        wait_for_metric(&proxy, "shardloom_transactions_in_doubt 1");
        let listed = txn(&["list"]);
        assert!(
            listed.contains(&format!(
                "{undecided}\n  commit point  {g0}\n  decision      none\n  prepared on   {g1}\n1 transactions"
            )),
            "{listed}"
        );
        let resolved = txn(&["resolve"]);
        assert!(
            resolved.contains(&format!("{undecided}\n  commit point  {g0}\n  decision      abort\n1 transactions")),
            "{resolved}"
        );
        assert_eq!(client.show("SELECT v FROM acct WHERE id = 1"), "1");

        // One of two, by its name.
        let (one, other) = (named(&point, 5), named(&point, 6));
        bank.leave(&one);
        let resolved = txn(&["resolve", "--only", &other]);
        assert!(resolved.contains(&format!("nothing is prepared of a transaction {other}")), "{resolved}");
        assert!(txn(&["resolve", "--only", "x"]).contains("not the name of a transaction"));
        let resolved = txn(&["resolve", "--only", &one]);
        assert!(resolved.contains(&format!("{one}\n  commit point  {g0}\n  decision      abort\n")), "{resolved}");
        wait_for_metric(&proxy, "shardloom_transactions_in_doubt 0");

        // Decided: the proxy finishes it, and the client's rows are there.
        let decided = named(&point, 2);
        bank.leave(&decided);
        bank.server(0).run(&format!("INSERT INTO _shardloom.decision VALUES ('{decided}','C','{branch}')"));
        wait_until_clean(&cluster.cluster);
        assert_eq!(client.show("SELECT v FROM acct WHERE id = 1"), "2");

        // Another cluster's, by the same servers: nobody's business here.
        let foreign = named("00000000000000aa", 3);
        bank.leave(&foreign);
        let resolved = txn(&["resolve"]);
        assert!(resolved.contains("some transactions are prepared still"), "{resolved}");
        assert!(client.show("SHOW SHARDLOOM TRANSACTIONS").contains(&format!("{foreign}|NULL|none|{g1}|")));
        bank.server(1).run(&format!("XA ROLLBACK '{foreign}','{branch}',{FORMAT}"));

        // A branch that should be there and is not: an alarm, and the decision stays.
        let lost = named(&point, 4);
        bank.server(0).run(&format!("INSERT INTO _shardloom.decision VALUES ('{lost}','C','{branch}')"));
        wait_for_metric(&proxy, "shardloom_branches_lost_total 1");
        assert!(client.show("SHOW SHARDLOOM TRANSACTIONS").contains(&format!("{lost}|{g0}|commit||")));
    }
}

/// What can be told is told, and what cannot is: a group that is down hides its own branches and decisions alone.
#[test]
fn what_is_left_is_shown_while_a_group_is_down() {
    for installation in installations() {
        let mut cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.timeouts.in_doubt = Duration::from_secs(86_400);
        });
        let mut client = connect(&proxy, "atomic");
        assert_eq!(client.show("UPDATE acct SET v = 1"), "ok 12");
        wait_until_clean(&cluster.cluster);
        let rules = folder();
        write_rules(rules.path(), &cluster.cluster, RULES);
        let bank = Bank(&cluster.cluster);
        // The commit point of one will be down, that of the other will not.
        let (of_0, of_2) = (named(&bank.identity(0), 1), named(&bank.identity(2), 2));
        bank.leave(&of_0);
        let (g1, g2) = (bank.name(1), bank.name(2));
        bank.server(2).run(&format!("INSERT INTO _shardloom.decision VALUES ('{of_2}','A','')"));

        cluster.cluster.groups[0].primary.kill();
        let of_2_row = format!("{of_2}|{g2}|abort|||rolled back|");
        let of_0_row = format!("{of_0}|g0|unknown|{g1}||in doubt|");
        let shown = client.show("SHOW SHARDLOOM TRANSACTIONS");
        for row in [of_0_row.as_str(), &of_2_row, "NULL|NULL|NULL|NULL|NULL|cannot be asked|NULL|NULL|g0: "] {
            assert_eq!(shown.lines().filter(|line| line.starts_with(row)).count(), 1, "{row}\n{shown}");
        }
        let (fine, listed) = txn(&rules, &["list"]);
        assert!(!fine, "{listed}");
        for part in [
            format!(
                "{of_0}\n  commit point  not among the groups that could be asked\n  decision      unknown\n  prepared on   {g1}\n"
            ),
            format!("{of_2}\n  commit point  {g2}\n  decision      abort\n"),
            "2 transactions\n".to_owned(),
            "group g0 cannot be asked: ".to_owned(),
        ] {
            assert!(listed.contains(&part), "{part}\n{listed}");
        }
        // Nothing is decided without the commit point, and nobody says that all is well.
        let (fine, resolved) = txn(&rules, &["resolve", "--only", &of_2]);
        assert!(!fine && resolved.contains("group g0 cannot be asked what is prepared there: "), "{resolved}");
        let (fine, resolved) = txn(&rules, &["resolve"]);
        assert!(!fine && resolved.contains("some transactions are prepared still"), "{resolved}");

        cluster.cluster.groups[0].primary.restart().unwrap();
        let (fine, resolved) = txn(&rules, &["resolve"]);
        assert!(fine && resolved.contains(&format!("{of_0}\n  commit point  g0 (")), "{resolved}");
        wait_until("all groups are asked again", || {
            let shown = client.show("SHOW SHARDLOOM TRANSACTIONS");
            shown.contains(&format!("{of_0}|g0 (")) && !shown.contains("cannot be asked")
        });
    }
}
