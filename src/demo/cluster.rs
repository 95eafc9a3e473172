//! Groups of servers: a primary and its replicas each, with replication seen to work.
//! It knows where servers are and who follows whom; it knows nothing of what lies on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::demo::install::{Installation, ServerError};
use crate::demo::server::{Server, Settings};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Layout {
    /// How many groups.
    pub groups: u16,
    /// How many replicas each has.
    pub replicas: u16,
    /// Semi-synchronous replication: a commit waits until a replica has it.
    pub semi_sync: bool,
    /// Further options for every server, as on mysqld's command line.
    pub options: Vec<String>,
}

impl Layout {
    /// `groups` groups of one primary and `replicas` replicas, asynchronous.
    pub fn new(groups: u16, replicas: u16) -> Layout {
        Layout { groups, replicas, semi_sync: false, options: Vec::new() }
    }
}

/// One primary and its replicas.
#[derive(Debug)]
pub struct Group {
    /// Takes writes.
    pub primary: Server,
    /// Follow the primary, read-only.
    pub replicas: Vec<Server>,
}

impl Group {
    /// Waits until every replica has all that the primary has committed by now.
    ///
    /// # Errors
    /// If one has not within `limit`.
    pub fn catch_up(&self, limit: Duration) -> Result<(), ServerError> {
        self.replicas.iter().try_for_each(|replica| replica.catch_up(&self.primary, limit))
    }
}

/// Several groups. Dropping it kills all servers; the folder stays, for whoever named it to remove.
#[derive(Debug)]
pub struct Cluster {
    /// In order: `g0`, `g1`, ...
    pub groups: Vec<Group>,
    folder: PathBuf,
}

impl Cluster {
    /// Starts all servers at once in `folder` (`g0/primary`, `g0/replica1`, ...) and sees a row arrive on every replica.
    /// Servers that an earlier cluster of the same layout left in that folder go on with their data, on new ports.
    ///
    /// # Errors
    /// If one does not start, or the row does not arrive within half a minute.
    pub fn start(installation: &Installation, folder: &Path, layout: &Layout) -> Result<Cluster, ServerError> {
        fs::create_dir_all(folder).map_err(ServerError::io(format!("creating {}", folder.display())))?;
        let groups = in_parallel(0..layout.groups, |number| {
            start_group(installation, &folder.join(format!("g{number}")), u32::from(number), layout)
        })?;
        Ok(Cluster { groups, folder: folder.to_owned() })
    }

    /// The folder given at the start.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops all servers cleanly, all at once.
    ///
    /// # Errors
    /// If one still runs after a minute.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        let servers =
            self.groups.iter_mut().flat_map(|group| std::iter::once(&mut group.primary).chain(&mut group.replicas));
        in_parallel(servers, Server::stop).map(|_| ())
    }

    /// All servers, each group's primary first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.groups.iter().flat_map(|group| std::iter::once(&group.primary).chain(&group.replicas))
    }

    /// The `[group.*]` part of a rule file for these servers.
    pub fn rules(&self) -> String {
        let mut text = String::new();
        for (number, group) in self.groups.iter().enumerate() {
            let replicas: Vec<String> =
                group.replicas.iter().map(|replica| format!("\"{}\"", replica.addr())).collect();
            text += &format!("[group.g{number}]\nprimary  = \"{}\"\n", group.primary.addr());
            if !replicas.is_empty() {
                text += &format!("replicas = [{}]\n", replicas.join(", "));
            }
            text.push('\n');
        }
        text
    }
}

fn start_group(installation: &Installation, folder: &Path, number: u32, layout: &Layout) -> Result<Group, ServerError> {
    let settings = |place: u32| Settings {
        id: (number + 1) * 100 + place,
        read_only: place > 0,
        semi_sync: layout.semi_sync,
        options: layout.options.clone(),
    };
    let mut servers = in_parallel(0..=u32::from(layout.replicas), |place| {
        let name = if place == 0 { "primary".to_owned() } else { format!("replica{place}") };
        let folder = folder.join(name);
        if folder.join("data").exists() {
            Server::adopt(installation, &folder, settings(place))
        } else {
            Server::start(installation, &folder, settings(place))
        }
    })?;
    let replicas = servers.split_off(1);
    let primary = servers.remove(0);
    for replica in &replicas {
        replica.follow(&primary)?;
    }
    if !replicas.is_empty() {
        see_a_row_arrive(&primary, &replicas)?;
    }
    Ok(Group { primary, replicas })
}

/// The proof that a group replicates: no status is asked, a row is read.
fn see_a_row_arrive(primary: &Server, replicas: &[Server]) -> Result<(), ServerError> {
    primary.sql(
        "DROP DATABASE IF EXISTS shardloom_check;
         CREATE DATABASE shardloom_check;
         CREATE TABLE shardloom_check.t (id INT PRIMARY KEY);
         INSERT INTO shardloom_check.t VALUES (42);",
    )?;
    for replica in replicas {
        replica.catch_up(primary, Duration::from_secs(30))?;
        let row = replica.sql("SELECT id FROM shardloom_check.t")?;
        if row != "42" {
            return Err(ServerError::Timeout(format!("{} does not replicate: it has {row:?}", replica.name())));
        }
    }
    primary.sql("DROP DATABASE shardloom_check")?;
    replicas.iter().try_for_each(|replica| replica.catch_up(primary, Duration::from_secs(30)))
}

/// One thread each; the first error wins, after all have ended.
fn in_parallel<N: Send, T: Send>(
    numbers: impl Iterator<Item = N>,
    start: impl Fn(N) -> Result<T, ServerError> + Sync,
) -> Result<Vec<T>, ServerError> {
    let start = &start;
    thread::scope(|scope| {
        let threads: Vec<_> = numbers.map(|number| scope.spawn(move || start(number))).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(ServerError::Timeout("a starting thread ended".to_owned())))
            })
            .collect()
    })
}
