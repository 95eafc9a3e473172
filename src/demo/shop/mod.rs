//! The sample shop: its rules, its tables and its rows, the same at every start.
//! It knows no server and no connection: text out.

mod words;

use std::fmt::Write;

use words::{CATEGORIES, COUNTRIES, CURRENCIES, FIRST_NAMES, KINDS, LAST_NAMES, SETTINGS};

/// Its schema and tables, for a rule file whose groups are `g0` and `g1`.
pub const RULES: &str = include_str!("rules.toml");

/// One CREATE TABLE after the other, by logical names.
pub const TABLES: &str = include_str!("schema.sql");

/// Rows of one INSERT.
const BATCH: usize = 1000;
const PRODUCTS: u64 = 500;
/// An order has one to this many lines.
const LINES: u64 = 3;
/// Orders are spread over 24 months of 28 days from January 2024 on.
const SECONDS: u64 = 24 * 28 * 86_400;

/// The INSERT statements that fill the tables with `orders` orders, their lines, and users, products and the rest
/// in proportion. The totals of the orders are the sums of their lines.
pub fn inserts(orders: u64) -> impl Iterator<Item = String> {
    let users = (orders / 20).max(1);
    let small = [
        batch("currencies", CURRENCIES.iter().map(|(code, name, rate)| format!("('{code}', '{name}', {rate})"))),
        batch("settings", SETTINGS.iter().map(|(name, value)| format!("('{name}', '{value}')"))),
        batch("products", (1..=PRODUCTS).map(product)),
    ];
    let people = batches(users).map(move |ids| batch("users", ids.map(move |id| user(id, users))));
    let sales = batches(orders).flat_map(move |ids| {
        let lines = ids.clone().flat_map(move |id| Order::new(id, orders, users).lines());
        [batch("orders", ids.map(move |id| Order::new(id, orders, users).row())), batch("order_items", lines)]
    });
    small.into_iter().chain(people).chain(sales)
}

/// 1 to `count`, in pieces.
fn batches(count: u64) -> impl Iterator<Item = std::ops::RangeInclusive<u64>> {
    (1..=count).step_by(BATCH).map(move |first| first..=(first + BATCH as u64 - 1).min(count))
}

fn batch(table: &str, rows: impl Iterator<Item = String>) -> String {
    let mut sql = format!("INSERT INTO {table} VALUES ");
    for (number, row) in rows.enumerate() {
        if number > 0 {
            sql.push_str(", ");
        }
        sql.push_str(&row);
    }
    sql
}

fn user(id: u64, users: u64) -> String {
    let mut chance = Chance::new(1, id);
    let (first, last) = (chance.of(FIRST_NAMES), chance.of(LAST_NAMES));
    let email = format!("{}.{}{id}@example.com", first.to_lowercase(), last.to_lowercase());
    format!("({id}, '{first} {last}', '{email}', '{}', '{}')", chance.of(COUNTRIES), moment(id, users))
}

fn product(id: u64) -> String {
    let mut chance = Chance::new(2, id);
    let (category, things) = chance.of(CATEGORIES);
    let name = format!("{} {}", chance.of(KINDS), chance.of(things));
    format!("({id}, '{name}', '{category}', {})", money(price(id)))
}

/// In cents.
fn price(product: u64) -> u64 {
    let mut chance = Chance::new(3, product);
    let size = [10, 100, 1000][chance.below(3) as usize];
    (chance.below(size * 90) / 10 + size) * 10 + 9
}

struct Order {
    id: u64,
    user: u64,
    created_at: String,
    status: &'static str,
    currency: &'static str,
    /// Product, quantity.
    lines: Vec<(u64, u64)>,
}

impl Order {
    fn new(id: u64, orders: u64, users: u64) -> Order {
        let mut chance = Chance::new(4, id);
        let status = match chance.below(100) {
            _ if id + 50 > orders => "new", // the last few
            0..2 => "new",
            2..10 => "paid",
            10..95 => "shipped",
            _ => "returned",
        };
        let lines = (0..=chance.below(LINES)).map(|_| (1 + chance.skewed(PRODUCTS), 1 + chance.skewed(4))).collect();
        Order {
            id,
            user: 1 + chance.skewed(users),
            created_at: moment(id, orders),
            status,
            currency: CURRENCIES[chance.skewed(CURRENCIES.len() as u64) as usize].0,
            lines,
        }
    }

    fn row(&self) -> String {
        let total = self.lines.iter().map(|(product, quantity)| price(*product) * quantity).sum();
        let Order { id, user, created_at, status, currency, .. } = self;
        format!("({id}, {user}, '{status}', '{currency}', {}, '{created_at}')", money(total))
    }

    fn lines(self) -> impl Iterator<Item = String> {
        let Order { id, user, lines, .. } = self;
        lines.into_iter().enumerate().map(move |(line, (product, quantity))| {
            format!("({id}, {}, {user}, {product}, {quantity}, {})", line + 1, money(price(product)))
        })
    }
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The time of the `nth` of `count` events.
fn moment(nth: u64, count: u64) -> String {
    let second = (nth - 1) * SECONDS / count;
    let (day, time) = (second / 86_400, second % 86_400);
    let (month, day) = (day / 28, day % 28 + 1);
    let mut text = String::new();
    let _ = write!(text, "{}-{:02}-{day:02} ", 2024 + month / 12, month % 12 + 1);
    let _ = write!(text, "{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
    text
}

/// Numbers that look random and are the same each time: splitmix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn new(stream: u64, number: u64) -> Chance {
        Chance(stream << 48 ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Low numbers more often than high ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let (one, other) = (self.below(bound), self.below(bound));
        one.min(other)
    }

    fn of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_each_time() {
        let all: Vec<String> = inserts(1500).collect();
        let starts: Vec<&str> = all.iter().map(|sql| sql.split(" VALUES").next().unwrap_or_default()).collect();
        assert_eq!(
            starts,
            [
                "INSERT INTO currencies",
                "INSERT INTO settings",
                "INSERT INTO products",
                "INSERT INTO users",
                "INSERT INTO orders",
                "INSERT INTO order_items",
                "INSERT INTO orders",
                "INSERT INTO order_items",
            ]
        );
        assert_eq!(all, inserts(1500).collect::<Vec<_>>());
        assert!(all[4].starts_with("INSERT INTO orders VALUES (1, "), "{:.100}", all[4]);
        assert_eq!(all[4].matches("), (").count(), 999);
        assert_eq!(all[6].matches("), (").count(), 499);
    }

    #[test]
    fn times_stay_in_their_months() {
        assert_eq!(moment(1, 100_000), "2024-01-01 00:00:00");
        assert_eq!(moment(100_000, 100_000), "2025-12-28 23:50:19");
    }

    #[test]
    fn an_order_is_worth_its_lines() {
        for id in 1..100 {
            let order = Order::new(id, 1000, 50);
            let total: u64 = order.lines.iter().map(|(product, quantity)| price(*product) * quantity).sum();
            assert!(order.row().contains(&format!(", {}, ", money(total))));
            assert!((1..=3).contains(&order.lines.len()));
            assert_eq!(order.lines.len(), Order::new(id, 1000, 50).lines().count());
        }
    }
}
