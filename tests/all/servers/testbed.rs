//! Servers for tests: which flavours there are, and folders that vanish with the test.

use std::time::{Duration, Instant};

use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::{FLAVOURS, Installation, ServerError};
use shardloom::sql::Flavour;

/// Longer than anything takes that a test waits for, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Asks until it is so. Not too often: a server's INNODB_TRX shows what it has shown before to whom asks again within 0.1
/// seconds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The flavours installed here; a test runs once for each. One that is missing is said, not passed over in silence:
/// `make test` repeats it in its last lines. None at all fails the test.
pub(crate) fn installations() -> Vec<Installation> {
    let found: Vec<Installation> = FLAVOURS.into_iter().filter_map(installation).collect();
    assert!(!found.is_empty(), "no MySQL or MariaDB server: run scripts/install-servers");
    found
}

fn installation(flavour: Flavour) -> Option<Installation> {
    match Installation::find(flavour) {
        Ok(found) => Some(found),
        Err(ServerError::NotInstalled(flavour)) => {
            eprintln!("{flavour} is not installed: not tested");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A cluster in a folder of its own; both go when it is dropped.
pub(crate) struct TestCluster {
    pub(crate) cluster: Cluster,
    _folder: TempFolder,
}

impl TestCluster {
    pub(crate) fn start(installation: &Installation, layout: &Layout) -> TestCluster {
        let folder = folder();
        let cluster = Cluster::start(installation, folder.path(), layout).unwrap();
        TestCluster { cluster, _folder: folder }
    }
}

/// A folder that goes when it is dropped, and even when the test run is killed.
pub(crate) fn folder() -> TempFolder {
    TempFolder::new("test").unwrap()
}
