//! What belongs to a session on pooled connections: transactions, settings, user variables, insert ids,
//! warnings, KILL, prepared statements in the hands of a client, and what a client does wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use shardloom::demo::install::account;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::score::client::{Argument, Client as Typed};
use crate::servers::shop::{RULES, Shop};
use crate::servers::testbed::{PATIENCE, installations, wait_until};

/// Each statement with what it must answer, in one session.
fn check(client: &mut Client, steps: &[(&str, &str)]) {
    for (sql, expected) in steps {
        let got = client.show(sql);
        match expected.strip_suffix('…') {
            Some(start) => assert!(got.starts_with(start), "{sql}\n  got      {got}\n  expected {expected}"),
            None => assert_eq!(got, *expected, "{sql}"),
        }
    }
}

fn with_shop(test: impl Fn(&Shop, &TestProxy)) {
    for installation in installations() {
        let shop = Shop::open(&installation);
        let proxy = shop.proxy();
        test(&shop, &proxy);
    }
}

#[test]
fn sessions_keep_what_is_theirs_on_pooled_connections() {
    with_shop(|shop, proxy| {
        prepared_statements_are_bounded(shop);
        transactions(proxy);
        settings(proxy);
        what_the_last_statement_left(proxy);
        statements_with_names(proxy);
        ids_of_other_sessions(proxy);
        types_of_other_sessions(proxy);
        types_of_earlier_executions(shop, proxy);
        variables_that_others_prepare(proxy);
        pinned(proxy);
        kill(proxy);
        hints_and_plans(proxy);
        one_clock(proxy);
    });
}

fn transactions(proxy: &TestProxy) {
    let mut a = Client::of(proxy);
    let mut b = Client::of(proxy);
    check(
        &mut a,
        &[
            (
                "INSERT INTO users (id, name, level) VALUES (1, 'ann', 1), (2, 'bob', 1)",
                "error 1235: The statement writes to several groups…",
            ),
            ("INSERT INTO users (id, name, level) VALUES (1, 'ann', 1)", "ok 1"),
            ("INSERT INTO settings VALUES ('a', '1')", "ok 1"),
            ("BEGIN", "ok 0"),
            ("UPDATE users SET level = 2 WHERE id = 1", "ok 1"),
            ("SELECT level FROM users WHERE id = 1", "2"),
        ],
    );
    check(&mut b, &[("SELECT /*+ shardloom(primary) */ level FROM users WHERE id = 1", "1")]);
    check(
        &mut a,
        &[
            ("SAVEPOINT s", "ok 0"),
            ("UPDATE users SET level = 3 WHERE id = 1", "ok 1"),
            ("ROLLBACK TO s", "ok 0"),
            ("SELECT level FROM users WHERE id = 1", "2"),
            ("COMMIT", "ok 0"),
        ],
    );
    check(&mut b, &[("SELECT /*+ shardloom(primary) */ level FROM users WHERE id = 1", "2")]);
    // autocommit off: a transaction without BEGIN; turning it on commits.
    check(
        &mut a,
        &[
            ("SET autocommit = 0", "ok 0"),
            ("UPDATE users SET level = 5 WHERE id = 1", "ok 1"),
            ("SELECT @@autocommit", "0"),
        ],
    );
    check(&mut b, &[("SELECT /*+ shardloom(primary) */ level FROM users WHERE id = 1", "2")]);
    check(&mut a, &[("SET autocommit = 1", "ok 0")]);
    check(&mut b, &[("SELECT /*+ shardloom(primary) */ level FROM users WHERE id = 1", "5")]);
    check(
        &mut a,
        &[
            ("START TRANSACTION READ ONLY", "ok 0"),
            (
                "UPDATE users SET level = 6 WHERE id = 1",
                "error 1792: Cannot execute statement in a READ ONLY transaction…",
            ),
            ("ROLLBACK", "ok 0"),
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ok 0"),
            ("BEGIN", "ok 0"),
            (
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "error 1568: Transaction characteristics can't be changed…",
            ),
            ("SELECT level FROM users WHERE id = 1", "5"),
            ("ROLLBACK", "ok 0"),
            ("SAVEPOINT nothing", "ok 0"),
            ("ROLLBACK TO nothing", "error 1305: SAVEPOINT nothing does not exist"),
            // With autocommit off, a savepoint may come first.
            ("SET autocommit = 0", "ok 0"),
            ("SAVEPOINT first", "ok 0"),
            ("UPDATE users SET level = 7 WHERE id = 1", "ok 1"),
            ("ROLLBACK TO first", "ok 0"),
            ("SELECT level FROM users WHERE id = 1", "5"),
            ("COMMIT", "ok 0"),
            ("ROLLBACK TO first", "error 1305: SAVEPOINT first does not exist"),
            ("SET autocommit = 1", "ok 0"),
        ],
    );
    // A second group may be read in the same transaction, not written to; the first one's work is still there.
    check(
        &mut a,
        &[
            ("BEGIN", "ok 0"),
            ("UPDATE settings SET v = '2' WHERE k = 'a'", "ok 1"),
            ("SELECT COUNT(*) FROM audit_log", "0"),
            ("INSERT INTO audit_log (msg) VALUES ('x')", "error 1235: The transaction has written to g0…"),
            ("SELECT v FROM settings", "2"),
            ("ROLLBACK", "ok 0"),
            ("SELECT v FROM settings", "1"),
            ("DELETE FROM users WHERE id = 1", "ok 1"),
        ],
    );
}

