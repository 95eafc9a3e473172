//! The temporary tables of a gather: like the tables whose rows they get, and twins of them for what is read again. It
//! reads no rows.

use std::sync::Arc;

use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::gather::home::{Gathering, ask, on_home};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::logical;
use crate::plan::Target;
use crate::plan::gather::{Extent, Source};
use crate::plan::text::{put_name, quote};
use crate::txn::{self, Access, Txn, Wanted};
use crate::wire::link::Link;

/// The modes under which every value is stored as it came: no mode makes it stricter, none changes how it is read.
pub(in crate::exec) const FILL_MODE: &[u8] = b"'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";

/// Settings under which values are stored as they came.
pub(super) fn fill_settings(mariadb: bool) -> Arc<Settings> {
    let settings = Settings::default().with_names("utf8mb4").with("sql_mode", Some(FILL_MODE));
    let settings = settings.with("time_zone", Some(b"'+00:00'"));
    // The rows met their constraints where they came from, under the settings they were written with.
    Arc::new(if mariadb { settings.with("check_constraint_checks", Some(b"0")) } else { settings })
}

/// The definitions of the tables that the connection which gathers does not see, from where they are. Asked before any
/// other connection is held.
pub(super) async fn definitions(
    txn: &mut Txn,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
) -> Result<Vec<Option<String>>, SqlError> {
    let mut found = Vec::with_capacity(gathering.gather.sources.len());
    for (number, (source, like)) in gathering.gather.sources.iter().zip(&gathering.gathered.like).enumerate() {
        if source.temporary && !gathering.is_there(number) {
            found.push(Some(temporary_definition(txn, source, *like, gathering, place).await?));
            continue;
        }
        if like.group == gathering.gathered.group {
            found.push(None);
            continue;
        }
        let (group, wanted) = place(like.group);
        let mut lease = txn.side_lease(like.group, group, Access::Primary, &wanted).await?;
        let settings = fill_settings(lease.info.mariadb);
        txn::adapt(&mut lease, &Wanted { settings: &settings, ..wanted }).await?;
        let answer = ask(&mut lease, &show_create(source, *like, gathering)).await;
        let answer = answer.map_err(|error| error.to_client(&lease.server().name));
        found.push(answer.map_err(|error| refused(source, *like, gathering, &error))?.text(0, 1));
    }
    Ok(found)
}

/// The definition of a temporary table, from the connection that has it, whose transaction goes on.
async fn temporary_definition(
    txn: &mut Txn,
    source: &Source,
    like: Target,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
) -> Result<String, SqlError> {
    let (group, wanted) = place(like.group);
    let settings = wanted.settings.with_names("utf8mb4").with("sql_mode", Some(FILL_MODE));
    let settings = Arc::new(settings.with("sql_quote_show_create", Some(b"1")));
    let mut lease = txn.lease(like.group, group, Access::Primary, &Wanted { settings: &settings, ..wanted }).await?;
    let answer = match txn.begin_unasked(like.group, &mut lease).await {
        true => ask(&mut lease, &show_create(source, like, gathering)).await,
        false => return Err(SqlError::new(Code::BackendLost, "Lost connection to the server with a temporary table")),
    };
    let answer = answer.map_err(|error| error.to_client(&lease.server().name));
    txn.settle(like.group, lease);
    let shown = answer.map_err(|error| refused(source, like, gathering, &error))?.text(0, 1);
    shown.ok_or_else(|| SqlError::new(Code::Unknown, "a temporary table without a definition"))
}

fn show_create(source: &Source, like: Target, gathering: &Gathering<'_>) -> Vec<u8> {
    let mut text = b"SHOW CREATE TABLE ".to_vec();
    if let Some(name) = gathering.bound.name(source.table, like) {
        put_name(name.physical_schema, name.physical, &mut text);
    }
    text
}

/// Creates the copies, empty: like a table of the same group, which keeps every key, else by their definitions.
pub(super) async fn create(
    client: &mut Link,
    home: &mut Lease,
    gathering: &Gathering<'_>,
    definitions: &[Option<String>],
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    // Until the copies are gone again nobody else may have the connection.
    home.taint();
    for (number, source) in gathering.gather.sources.iter().enumerate() {
        let like = gathering.gathered.like[number];
        let mut failed = None;
        let mut definition = definitions[number].clone();
        if definition.is_none() {
            let Some(name) = gathering.bound.name(source.table, like) else { continue };
            let mut text = b"CREATE TEMPORARY TABLE ".to_vec();
            gathering.bound.put_copy(&source.copy, &mut text);
            text.extend_from_slice(b" LIKE ");
            put_name(name.physical_schema, name.physical, &mut text);
            match on_home(client, home, &text, patience).await? {
                Ok(_) => continue,
                Err(error) => failed = Some(error),
            }
            // Partitions and full-text keys are not for temporary tables.
            let shown = on_home(client, home, &show_create(source, like, gathering), patience).await?;
            definition = shown.ok().and_then(|answer| answer.text(0, 1));
        }
        let mut text = Vec::new();
        gathering.bound.put_copy(&source.copy, &mut text);
        let copy = String::from_utf8_lossy(&text);
        let created = match definition.as_deref().and_then(|definition| temporary(definition, &copy)) {
            Some(text) => on_home(client, home, text.as_bytes(), patience).await?.map(drop),
            None => Err(failed.unwrap_or_else(|| SqlError::new(Code::Unknown, "its definition is not known"))),
        };
        created.map_err(|error| refused(source, like, gathering, &error))?;
    }
    Ok(())
}

