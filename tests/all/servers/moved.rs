//! An UPDATE of the sharding key on real servers: what is refused because more hangs on a row than the row itself, and
//! that nothing of a refused move stays. What it answers is compared with one server in `score/moved.sql`.

use crate::servers::atomic::{RULES, bank, connect};
use crate::servers::proxy::TestProxy;
use crate::servers::testbed::installations;

#[test]
fn what_hangs_on_a_row_keeps_it_where_it_is() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        let groups = &cluster.cluster.groups;
        groups[0]
            .primary
            .sql("CREATE TRIGGER bank.gone AFTER DELETE ON bank.acct_0 FOR EACH ROW SET @gone = 1;")
            .unwrap();
        let child = "CREATE TABLE bank.child (id INT, FOREIGN KEY (id) REFERENCES bank.acct_2 (id) ON UPDATE CASCADE);";
        groups[2].primary.sql(child).unwrap();
        let refused = [
            ("UPDATE acct SET id = 100 WHERE id = 0", "triggers that would fire for the move"),
            ("UPDATE acct SET id = 100 WHERE id = 2", "a foreign key that changes other rows with it"),
            (
                "UPDATE /*+ shardloom(transaction=single) */ acct SET id = 102 WHERE id = 1",
                "transaction_mode = \"single\"",
            ),
        ];
        for (sql, why) in refused {
            let told = client.show(sql);
            assert!(told.starts_with("error 1235") && told.contains(why), "{}: {sql}: {told}", installation.flavour);
        }
        let all = |client: &mut crate::servers::proxy::Client| client.show("SELECT COUNT(*), SUM(id) FROM acct");
        let before = all(&mut client);
        let taken = client.show("UPDATE acct SET id = 2, v = 7 WHERE id = 1");
        assert!(
            taken.starts_with("error 1062") && taken.contains("'2' for key '") && !taken.contains("acct_"),
            "{taken}"
        );
        assert_eq!(all(&mut client), before);
        assert_eq!(client.show("SELECT v FROM acct WHERE id = 1"), client.show("SELECT v FROM acct WHERE id = 2"));
        let moved = client.show("UPDATE acct SET id = 102 WHERE id = 1");
        assert!(!moved.starts_with("error"), "{moved}");
        assert_eq!(client.show("SELECT id FROM acct WHERE id = 102"), client.show("SELECT 102 AS id"));
    }
}