fn settings(proxy: &TestProxy) {
    let mut a = Client::of(proxy);
    let mut b = Client::of(proxy);
    check(
        &mut a,
        &[
            ("SET time_zone = '+03:00', sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", "ok 0"),
            ("SELECT @@time_zone, @@sql_mode LIKE '%ANSI_QUOTES%'", "+03:00|1"),
            ("SELECT /*+ shardloom(primary) */ \"k\" FROM settings WHERE \"k\" = 'a'", "a"),
            ("SET @x = 5, @y = 1.50, @z = 'it''s', @n = NULL, @f = 1e3", "ok 0"),
            ("SELECT @x, @y, @z, @n, @f, @unset", "5|1.50|it's|NULL|1000|NULL"),
            ("SET @x = @x + 1", "ok 0"),
            ("SELECT @x", "6"),
            ("SET nothing_of_the_kind = 1", "error 1193: Unknown system variable 'nothing_of_the_kind'"),
            ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "ok 0"),
            ("SET GLOBAL max_connections = 10", "error 1235: SET GLOBAL max_connections…"),
            ("SET NAMES latin1", "ok 0"),
            ("SELECT @@character_set_client, @@character_set_results", "latin1|latin1"),
        ],
    );
    // The other session may well get the same connection now.
    for _ in 0..5 {
        check(
            &mut b,
            &[
                (
                    "SELECT @@time_zone, @@sql_mode LIKE '%ANSI_QUOTES%', @x, @@character_set_client",
                    "SYSTEM|0|NULL|utf8mb4",
                ),
                ("SELECT \"k\" FROM settings LIMIT 1", "k"),
            ],
        );
        check(&mut a, &[("SELECT @@time_zone, @x", "+03:00|6")]);
    }
    // Variables that a SELECT sets go with the session, and with no other.
    check(
        &mut a,
        &[
            ("SELECT 'set by INTO', 7 INTO @by_into, @`By Seven`", "ok 1"),
            ("SELECT @x := @x + 1", "7"),
            ("SELECT @x := @x + 1", "8"),
            ("SET sql_select_limit = 2", "ok 0"),
            ("SELECT id FROM users", "error 1235: Shardloom does not support a SELECT over several shards while…"),
            ("SET sql_select_limit = DEFAULT", "ok 0"),
        ],
    );
    for _ in 0..5 {
        check(&mut b, &[("SELECT @by_into, @`by seven`, @x", "NULL|NULL|NULL")]);
        check(&mut a, &[("SELECT @by_into, @`by seven`, @x", "set by INTO|7|8")]);
    }
    check(
        &mut a,
        &[
            ("SET time_zone = DEFAULT", "ok 0"),
            ("SELECT @@time_zone", "SYSTEM"),
            ("USE nowhere", "error 1049: Unknown database 'nowhere'"),
            ("USE shop", "ok 0"),
            ("SELECT DATABASE()", "shop"),
        ],
    );
}

