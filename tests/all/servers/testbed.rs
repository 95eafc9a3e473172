//! Servers for tests: which flavours there are, and folders that vanish with the test.

use std::fs;
use std::path::Path;
use std::sync::Once;

use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::install::{FLAVOURS, Installation, ServerError};
use shardloom::sql::Flavour;
use tempfile::TempDir;

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
    _folder: TempDir,
}

impl TestCluster {
    pub(crate) fn start(installation: &Installation, layout: &Layout) -> TestCluster {
        let folder = folder();
        let cluster = Cluster::start(installation, folder.path(), layout).unwrap();
        TestCluster { cluster, _folder: folder }
    }
}

/// In the system's folder for temporary files: a socket's path may have at most 107 bytes.
/// What a killed test run left behind is removed first: the name holds the process that made it.
pub(crate) fn folder() -> TempDir {
    static SWEEP: Once = Once::new();
    SWEEP.call_once(sweep);
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir().unwrap()
}

const PREFIX: &str = "shardloom-test-";

fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}
