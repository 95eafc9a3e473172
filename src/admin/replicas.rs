//! Which replicas of MariaDB have branches that their primary has not, or stopped at the end of one: what a server that
//! crashed leaves behind, as it writes XA statements to its binary log before it carries them out (MDEV-21469). It reads
//! only, and knows nothing of what becomes of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::cluster::Group;
use crate::backend::conn::{Answer, BackendError, Class, Conn};
use crate::backend::server::Server;
use crate::commit::id::{BranchId, GlobalId};
use crate::error::SqlError;
use crate::txn::site::branches_of_ours;

/// ER_XAER_NOTA, at which a replica stops that is to end a branch that it has not.
const UNKNOWN_BRANCH: &str = "1397";
/// Looks at a replica: one alone can meet a branch that is being prepared this moment.
const LOOKS: u32 = 2;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Seconds that a replica may take to do what its primary had done at the look.
const CATCH_UP: u32 = 5;

type Branches = BTreeSet<(GlobalId, BranchId)>;

/// What a DBA has to know of the group's replicas; nothing of those that cannot be asked, which other words are for.
///
/// # Errors
/// That of a primary that cannot be asked.
pub async fn of(group: &Group) -> Result<Vec<String>, SqlError> {
    let primary = group.primary().await?;
    let mut warnings = Vec::new();
    let mut conn = open(primary).await?;
    if !conn.info.mariadb {
        return Ok(warnings);
    }
    for member in group.members().iter().filter(|member| !Arc::ptr_eq(&member.server, primary)) {
        let replica = &member.server;
        let Ok(mut other) = open(replica).await else { continue };
        match look(&mut conn, &mut other).await {
            Ok(found) => warnings.extend(found.into_iter().map(|found| format!("{}: {found}", replica.name))),
            Err(error) => tracing::debug!(replica = replica.name, %error, "its branches cannot be looked at"),
        }
    }
    Ok(warnings)
}

async fn open(server: &Server) -> Result<Conn, SqlError> {
    server.connect(Class { deprecate_eof: true, found_rows: false }).await
}

async fn look(primary: &mut Conn, replica: &mut Conn) -> Result<Option<String>, BackendError> {
    let status = replica.query("SHOW SLAVE STATUS").await?;
    let column = |name: &str| status.column(name).and_then(|column| status.text(0, column)).unwrap_or_default();
    if column("Last_SQL_Errno") == UNKNOWN_BRANCH {
        return Ok(Some(format!(
            "it stopped at a branch that it has not, as a server of MariaDB does whose primary crashed (MDEV-21469); do not \
             promote it, make it anew from its primary: {}",
            column("Last_SQL_Error")
        )));
    }
    let (mut alone, mut reached) = (None::<Branches>, true);
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        reached = catch_up(primary, replica).await?;
        let there = branches_of_ours(&replica.query("XA RECOVER").await?);
        let here = branches_of_ours(&primary.query("XA RECOVER").await?);
        let missed: Branches = there.difference(&here).copied().collect();
        let again = alone.map_or_else(|| missed.clone(), |before| before.intersection(&missed).copied().collect());
        if again.is_empty() {
            return Ok(None);
        }
        alone = Some(again);
    }
    Ok(alone.map(|alone| told(&alone, reached)))
}

/// Whether the replica has done, within some seconds, what the primary has by now.
async fn catch_up(primary: &mut Conn, replica: &mut Conn) -> Result<bool, BackendError> {
    let text = |answer: Answer| answer.text(0, 0).unwrap_or_default();
    // Numbers, hyphens and commas.
    let position = text(primary.query("SELECT @@GLOBAL.gtid_binlog_pos").await?);
    Ok(text(replica.query(&format!("SELECT MASTER_GTID_WAIT('{position}', {CATCH_UP})")).await?) == "0")
}

fn told(alone: &Branches, reached: bool) -> String {
    let names: Vec<String> = alone.iter().take(3).map(|(global, branch)| format!("'{global}','{branch}'")).collect();
    let more = if alone.len() > names.len() { ", ..." } else { "" };
    let (count, names) = (alone.len(), names.join(", "));
    let behind = if reached { "" } else { ", and does not catch up, maybe as it waits for their locks" };
    format!(
        "it has {count} prepared branches that its primary has not ({names}{more}){behind}: as a server of MariaDB does whose \
         primary crashed (MDEV-21469); make it anew, or roll them back there with sql_log_bin = 0"
    )
}