fn what_the_last_statement_left(proxy: &TestProxy) {
    let mut a = Client::of(proxy);
    check(
        &mut a,
        &[
            ("INSERT INTO audit_log (msg) VALUES ('one'), ('two')", "ok 2"),
            ("SELECT ROW_COUNT()", "2"),
            ("SELECT ROW_COUNT()", "-1"),
            ("SELECT LAST_INSERT_ID()", "1"),
            ("SELECT LAST_INSERT_ID() + 1", "2"),
            ("INSERT INTO audit_log (id, msg) VALUES (50, 'given')", "ok 1"),
            ("SELECT LAST_INSERT_ID()", "1"),
            ("SELECT 1 / 0", "NULL"),
            ("SHOW WARNINGS", "Warning|1365|Division by 0"),
            ("SHOW COUNT(*) WARNINGS", "1"),
            ("SELECT 1", "1"),
            ("SHOW WARNINGS", ""),
            ("SELECT * FROM nothing_here", "error 1146: Table 'shop.nothing_here' doesn't exist"),
            ("SHOW ERRORS", "Error|1146|Table 'shop.nothing_here' doesn't exist"),
            ("SELECT SQL_CALC_FOUND_ROWS id FROM audit_log LIMIT 1", "1"),
            ("SELECT FOUND_ROWS()", "3"),
            ("SELECT id + FOUND_ROWS() FROM audit_log", "2\n3\n51"),
            ("DELETE FROM audit_log", "ok 3"),
        ],
    );
    check(
        &mut a,
        &[
            ("SELECT DATABASE(), USER() LIMIT 1", "shop|app@127.0.0.1"),
            ("SELECT CURRENT_USER()", "app@%"),
            ("SELECT CONCAT(USER(), 'x')", "app@127.0.0.1x"),
        ],
    );
    let id = a.show("SELECT CONNECTION_ID()");
    assert_eq!(id, a.conn.thread_id.to_string());
}

/// They belong to one session, and end with it or when it is reset.
fn statements_with_names(proxy: &TestProxy) {
    let (mut a, mut b) = (Client::of(proxy), Client::of(proxy));
    check(
        &mut a,
        &[
            ("PREPARE s FROM 'SELECT k FROM settings WHERE k = ?'", "ok 0"),
            ("SET @k = 'a'", "ok 0"),
            ("EXECUTE s USING @k", "a"),
            ("EXPLAIN SHARDLOOM SELECT k FROM settings WHERE k = 'a'", "relay|…"),
        ],
    );
    let unknown = "error 1243: Unknown prepared statement handler (s) given to EXECUTE";
    check(&mut b, &[("EXECUTE s USING @k", unknown), ("PREPARE s FROM 'SELECT 1'", "ok 0"), ("EXECUTE s", "1")]);
    check(&mut a, &[("EXECUTE s USING @k", "a")]);
    a.reset();
    check(&mut a, &[("EXECUTE s USING @k", unknown)]);
}

/// What is prepared counts, by name or by number.
fn prepared_statements_are_bounded(shop: &Shop) {
    let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| config.limits.prepared_per_session = 2);
    let mut a = Client::of(&proxy);
    check(
        &mut a,
        &[
            ("PREPARE one FROM 'SELECT 1'", "ok 0"),
            ("PREPARE two FROM 'SELECT 2'", "ok 0"),
            ("PREPARE three FROM 'SELECT 3'", "error 1461: Can't create more than…"),
            ("PREPARE two FROM 'SELECT 22'", "ok 0"),
            ("DEALLOCATE PREPARE one", "ok 0"),
            ("PREPARE three FROM 'SELECT 3'", "ok 0"),
            ("EXECUTE two", "22"),
            ("EXECUTE three", "3"),
        ],
    );
}

/// Sessions share connections, not what LAST_INSERT_ID() tells on them.
fn ids_of_other_sessions(proxy: &TestProxy) {
    let (mut a, mut b) = (Client::of(proxy), Client::of(proxy));
    check(&mut a, &[("INSERT INTO audit_log (id, msg) VALUES (7000, 'a'), (NULL, 'a')", "ok 2")]);
    check(&mut a, &[("SELECT LAST_INSERT_ID()", "7001"), ("DELETE FROM audit_log WHERE id = 7001", "ok 1")]);
    // The connection was a's, whose last id is the one that b gives here.
    check(&mut b, &[("INSERT INTO audit_log (id, msg) VALUES (7001, 'b')", "ok 1"), ("SELECT LAST_INSERT_ID()", "0")]);
    check(
        &mut a,
        &[
            ("SELECT LAST_INSERT_ID()", "7001"),
            ("INSERT INTO audit_log (id, msg) VALUES (NULL, 'made'), (7001, 'there')", "error 1062: Duplicate entry…"),
            ("SELECT LAST_INSERT_ID() > 7001", "1"),
            ("DELETE FROM audit_log", "ok 2"),
        ],
    );
}

