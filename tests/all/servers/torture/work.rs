//! What the clients of a campaign do: transactions over several groups, each of which leaves its number.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::servers::atomic::RULES;
use crate::servers::proxy::{Client, PASSWORD};
use crate::servers::score::dice::Dice;
use crate::servers::torture::history::{Deed, History, Read, Told};

/// The bank's rules, with lists, notes and slots for its rates.
pub(super) fn rules() -> String {
    let tables = "list = { family = \"by_id\" }\nnote = { family = \"by_id\" }\nslot = { family = \"by_id\" }";
    RULES.replace("rates = { broadcast = true }", tables)
}

pub(super) const ACCOUNTS: u64 = 30;
/// Lists that are appended to at the same time.
const LISTS_AT_ONCE: u64 = 6;
/// Numbers after which the next lists are taken, so that none becomes long.
const NUMBERS_A_LIST: u64 = 1200;
/// So many numbers in a row want the same slot, if they want one.
const RIVALS: u64 = 8;
/// All lists there are.
pub(super) const LISTS: u64 = 6000;

/// What all clients share.
#[derive(Default)]
pub(super) struct Shared {
    next: AtomicU64,
    over: AtomicBool,
    pub(super) history: Mutex<History>,
}

impl Shared {
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// One client, which works until the campaign is over, through one proxy and, when that does not answer, the other.
pub(super) fn work(shared: &Shared, proxies: [SocketAddr; 2], seed: u64) {
    let mut dice = Dice::seeded(seed);
    let mut client = None;
    while !shared.over.load(Ordering::Relaxed) {
        let Some(mut open) = client.take().or_else(|| connect(proxies[dice.below(2)])) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let lost = match dice.below(4) {
            0 => read(shared, &mut open, number, &mut dice),
            _ => write(shared, &mut open, number, &mut dice),
        };
        client = (!lost).then_some(open);
    }
}

fn connect(proxy: SocketAddr) -> Option<Client> {
    Client::try_connect(&proxy.to_string(), "app", PASSWORD, "bank").ok()
}

/// A transaction that writes; whether the connection was lost.
fn write(shared: &Shared, client: &mut Client, number: u64, dice: &mut Dice) -> bool {
    let deed = deed(number, dice);
    let statements = statements(&deed, number);
    let last = statements.len() - 1;
    let (mut told, mut lost) = (Told::Committed, false);
    for (i, sql) in statements.iter().enumerate() {
        let shown = client.show(sql);
        if shown.starts_with("ok") {
            continue;
        }
        lost = shown.starts_with("lost");
        // Before COMMIT was sent, nothing may have been committed.
        let unknown = i == last && (lost || shown.contains("is committed on all groups or will be rolled back on all"));
        told = if unknown { Told::Unknown } else { Told::Refused };
        if !lost && i != last {
            lost = client.show("ROLLBACK").starts_with("lost");
        }
        break;
    }
    if told != Told::Committed {
        // Not to be refused thousands of times while a server is away.
        std::thread::sleep(Duration::from_millis(20));
    }
    shared.history.lock().unwrap().deeds.insert(number, (deed, told));
    lost
}

fn deed(number: u64, dice: &mut Dice) -> Deed {
    let mut below = |n: u64| dice.below(n as usize) as u64;
    match below(3) {
        0 => {
            let from = below(ACCOUNTS);
            // On another group.
            let to = (from + 3 * below(ACCOUNTS / 3) + 1 + below(2)) % ACCOUNTS;
            Deed::Transfer { from, to, amount: 1 + below(50) as i64 }
        }
        1 => Deed::Append { lists: some_lists(number, dice) },
        _ => Deed::Claim,
    }
}

/// Two or three lists, each of another group; mostly in an order that all clients keep.
fn some_lists(number: u64, dice: &mut Dice) -> Vec<u64> {
    let first = number / NUMBERS_A_LIST * LISTS_AT_ONCE % LISTS;
    let mut groups = vec![0, 1, 2];
    groups.remove(dice.below(3));
    if dice.chance(30) {
        groups = vec![0, 1, 2];
    }
    if dice.chance(10) {
        groups.reverse();
    }
    groups.into_iter().map(|group| first + group + 3 * dice.below(2) as u64).collect()
}

fn statements(deed: &Deed, number: u64) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned()];
    match deed {
        Deed::Transfer { from, to, amount } => {
            for (account, change) in [(from, -amount), (to, *amount)] {
                statements.push(format!("UPDATE acct SET v = v + {change} WHERE id = {account}"));
            }
            for account in [from, to] {
                statements.push(format!("INSERT INTO note (id, n) VALUES ({}, {number})", 3 * number + account % 3));
            }
        }
        Deed::Append { lists } => {
            let append = |list| format!("UPDATE list SET v = CONCAT(v, '{number},') WHERE id = {list}");
            statements.extend(lists.iter().map(append));
        }
        Deed::Claim => {
            let slot = number / RIVALS;
            let rows: Vec<String> = (0..3).map(|group| format!("({}, {number})", 3 * slot + group)).collect();
            return vec![format!("INSERT INTO slot (id, n) VALUES {}", rows.join(", "))];
        }
    }
    statements.push("COMMIT".to_owned());
    statements
}

/// A transaction that reads some lists; whether the connection was lost.
fn read(shared: &Shared, client: &mut Client, number: u64, dice: &mut Dice) -> bool {
    let mut lists = some_lists(number, dice);
    lists.sort_unstable();
    let locking = dice.chance(50);
    let lock = if locking { " FOR UPDATE" } else { "" };
    let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
    client.show("BEGIN");
    let found = client.query(&format!("SELECT id, v FROM list WHERE id IN ({}){lock}", lists.join(", ")));
    let end = client.show("COMMIT");
    if let Ok(found) = found {
        let row = |row| Some((found.text(row, 0)?.parse().ok()?, numbers(&found.text(row, 1)?)));
        let lists: BTreeMap<u64, Vec<u64>> = (0..found.rows.len()).filter_map(row).collect();
        // A transaction that does not commit may have lost its locks on one group while it waited for another.
        let locking = locking && end == "ok 0";
        shared.history.lock().unwrap().reads.push(Read { lists, locking });
    }
    end.starts_with("lost")
}

/// A list as it is stored: each number with a comma behind it.
pub(super) fn numbers(list: &str) -> Vec<u64> {
    list.split_terminator(',').map(|number| number.parse().unwrap()).collect()
}
