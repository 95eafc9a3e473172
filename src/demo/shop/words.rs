//! What names and other words in the sample shop are made of.

pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Alan",
    "Barbara",
    "Carl",
    "Dorothy",
    "Edsger",
    "Emmy",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "Jean",
    "Joan",
    "Katherine",
    "Konrad",
    "Leslie",
    "Lynn",
    "Margaret",
    "Maria",
    "Niklaus",
    "Noor",
    "Otto",
    "Priya",
    "Radia",
    "Sofia",
    "Tim",
    "Ursula",
    "Vera",
    "Wei",
    "Yuki",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "Allen", "Bauer", "Conway", "Dahl", "Dijkstra", "Evans", "Fischer", "Garcia", "Hamilton", "Hopper", "Iversen",
    "Johnson", "Keller", "Kowalski", "Lamport", "Liskov", "Lovelace", "Martin", "Nguyen", "Noether", "Perlman",
    "Rossi", "Sato", "Silva", "Turing", "Weber", "Wirth", "Yamada", "Zhang", "Zuse",
];

pub(super) const COUNTRIES: &[&str] = &["AT", "BR", "CH", "CN", "DE", "ES", "FR", "GB", "IN", "IT", "JP", "PL", "US"];

pub(super) const KINDS: &[&str] = &[
    "Black", "Blue", "Brass", "Copper", "Folding", "Green", "Large", "Light", "Oak", "Plain", "Quiet", "Red", "Small",
];

/// A category and what it sells.
pub(super) const CATEGORIES: &[(&str, &[&str])] = &[
    ("books", &["Atlas", "Cookbook", "Dictionary", "Novel", "Sketchbook"]),
    ("garden", &["Hose", "Rake", "Shears", "Spade", "Watering can"]),
    ("kitchen", &["Bowl", "Grater", "Kettle", "Pan", "Teapot"]),
    ("office", &["Chair", "Desk", "Lamp", "Pen", "Shelf"]),
    ("travel", &["Backpack", "Bottle", "Compass", "Suitcase", "Tent"]),
];

/// Code, name, rate.
pub(super) const CURRENCIES: &[(&str, &str, &str)] = &[
    ("EUR", "Euro", "1.0000"),
    ("USD", "US Dollar", "1.0827"),
    ("GBP", "Pound Sterling", "0.8345"),
    ("CHF", "Swiss Franc", "0.9412"),
    ("JPY", "Yen", "163.4500"),
    ("PLN", "Zloty", "4.2790"),
    ("BRL", "Real", "6.1150"),
    ("INR", "Rupee", "91.2300"),
];

pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("shop.name", "The sample shop"),
    ("shop.currency", "EUR"),
    ("mail.from", "orders@example.com"),
    ("stock.warn_below", "5"),
];