/// MySQL remembers with a statement of which type its parameters were, and sessions share prepared statements.
fn types_of_other_sessions(proxy: &TestProxy) {
    let address = proxy.address().to_string();
    let [mut a, mut b] = [(); 2].map(|()| Typed::connect(&address, "app", PASSWORD, "shop"));
    let sql = "SELECT COUNT(*) FROM settings WHERE CONCAT(k, 'x') = ?";
    for argument in [Argument::Int(0), Argument::Double(0.0), Argument::Text("zz".to_owned()), Argument::Int(0)] {
        let expected = if matches!(argument, Argument::Text(_)) { 0 } else { 1_i64 };
        for client in [&mut a, &mut b] {
            let reply = client.execute(sql, std::slice::from_ref(&argument));
            let cell = reply.outcomes[0].rows[0][0].clone();
            assert_eq!(cell, Some(expected.to_le_bytes().to_vec()), "{argument:?}: {}", reply.show());
        }
    }
}

/// A statement that is prepared, and not executed, gives a variable the character set of the value that it would get
/// (MariaDB): on a pooled connection nobody may meet that.
fn variables_that_others_prepare(proxy: &TestProxy) {
    let address = proxy.address().to_string();
    let mut a = Client::of(proxy);
    let set = "SET @word = _utf8mb4 x'C39F' COLLATE utf8mb4_general_ci";
    a.run(set);
    a.run("INSERT INTO settings VALUES ('word', '1')");
    for _ in 0..12 {
        let mut b = Typed::connect(&address, "app", PASSWORD, "shop");
        b.query(set);
        b.execute_each("SELECT @word := 2 FROM settings", &[]);
        b.execute_each("SET @word = 1.5", &[]);
        let seen =
            "SELECT /*+ shardloom(primary) */ HEX(CONVERT(@word USING utf8mb4)), CHARSET(@word) FROM settings LIMIT 1";
        assert_eq!(a.show(seen), "C39F|utf8mb4");
    }
    a.run("DELETE FROM settings WHERE k = 'word'");
}

