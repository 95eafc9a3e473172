//! The record of a data definition in the metadata schema: what is to be done where, and how far it is. It is written
//! before the first table changes, so that whatever dies, somebody can see what was done and go on.

use crate::backend::conn::Answer;
use crate::backend::metadata::{Metadata, Table, bytes_literal, literal};
use crate::error::{Code, SqlError};
use crate::rules::PhysicalName;

/// A data definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number on the home group; 0 as long as it has none.
    pub id: u64,
    /// The logical schema.
    pub schema: String,
    /// The logical tables that it defines, sorted.
    pub tables: Vec<String>,
    /// The client's statement.
    pub statement: Vec<u8>,
    /// Who sent it.
    pub user: String,
    /// The SET that brings a new connection to the client's settings; empty if it has none of its own.
    pub settings: Vec<u8>,
    /// When it began, in UTC.
    pub started: String,
    /// What it does definitions do not tell: it empties tables, or lets them change their names.
    pub by_number: bool,
    /// Every place has the same rows.
    pub copies: bool,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// What is done at one place, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The group's name.
    pub group: String,
    /// The shard; none for tables that are not split.
    pub shard: Option<u32>,
    /// The physical schema that the statement runs in.
    pub database: String,
    /// The physical tables that it defines, each with its logical name.
    pub tables: Vec<(PhysicalName, String)>,
    /// The statement.
    pub sql: Vec<u8>,
    /// What told the tables apart before: see `trace`. Empty: nothing did.
    pub before: String,
    /// How far it is.
    pub state: State,
    /// Why it failed.
    pub error: String,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was not sent.
    Waiting,
    /// It was or is about to be sent, and no answer was seen.
    Running,
    /// The server did it.
    Done,
    /// The server refused it.
    Failed,
}