/// Copies what is read again once more, rows and all, on the server itself; `false` if a copy of a part does not take
/// them.
pub(super) async fn copy_again(
    client: &mut Link,
    home: &mut Lease,
    gathering: &Gathering<'_>,
    patience: &mut Patience<'_>,
) -> Result<bool, Stop> {
    for twin in &gathering.gather.twins {
        let number = usize::from(twin.of);
        let Some(source) = gathering.gather.sources.get(number) else { continue };
        let like = gathering.gathered.like[number];
        let mut text = b"CREATE TEMPORARY TABLE ".to_vec();
        gathering.bound.put_copy(&twin.copy, &mut text);
        text.extend_from_slice(b" LIKE ");
        gathering.bound.put_copy(&source.copy, &mut text);
        let created = on_home(client, home, &text, patience).await?;
        created.map_err(|error| refused(source, like, gathering, &error))?;
        let mut from = Vec::new();
        gathering.bound.put_copy(&source.copy, &mut from);
        let text = insert_select(gathering, source, &twin.copy, &from);
        match on_home(client, home, &text, patience).await? {
            Ok(_) => {}
            Err(_) if gathering.extent == Extent::Needed => return Ok(false),
            Err(error) => return Err(refused(source, like, gathering, &error).into()),
        }
    }
    Ok(true)
}

/// Fills the copy of a source that is on the connection itself, whole.
pub(super) async fn copy_there(
    client: &mut Link,
    home: &mut Lease,
    gathering: &Gathering<'_>,
    number: usize,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let (source, like) = (&gathering.gather.sources[number], gathering.gathered.like[number]);
    let Some(name) = gathering.bound.name(source.table, like) else { return Ok(()) };
    let mut from = Vec::new();
    put_name(name.physical_schema, name.physical, &mut from);
    let text = insert_select(gathering, source, &source.copy, &from);
    let stored = on_home(client, home, &text, patience).await?;
    stored.map_err(|error| refused(source, like, gathering, &error))?;
    Ok(())
}

/// `INSERT INTO copy (...) SELECT ... FROM` another table of the same columns.
fn insert_select(gathering: &Gathering<'_>, source: &Source, copy: &str, from: &[u8]) -> Vec<u8> {
    let mut text = b"INSERT INTO ".to_vec();
    gathering.bound.put_copy(copy, &mut text);
    for (before, after) in [(&b"("[..], &b")"[..]), (b" SELECT ", b" FROM ")] {
        text.extend_from_slice(before);
        for (index, column) in source.pulled(gathering.extent).enumerate() {
            if index > 0 {
                text.push(b',');
            }
            quote(column.name.as_bytes(), &mut text);
        }
        text.extend_from_slice(after);
    }
    text.extend_from_slice(from);
    text
}

/// `CREATE TEMPORARY TABLE copy (...)` from what SHOW CREATE TABLE tells, one clause a line: without constraints, which
/// the rows met already, and without full-text keys and partitions, which temporary tables do not have.
fn temporary(definition: &str, copy: &str) -> Option<String> {
    let mut lines = definition.lines();
    let is_table = |first: &str| first.starts_with("CREATE TABLE ") || first.starts_with("CREATE TEMPORARY TABLE ");
    lines.next().filter(|first| is_table(first) && first.ends_with('('))?;
    let mut clauses = Vec::new();
    let options = loop {
        let line = lines.next()?;
        if line.starts_with(')') {
            break line;
        }
        let clause = line.trim().trim_end_matches(',');
        let left_out = ["CONSTRAINT ", "FULLTEXT KEY ", "SPATIAL KEY "];
        if !left_out.iter().any(|kind| clause.starts_with(kind)) {
            clauses.push(clause);
        }
    };
    Some(format!("CREATE TEMPORARY TABLE {copy} (\n{}\n{options}", clauses.join(",\n")))
}

/// Why a table has no copy, under the client's names.
fn refused(source: &Source, like: Target, gathering: &Gathering<'_>, error: &SqlError) -> SqlError {
    let name = gathering.bound.name(source.table, like);
    let table = name.map_or_else(|| source.label.to_string(), |name| format!("{}.{}", name.schema, name.table));
    let message = logical(&error.message, name.into_iter().chain(gathering.bound.names(like)));
    let why = format!("the rows of {table} cannot be gathered on one server: {message} (errno {})", error.errno);
    SqlError::refuse(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_lose_what_temporary_tables_cannot_have() {
        let shown = "CREATE TABLE `a` (\n  `id` int NOT NULL COMMENT 'x, (',\n  `t` text,\n  PRIMARY KEY (`id`),\n  \
                     FULLTEXT KEY `t` (`t`),\n  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `b` (`id`)\n) \
                     ENGINE=InnoDB DEFAULT CHARSET=utf8mb4\n/*!50100 PARTITION BY HASH (`id`)\nPARTITIONS 4 */";
        assert_eq!(
            temporary(shown, "`s`.`c`").as_deref(),
            Some(
                "CREATE TEMPORARY TABLE `s`.`c` (\n`id` int NOT NULL COMMENT 'x, (',\n`t` text,\nPRIMARY KEY \
                 (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
            )
        );
        assert_eq!(temporary("CREATE ALGORITHM=UNDEFINED VIEW `v` AS select 1", "`s`.`c`"), None);
    }
}