/// What MySQL makes of a value hangs on what its parameter was before: the same, or a refusal.
fn types_of_earlier_executions(shop: &Shop, proxy: &TestProxy) {
    use Argument::{Double, Int};
    let text = |text: &str| Argument::Text(text.to_owned());
    let server = shop.cluster.cluster.groups[0].primary.addr();
    let mut many = Typed::connect(&proxy.address().to_string(), "app", PASSWORD, "shop");
    let mut one = Typed::connect(&server, account::USER, account::PASSWORD, "shop");
    let mut client = Client::of(proxy);
    let mut on_server = Client::connect(&server, account::USER, account::PASSWORD, "shop");
    let converts = !client.show("SELECT VERSION()").contains("MariaDB");
    client.run("CREATE TABLE typed (i INT, n VARCHAR(20), d DECIMAL(8,2), f DOUBLE)");
    let (whole, word) = ("SELECT i FROM typed WHERE i = ?", "SELECT n FROM typed WHERE n = ?");
    // The last value of some is refused where MySQL converts it.
    for (sql, executions, refused) in [
        (word, vec![vec![text("5")], vec![Int(5)], vec![Double(5.0)]], false),
        (word, vec![vec![Int(5)], vec![text("ann")]], true),
        (word, vec![vec![Double(5.0)], vec![Int(5)]], true),
        (whole, vec![vec![Int(5)], vec![text("5")], vec![Double(5.0)], vec![Int(5)], vec![text("7")]], false),
        (whole, vec![vec![Int(5)], vec![text("ann")]], true),
        (
            "SELECT i FROM typed WHERE i IN (?, 9) AND d BETWEEN ? AND 9",
            vec![vec![Int(5), Double(1.0)], vec![text("5"), Int(1)]],
            false,
        ),
        ("SELECT i FROM (SELECT n AS i FROM typed) AS t WHERE i = ?", vec![vec![Int(5)], vec![text("5")]], true),
        ("SELECT ? + 1", vec![vec![text("1")], vec![Int(1)], vec![Double(1.5)]], false),
        ("SELECT ? + 1", vec![vec![Double(1.5)], vec![Int(1)]], true),
        (
            "INSERT INTO typed VALUES (?, ?, ?, ?)",
            vec![vec![Int(1), Int(5), Double(1.5), Int(1)], vec![text("2"), text("ann"), Int(2), text("2.5")]],
            false,
        ),
        ("UPDATE typed SET n = ? WHERE i = ?", vec![vec![Int(7), Int(1)], vec![text("bob"), text("2")]], false),
        ("INSERT INTO typed (n) VALUES (CONCAT(?, 'x'))", vec![vec![Int(7)], vec![text("bob")]], true),
    ] {
        let mut seen = Vec::new();
        for typed in [&mut one, &mut many] {
            // Who reads has written: replicas may be behind for others.
            typed.query("DELETE FROM typed");
            typed.query("INSERT INTO typed VALUES (5, '5', 5, 5), (7, 'ann', 7, 7.25), (1, '0', 1, 1), (2, 'x', 2, 2)");
            let mut replies = typed.execute_each(sql, &executions);
            let last = replies.pop().unwrap();
            seen.push((replies, last, on_server.show("SELECT * FROM typed ORDER BY i, n")));
        }
        let [(before, last, rows), (before_through, last_through, rows_through)] = &seen[..] else { unreachable!() };
        assert_eq!(before, before_through, "{sql}");
        if refused && converts {
            let error = last_through.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            assert!(error.contains("another type than in an earlier execution"), "{sql}: {}", last_through.show());
        } else {
            assert_eq!((last, rows), (last_through, rows_through), "{sql}");
        }
    }
    client.run("DROP TABLE typed");
}

fn pinned(proxy: &TestProxy) {
    let mut a = Client::of(proxy);
    check(
        &mut a,
        &[
            ("CREATE TEMPORARY TABLE t (i INT)", "ok 0"),
            ("INSERT INTO t VALUES (1), (2)", "ok 2"),
            ("SELECT SUM(i) FROM t", "3"),
            ("SELECT GET_LOCK('l', 1)", "1"),
            ("SELECT RELEASE_LOCK('l')", "1"),
        ],
    );
    let mut b = Client::of(proxy);
    let missing = "error 1146: Table 'shop.t' doesn't exist";
    check(&mut b, &[("SELECT * FROM t", missing)]);
    // Other locks come and go on its connection; the table stays until it is dropped, or the session reset.
    check(
        &mut a,
        &[
            ("LOCK TABLES settings READ", "ok 0"),
            ("UNLOCK TABLES", "ok 0"),
            ("SELECT SUM(i) FROM t", "3"),
            ("DROP TABLE t", "ok 0"),
            ("SELECT * FROM t", missing),
            ("CREATE TEMPORARY TABLE t (i INT)", "ok 0"),
        ],
    );
    a.reset();
    check(&mut a, &[("SELECT * FROM t", missing)]);
    // What statements meant in front of which a temporary table stood is forgotten with it.
    a.reset();
    check(
        &mut a,
        &[
            ("INSERT INTO users (id, name) VALUES (77, 'real')", "ok 1"),
            ("CREATE TEMPORARY TABLE users (id INT)", "ok 0"),
            ("SELECT COUNT(*) FROM users WHERE id = 77", "0"),
        ],
    );
    a.reset();
    check(
        &mut a,
        &[
            ("CREATE TEMPORARY TABLE t (i INT)", "ok 0"),
            ("SELECT COUNT(*) FROM users WHERE id = 77", "1"),
            ("DELETE FROM users WHERE id = 77", "ok 1"),
        ],
    );
    drop(a);
    check(
        &mut b,
        &[("LOCK TABLES settings READ", "ok 0"), ("SELECT COUNT(*) FROM settings", "1"), ("UNLOCK TABLES", "ok 0")],
    );
}