impl State {
    const ALL: [(State, &'static str); 4] =
        [(State::Waiting, "waiting"), (State::Running, "running"), (State::Done, "done"), (State::Failed, "failed")];

    /// Its name in the table, and for people.
    pub fn name(self) -> &'static str {
        State::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> State {
        // Whoever cannot be told apart from running is looked at before anything is done.
        State::ALL.iter().find(|(_, known)| *known == name).map_or(State::Running, |(state, _)| *state)
    }
}

impl Step {
    /// `g0/3`, as EXPLAIN SHARDLOOM writes it.
    pub fn place(&self) -> String {
        match self.shard {
            Some(shard) => format!("{}/{shard}", self.group),
            None => self.group.clone(),
        }
    }
}

/// One row for each definition that is not done.
const DDL: Table = Table {
    name: "ddl",
    columns: "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, schema_name VARCHAR(255) NOT NULL, \
              table_names TEXT NOT NULL, statement LONGBLOB NOT NULL, user_name VARCHAR(255) NOT NULL, \
              settings LONGBLOB NOT NULL, of_rows TINYINT NOT NULL, copies TINYINT NOT NULL, \
              started DATETIME(6) NOT NULL",
};

/// One row for each of its places.
const STEP: Table = Table {
    name: "ddl_step",
    columns: "ddl BIGINT UNSIGNED NOT NULL, step INT UNSIGNED NOT NULL, group_name VARCHAR(255) NOT NULL, \
              shard INT UNSIGNED NULL, database_name VARCHAR(255) NOT NULL, table_names TEXT NOT NULL, \
              statement LONGBLOB NOT NULL, before_it TEXT NOT NULL, state VARCHAR(16) NOT NULL, \
              error TEXT NOT NULL, PRIMARY KEY (ddl, step)",
};

/// What stands between the names of a list, and between the parts of a name: no name has them.
const BETWEEN: char = '\u{1e}';
const WITHIN: char = '\u{1f}';

/// Of two records that are written at the same time a server may make one wait for the other in a circle; then it ends
/// one of the transactions with this error, and that is tried again.
const DEADLOCK: u16 = 1213;
const DEADLOCKS_MAX: u32 = 20;

/// The most bytes of an error that are kept.
const ERROR_MAX: usize = 2_000;

/// All definitions that are not done, of one home group.
///
/// # Errors
/// The server's.
pub async fn all(metadata: &mut Metadata<'_>) -> Result<Vec<Job>, SqlError> {
    read(metadata, "").await
}

/// The definition of a number, if it is not done.
///
/// # Errors
/// The server's.
pub async fn find(metadata: &mut Metadata<'_>, id: u64) -> Result<Option<Job>, SqlError> {
    Ok(read(metadata, &format!(" WHERE id = {id}")).await?.pop())
}

async fn read(metadata: &mut Metadata<'_>, filter: &str) -> Result<Vec<Job>, SqlError> {
    let sql = format!(
        "SELECT id, schema_name, table_names, statement, user_name, settings, of_rows, copies, \
         DATE_FORMAT(started, '%Y-%m-%d %H:%i:%s') FROM `_shardloom`.ddl{filter} ORDER BY id"
    );
    let found = all_or_nothing(metadata, &[(DDL, sql)]).await?;
    let sql = format!(
        "SELECT ddl, group_name, shard, database_name, table_names, statement, before_it, state, error \
         FROM `_shardloom`.ddl_step{} ORDER BY ddl, step",
        filter.replace("id =", "ddl =")
    );
    let steps = all_or_nothing(metadata, &[(STEP, sql)]).await?;
    let text = |answer: &Answer, row: usize, column: usize| answer.text(row, column).unwrap_or_default();
    let bytes = |answer: &Answer, row: usize, column: usize| answer.rows[row][column].clone().unwrap_or_default();
    let number = |answer: &Answer, row: usize, column: usize| text(answer, row, column).parse().unwrap_or(0);
    let step = |row: usize| Step {
        group: text(&steps, row, 1),
        shard: steps.text(row, 2).and_then(|shard| shard.parse().ok()),
        database: text(&steps, row, 3),
        tables: text(&steps, row, 4).split(BETWEEN).filter_map(table).collect(),
        sql: bytes(&steps, row, 5),
        before: text(&steps, row, 6),
        state: State::named(&text(&steps, row, 7)),
        error: text(&steps, row, 8),
    };
    let job = |row: usize| {
        let id = number(&found, row, 0);
        Job {
            id,
            schema: text(&found, row, 1),
            tables: text(&found, row, 2).split(BETWEEN).map(str::to_owned).collect(),
            statement: bytes(&found, row, 3),
            user: text(&found, row, 4),
            settings: bytes(&found, row, 5),
            by_number: number(&found, row, 6) != 0,
            copies: number(&found, row, 7) != 0,
            started: text(&found, row, 8),
            steps: (0..steps.rows.len()).filter(|step| number(&steps, *step, 0) == id).map(step).collect(),
        }
    };
    Ok((0..found.rows.len()).map(job).collect())
}

fn table(text: &str) -> Option<(PhysicalName, String)> {
    let mut parts = text.split(WITHIN).map(str::to_owned);
    Some((PhysicalName::new(parts.next()?, parts.next()?), parts.next()?))
}

/// Writes a new definition, whole or not at all, and gives it its number.
///
/// # Errors
/// The server's.
pub async fn write(metadata: &mut Metadata<'_>, job: &mut Job) -> Result<(), SqlError> {
    let mut work = vec![(DDL, "START TRANSACTION".to_owned())];
    let sql = format!(
        "INSERT INTO `_shardloom`.ddl (schema_name, table_names, statement, user_name, settings, of_rows, copies, \
         started) VALUES ({}, {}, {}, {}, {}, {}, {}, UTC_TIMESTAMP(6))",
        literal(&job.schema),
        literal(&job.tables.join(&BETWEEN.to_string())),
        bytes_literal(&job.statement),
        literal(&job.user),
        bytes_literal(&job.settings),
        u8::from(job.by_number),
        u8::from(job.copies),
    );
    work.push((DDL, sql));
    work.push((DDL, "SET @ddl = LAST_INSERT_ID()".to_owned()));
    for (number, step) in job.steps.iter().enumerate() {
        let tables: Vec<String> = step
            .tables
            .iter()
            .map(|(name, logical)| format!("{}{WITHIN}{}{WITHIN}{logical}", name.schema, name.table))
            .collect();
        let shard = step.shard.map_or("NULL".to_owned(), |shard| shard.to_string());
        let sql = format!(
            "INSERT INTO `_shardloom`.ddl_step VALUES (@ddl, {number}, {}, {shard}, {}, {}, {}, {}, 'waiting', '')",
            literal(&step.group),
            literal(&step.database),
            literal(&tables.join(&BETWEEN.to_string())),
            bytes_literal(&step.sql),
            literal(&step.before),
        );
        work.push((STEP, sql));
    }
    work.push((DDL, "COMMIT".to_owned()));
    work.push((DDL, "SELECT @ddl".to_owned()));
    let told = all_or_nothing(metadata, &work).await?;
    let id = told.text(0, 0).and_then(|id| id.parse().ok());
    job.id = id.ok_or_else(|| SqlError::new(Code::Unknown, "the record of the definition got no number"))?;
    Ok(())
}

/// Runs statements, from the first again if a deadlock has rolled them back; the answer to the last one.
async fn all_or_nothing(metadata: &mut Metadata<'_>, work: &[(Table, String)]) -> Result<Answer, SqlError> {
    let mut deadlocks = 0;
    'again: loop {
        let mut last = Answer::default();
        for (table, sql) in work {
            match metadata.query(*table, sql).await {
                Ok(answer) => last = answer,
                Err(error) if error.errno == DEADLOCK && deadlocks < DEADLOCKS_MAX => {
                    deadlocks += 1;
                    continue 'again;
                }
                Err(error) => return Err(error),
            }
        }
        return Ok(last);
    }
}

/// Notes that a step is about to be sent, and that the one before it is done.
///
/// # Errors
/// The server's.
pub async fn advance(
    metadata: &mut Metadata<'_>,
    id: u64,
    done: Option<usize>,
    running: usize,
) -> Result<(), SqlError> {
    let sql = format!(
        "UPDATE `_shardloom`.ddl_step SET state = IF(step = {running}, 'running', 'done'), error = '' \
         WHERE ddl = {id} AND step IN ({running}, {})",
        done.unwrap_or(running)
    );
    all_or_nothing(metadata, &[(STEP, sql)]).await.map(drop)
}

/// Notes how far a step is.
///
/// # Errors
/// The server's.
pub async fn note(
    metadata: &mut Metadata<'_>,
    id: u64,
    step: usize,
    state: State,
    error: &str,
) -> Result<(), SqlError> {
    let error: String = error.chars().take(ERROR_MAX / 4).collect();
    let sql = format!(
        "UPDATE `_shardloom`.ddl_step SET state = '{}', error = {} WHERE ddl = {id} AND step = {step}",
        state.name(),
        literal(&error)
    );
    all_or_nothing(metadata, &[(STEP, sql)]).await.map(drop)
}

/// Forgets a definition.
///
/// # Errors
/// The server's.
pub async fn remove(metadata: &mut Metadata<'_>, id: u64) -> Result<(), SqlError> {
    let work = [
        (DDL, "START TRANSACTION".to_owned()),
        (STEP, format!("DELETE FROM `_shardloom`.ddl_step WHERE ddl = {id}")),
        (DDL, format!("DELETE FROM `_shardloom`.ddl WHERE id = {id}")),
        (DDL, "COMMIT".to_owned()),
    ];
    all_or_nothing(metadata, &work).await.map(drop)
}
