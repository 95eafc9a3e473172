//! A campaign: clients move money, append to lists and insert rows over several groups through two proxies, while proxies
//! and servers are killed, frozen and cut off at random. In the end all groups must agree on what was committed, and with
//! what the clients were told.
//!
//! `make test` lets it run for half a minute, `make torture` for an hour, or DURATION seconds; SEED gives the order of
//! faults again, though not that of everything else; FLAVOUR=MySQL or MariaDB, one of them alone.

mod campaign;
mod history;
mod work;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::servers::testbed::installations;
use crate::servers::torture::campaign::Campaign;

#[test]
fn torture() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let duration = Duration::from_secs(number("DURATION").unwrap_or(30));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("SEED").unwrap_or(now);
    let only = std::env::var("FLAVOUR").ok();
    std::thread::scope(|scope| {
        for installation in installations()
            .into_iter()
            .filter(|found| only.as_ref().is_none_or(|only| *only == found.flavour.to_string()))
        {
            scope.spawn(move || {
                println!("{}: SEED={seed} DURATION={}", installation.flavour, duration.as_secs());
                let campaign = Campaign::start(&installation, seed);
                println!("{}", campaign.run(duration));
            });
        }
    });
}