fn kill(proxy: &TestProxy) {
    let mut victim = Client::of(proxy);
    let mut killer = Client::of(proxy);
    let id = victim.conn.thread_id;
    let sleeper = std::thread::spawn(move || {
        let started = Instant::now();
        let answer = victim.show("SELECT SLEEP(20) FROM settings");
        (victim, answer, started.elapsed())
    });
    // Seen by others of the same user, and by nobody else.
    wait_for_process(&mut killer, id, "app|shop|Query|SELECT SLEEP(20) FROM settings");
    let mut other = Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop");
    let listed = other.run("SHOW PROCESSLIST");
    assert!((0..listed.rows.len()).all(|row| listed.text(row, 1).as_deref() == Some("wide")));
    check(&mut other, &[(&format!("KILL {id}"), &format!("error 1095: You are not owner of thread {id}"))]);
    check(
        &mut killer,
        &[(&format!("KILL QUERY {id}"), "ok 0"), ("KILL 999999", "error 1094: Unknown thread id: 999999")],
    );
    let (mut victim, answer, took) = sleeper.join().unwrap();
    let mut typed = Typed::connect(&proxy.address().to_string(), "app", PASSWORD, "shop");
    let told = typed.execute("SELECT CONNECTION_ID()", &[]);
    let number = told.outcomes[0].rows[0][0].as_deref().and_then(|cell| cell.first_chunk::<4>()).unwrap();
    let number = u32::from_le_bytes(*number);
    let sleeper = std::thread::spawn(move || typed.execute("SELECT SLEEP(?)", &[Argument::Int(20)]));
    wait_for_process(&mut killer, number, "app|shop|Execute|SELECT SLEEP(?)");
    check(&mut killer, &[(&format!("KILL QUERY {number}"), "ok 0")]);
    sleeper.join().unwrap();
    let own = killer.conn.thread_id;
    wait_for_process(&mut killer, own, "app|shop|Query|SHOW FULL PROCESSLIST");
    wait_for_process(&mut killer, id, "app|shop|Sleep|");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // MySQL's SLEEP() answers 1 when it is interrupted; MariaDB's is error 1317.
    assert!(answer == "1" || answer.starts_with("error 1317"), "{answer}");
    check(&mut victim, &[("SELECT 1", "1")]);
    check(&mut killer, &[(&format!("KILL {id}"), "ok 0")]);
    // It may be in the middle of this statement when it hears.
    let gone = (0..1000).map(|_| victim.show("SELECT 1")).find(|told| told != "1").expect("the connection is killed");
    assert!(gone.starts_with("lost") || gone.starts_with("error 1184"), "{gone}");
    let own = killer.show("KILL CONNECTION_ID()");
    assert!(own.starts_with("error 1317") || own.starts_with("error 1927"), "{own}");
    assert!(killer.show("SELECT 1").starts_with("lost"));
}

/// Waits until a connection is seen so: user, schema, command and statement.
fn wait_for_process(client: &mut Client, id: u32, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = client.run("SHOW FULL PROCESSLIST");
        let row = (0..listed.rows.len()).find(|row| listed.text(*row, 0) == Some(id.to_string())).unwrap();
        let seen = [1, 3, 4, 7].map(|column| listed.text(row, column).unwrap_or_default()).join("|");
        if seen == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{id} is {seen}, not {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hints_and_plans(proxy: &TestProxy) {
    let mut a = Client::of(proxy);
    check(
        &mut a,
        &[
            (
                "SELECT /*+ shardloom(timeout=300ms) */ SLEEP(5) FROM settings",
                "error 3024: Query execution was interrupted, maximum statement…",
            ),
            ("SELECT /*+ shardloom(primry) */ 1", "error 1064: Shardloom cannot read the hint…"),
            ("EXPLAIN SHARDLOOM SELECT * FROM users WHERE id = 1", "relay|…"),
            ("EXPLAIN SHARDLOOM SELECT COUNT(*) FROM users", "merge|…"),
            ("SELECT DISTINCT NOW(6) = (SELECT NOW(6)) FROM settings", "1"),
            ("XA START 'x'", "error 1235: Shardloom does not support XA…"),
            ("SELECT 1; SELECT 2", "error 1064: You have an error in your SQL syntax…"),
            ("", "error 1065: Query was empty"),
            ("-- nothing", "ok 0"),
        ],
    );
}

/// All shards of one statement see one clock, and the connections' clocks run again behind it.
fn one_clock(proxy: &TestProxy) {
    let mut wide = Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop");
    for id in 500..540 {
        wide.run(&format!("INSERT INTO users (id, name) VALUES ({id}, 'clock')"));
    }
    let rows = wide.run("SELECT /*+ shardloom(primary) */ NOW(6), id FROM users WHERE id >= 500");
    let clocks: std::collections::BTreeSet<_> = rows.rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!((rows.rows.len(), clocks.len()), (40, 1));
    let later = wide.run("SELECT /*+ shardloom(primary) */ NOW(6) FROM users WHERE id = 500");
    assert!(!clocks.contains(&later.rows[0][0]));
    wide.run("DELETE FROM users WHERE id >= 500");
}

/// Whatever a client does, others are served, and no connection to a server is left dirty.
#[test]
fn bad_clients_disturb_nobody() {
    for installation in installations().into_iter().take(1) {
        let shop = Shop::open(&installation);
        let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| {
            config.timeouts.handshake = Duration::from_secs(3);
            config.limits.connections = 60;
        });
        let mut good = Client::of(&proxy);
        check(&mut good, &[("INSERT INTO settings VALUES ('a', '1')", "ok 1")]);
        garbage_before_login(&proxy);
        silence(&proxy);
        a_client_that_leaves_in_the_middle(&proxy);
        wrong_password(&proxy);
        check(&mut good, &[("SELECT v FROM settings WHERE k = 'a'", "1")]);
        assert_servers_are_quiet(&shop);
    }
}

fn garbage_before_login(proxy: &TestProxy) {
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 300], &[0, 0, 0, 1], &[1, 0, 0, 9, 0], b"\x05\x00\x00\x01abc"]
    {
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = [0; 256];
        assert!(socket.read(&mut greeting).unwrap() > 0);
        socket.write_all(garbage).unwrap();
        socket.shutdown(Shutdown::Write).ok();
        // An error or the end, never silence.
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).ok();
    }
}

/// Connections that never speak are closed, and while they last they count.
fn silence(proxy: &TestProxy) {
    let silent: Vec<TcpStream> = (0..80).filter_map(|_| TcpStream::connect(proxy.address()).ok()).collect();
    for mut socket in silent {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).expect("closed by the proxy");
    }
    check(&mut Client::of(proxy), &[("SELECT 1", "1")]);
}

fn a_client_that_leaves_in_the_middle(proxy: &TestProxy) {
    let mut leaver = Client::of(proxy);
    leaver.conn.send(3, b"SELECT SLEEP(30) FROM settings");
    // The query is running when the socket closes.
    let leaver = std::thread::spawn(move || {
        leaver.flush();
        std::thread::sleep(Duration::from_millis(300));
        drop(leaver);
    });
    leaver.join().unwrap();
    let mut in_transaction = Client::of(proxy);
    in_transaction.run("BEGIN");
    in_transaction.run("UPDATE settings SET v = 'lost' WHERE k = 'a'");
    drop(in_transaction);
}

fn wrong_password(proxy: &TestProxy) {
    let address = proxy.address().to_string();
    for (user, password) in [("app", "wrong"), ("app", ""), ("nobody", PASSWORD)] {
        let error = Client::try_connect(&address, user, password, "shop").err().expect("refused");
        assert!(error.contains("Access denied for user"), "{user}: {error}");
    }
    let error = Client::try_connect(&address, "app", PASSWORD, "nowhere").err().expect("refused");
    assert!(error.contains("1049") || error.contains("Unknown database"), "{error}");
}

/// No statement of the proxy's is still running, and no transaction of its is open.
pub(crate) fn assert_servers_are_quiet(shop: &Shop) {
    let running = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{}' AND COMMAND NOT IN ('Sleep', \
         'Binlog Dump', 'Binlog Dump GTID')",
        account::USER
    );
    let open = "SELECT COUNT(*) FROM information_schema.INNODB_TRX";
    for group in &shop.cluster.cluster.groups {
        let none = |sql: &str| group.primary.sql(sql).unwrap() == "0";
        wait_until("no statement runs, no transaction is open", || none(&running) && none(open));
    }
}

/// A server that dies takes its statements and transactions with it, and nothing else; when it is back, so is all.
#[test]
fn a_server_that_dies_fails_its_own_statements_only() {
    for installation in installations() {
        let mut shop = Shop::open(&installation);
        let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| {
            config.timeouts.primary_wait = Duration::from_millis(500);
            config.timeouts.probe = Duration::from_millis(200);
        });
        let mut wide = Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop");
        for id in 1..=20 {
            wide.run(&format!("INSERT INTO users (id, name) VALUES ({id}, 'u{id}')"));
        }
        wide.run("INSERT INTO settings VALUES ('a', '1')");
        let mut open = Client::of(&proxy);
        open.run("BEGIN");
        open.run("INSERT INTO audit_log (msg) VALUES ('never')");
        shop.cluster.cluster.groups[1].primary.kill();
        check(&mut wide, &[("SELECT v FROM settings", "1")]);
        // A missing shard is an error, never fewer rows. (A replica that has lost its primary cannot say how far
        // it is behind, and is soon not read any more.)
        let count = wide.show("SELECT /*+ shardloom(primary) */ COUNT(*) FROM users");
        assert!(count.starts_with("error 2013"), "{count}");
        let failed = open.show("INSERT INTO audit_log (msg) VALUES ('never either')");
        // The loss may already have been seen behind the first INSERT's answer.
        assert!(failed.starts_with("error 2013") || failed.starts_with("error 1184"), "{failed}");
        let failed = open.show("SELECT v FROM settings");
        assert!(failed.starts_with("error 1184: The transaction was rolled back because"), "{failed}");
        check(&mut open, &[("ROLLBACK", "ok 0"), ("SELECT v FROM settings", "1")]);
        shop.cluster.cluster.groups[1].primary.restart().unwrap();
        let count = "SELECT /*+ shardloom(primary) */ COUNT(*) FROM users";
        wait_until("g1 is back", || wide.show(count) == "20");
        check(&mut wide, &[("SELECT COUNT(*) FROM audit_log", "0")]);
    }
}

/// Rules are taken over whole or not at all, while clients are connected.
#[test]
fn rules_reload_all_or_nothing() {
    let installation = installations().remove(0);
    let shop = Shop::open(&installation);
    let proxy = shop.proxy();
    let mut client = Client::of(&proxy);
    client.run("INSERT INTO users (id, name) VALUES (1, 'ann')");
    proxy.reload(&shop.cluster.cluster, "[schema.shop]\nhome = \"nowhere\"\n");
    std::thread::sleep(Duration::from_millis(500));
    check(&mut client, &[("SELECT name FROM users WHERE id = 1", "ann")]);
    let single = RULES.replace("audit_log  = { group = \"g1\" }", "audit_log  = { group = \"g0\" }");
    proxy.reload(&shop.cluster.cluster, &single);
    let explain = "EXPLAIN SHARDLOOM SELECT * FROM audit_log";
    wait_until("the new rules are in force", || client.show(explain).contains("g0"));
    check(&mut client, &[("SELECT name FROM users WHERE id = 1", "ann")]);
}

/// SIGTERM: no new clients, idle ones are told, running transactions may end.
#[test]
fn draining_lets_transactions_end() {
    let installation = installations().remove(0);
    let shop = Shop::open(&installation);
    let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| config.timeouts.drain = PATIENCE);
    let mut idle = Client::of(&proxy);
    let mut busy = Client::of(&proxy);
    busy.run("BEGIN");
    busy.run("INSERT INTO settings VALUES ('drained', 'yes')");
    let address = proxy.address().to_string();
    proxy.stop();
    wait_until("there are no new clients", || Client::try_connect(&address, "app", PASSWORD, "shop").is_err());
    let mut told = String::new();
    wait_until("idle clients are told", || {
        told = idle.show("SELECT 1");
        told != "1"
    });
    assert!(told.starts_with("error 1053") || told.starts_with("lost"), "{told}");
    check(&mut busy, &[("COMMIT", "ok 0")]);
    let mut check_on_server =
        Client::connect(&shop.cluster.cluster.groups[0].primary.addr(), account::USER, account::PASSWORD, "shop");
    check(&mut check_on_server, &[("SELECT v FROM settings WHERE k = 'drained'", "yes")]);
}
