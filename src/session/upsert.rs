//! REPLACE, IGNORE and ON DUPLICATE KEY UPDATE of a row of a table with lookups. Rows in its way are looked for first,
//! wherever they are; where they are the client's own statement does what one server does. What it then did is read back,
//! and the lookups follow. If the rows turn out to be others than those found, all of it is done once more with locks.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::lookup::{Row, literal, put_columns, put_rows};
use crate::exec::outcome::Outcome;
use crate::exec::write::Share;
use crate::plan::upkeep::{Kept, UniqueKey, Upsert, UpsertKind};
use crate::plan::{Answer, Route, Target};
use crate::session::Session;
use crate::session::lookup::{Before, Keeping, SAVEPOINT};

/// How rows in the way are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Without locks, and where the lookups say: on most tables few rows are in the way of new ones, and locks on what is
    /// not there are in the way of others.
    Lightly,
    /// With locks, by what is committed now.
    Surely,
}

impl Session {
    /// A row is stored, or does something to those that have one of its keys.
    pub(super) async fn keep_upserted(&mut self, keeping: &Keeping<'_>, upsert: &Upsert) -> Result<Outcome, Stop> {
        self.mark(SAVEPOINT).await?;
        if let Some(outcome) = self.try_upsert(keeping, upsert, Look::Lightly).await? {
            return Ok(outcome);
        }
        let message = format!("Record has changed since last read in table '{}'", keeping.upkeep.table);
        let changed = SqlError { errno: 1020, state: *b"HY000", message };
        let touched = self.txn.touched();
        let changed = self.txn.take_back(&touched, SAVEPOINT, changed).await;
        if !self.txn.is_open() {
            return Err(changed.into());
        }
        self.try_upsert(keeping, upsert, Look::Surely).await?.ok_or_else(|| changed.into())
    }

    /// The same; none if it met other rows than those that were found.
    async fn try_upsert(
        &mut self,
        keeping: &Keeping<'_>,
        upsert: &Upsert,
        look: Look,
    ) -> Result<Option<Outcome>, Stop> {
        let Route::One(own) = keeping.bound.route else {
            return Err(SqlError::refuse("a row that has no place of its own").into());
        };
        let before = self.in_the_way(keeping, upsert, look).await?;
        let target = match upsert.kind {
            UpsertKind::Replace => {
                self.take_away(keeping, upsert, &before, own).await?;
                own
            }
            UpsertKind::Ignore | UpsertKind::Update => place_of(keeping, &before)?.unwrap_or(own),
        };
        let bound = keeping.bound.towards(target);
        let answer = if let Answer::Relay = bound.answer { Answer::Sum } else { bound.answer };
        let written = self.write(keeping.of, &bound, &[target], answer, Share::Whole, keeping.selected).await;
        let mut outcome = written?;
        let here = before.places.iter().filter(|place| **place == target).count() as u64;
        let met = match (upsert.kind, here) {
            (UpsertKind::Ignore, 0) => outcome.affected_rows <= 1,
            (UpsertKind::Ignore, _) => outcome.affected_rows == 0,
            (UpsertKind::Replace, _) => (1..=1 + here).contains(&outcome.affected_rows),
            (UpsertKind::Update, 0) => outcome.affected_rows == 1,
            (UpsertKind::Update, _) => true,
        };
        if !met {
            return Ok(None);
        }
        if upsert.kind == UpsertKind::Ignore && outcome.affected_rows == 0 {
            return Ok(Some(outcome));
        }
        let after = self.left_behind(keeping, upsert, &before).await?;
        if !self.is_as_expected(keeping, upsert, &before, &after)? {
            return Ok(None);
        }
        match self.keep_difference(keeping, &before, &after).await {
            // Somebody was faster.
            Err(Stop::Error(error)) if error.errno == 1062 && before.rows.is_empty() && look == Look::Lightly => {
                return Ok(None);
            }
            kept => kept?,
        }
        if upsert.kind == UpsertKind::Replace {
            outcome.affected_rows += before.rows.len() as u64 - here;
            self.row_count = outcome.affected_rows as i64;
        }
        Ok(Some(outcome))
    }

    /// The rows that have one of the row's keys, locked.
    async fn in_the_way(&mut self, keeping: &Keeping<'_>, upsert: &Upsert, look: Look) -> Result<Before, Stop> {
        let mut all = Before::of_lookups(keeping.upkeep, &upsert.identity);
        for key in &upsert.keys {
            let Some(values) = self.exact(keeping, key)? else { continue };
            let mut columns = key.columns.to_vec();
            let rows = match key.lookup.map(|number| &keeping.upkeep.lookups[number]) {
                Some(kept) => {
                    columns = kept.columns.to_vec();
                    self.looked_up_for(keeping, kept, &values, look).await?
                }
                None if look == Look::Surely => vec![values],
                None => self.there(keeping, key, values).await?,
            };
            let mut found = all.none();
            self.read_locked(keeping, &columns, &rows, &mut found).await?;
            for (row, place) in found.rows.into_iter().zip(found.places) {
                if !all.rows.contains(&row) {
                    all.rows.push(row);
                    all.places.push(place);
                }
            }
        }
        Ok(all)
    }

    /// The row's own values of a unique key; none if one of them is NULL, which is in nobody's way.
    fn exact(&self, keeping: &Keeping<'_>, key: &UniqueKey) -> Result<Option<Row>, SqlError> {
        let mut row = Row::new();
        for (column, given) in key.columns.iter().zip(&key.values) {
            let Some(value) = keeping.bound.exact(column, *given)? else { return Ok(None) };
            row.push(literal(&value, self.reading())?);
        }
        Ok(Some(row))
    }

    /// A key and the sharding key that its lookup has for it.
    async fn looked_up_for(
        &mut self,
        keeping: &Keeping<'_>,
        kept: &Kept,
        key: &Row,
        look: Look,
    ) -> Result<Vec<Row>, Stop> {
        let mut found = Before { columns: kept.columns.to_vec(), rows: Vec::new(), places: Vec::new() };
        let mut text = found.select();
        text.extend_from_slice(kept.quoted.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&kept.columns[..kept.unique], std::slice::from_ref(key), &mut text);
        if look == Look::Surely {
            text.extend_from_slice(b" LOCK IN SHARE MODE");
        }
        self.read_rows(keeping, &text, None, &mut found).await?;
        Ok(found.rows)
    }

    /// The key, if a row of the table has it: it says by itself on which shard that is.
    async fn there(&mut self, keeping: &Keeping<'_>, key: &UniqueKey, values: Row) -> Result<Vec<Row>, Stop> {
        let mut found = Before { columns: key.columns.to_vec(), rows: Vec::new(), places: Vec::new() };
        let mut text = b"SELECT ".to_vec();
        put_columns(&key.columns, &mut text);
        text.extend_from_slice(b" FROM ");
        text.extend_from_slice(keeping.upkeep.quoted.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&key.columns, std::slice::from_ref(&values), &mut text);
        self.read_rows(keeping, &text, None, &mut found).await?;
        Ok(if found.rows.is_empty() { Vec::new() } else { vec![values] })
    }

    /// REPLACE: rows in the way on other shards go first.
    async fn take_away(
        &mut self,
        keeping: &Keeping<'_>,
        upsert: &Upsert,
        before: &Before,
        own: Target,
    ) -> Result<(), Stop> {
        let others = before.rows.iter().zip(&before.places).filter(|(_, place)| **place != own);
        let others: Vec<Row> = others.map(|(row, _)| row[..upsert.identity.len()].to_vec()).collect();
        if others.is_empty() {
            return Ok(());
        }
        let mut text = b"DELETE FROM ".to_vec();
        text.extend_from_slice(keeping.upkeep.quoted.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&upsert.identity, &others, &mut text);
        self.write_own(keeping, &text).await.map(drop)
    }

    /// What is there afterwards of the rows that were in the way, and of the new one.
    async fn left_behind(&mut self, keeping: &Keeping<'_>, upsert: &Upsert, before: &Before) -> Result<Before, Stop> {
        let width = upsert.identity.len();
        let mut rows: Vec<Row> = before.rows.iter().map(|row| row[..width].to_vec()).collect();
        let key = UniqueKey { columns: upsert.identity.clone(), values: upsert.row.clone(), lookup: None };
        rows.extend(self.exact(keeping, &key)?);
        let mut after = before.none();
        self.read_locked(keeping, &upsert.identity, &rows, &mut after).await?;
        Ok(after)
    }

    /// Whether what is there afterwards is what the statement makes of what was found.
    fn is_as_expected(
        &self,
        keeping: &Keeping<'_>,
        upsert: &Upsert,
        before: &Before,
        after: &Before,
    ) -> Result<bool, SqlError> {
        let width = upsert.identity.len();
        let same = |one: &Row, other: &Row| one[..width] == other[..width];
        if before.rows.is_empty() || upsert.kind != UpsertKind::Update {
            // Of the old rows one may have the new one's keys.
            return Ok(after.rows.len() == 1);
        }
        if !before.rows.iter().all(|old| after.rows.iter().any(|new| same(old, new))) {
            return Err(SqlError::refuse(format!(
                "ON DUPLICATE KEY UPDATE that changes the primary key or the sharding key of a row of {}, which has a \
                 lookup: delete the row and insert it anew",
                keeping.upkeep.table
            )));
        }
        Ok(after.rows.len() == before.rows.len())
    }
}

/// The one target that has all rows in the way; none if there are no such rows.
fn place_of(keeping: &Keeping<'_>, before: &Before) -> Result<Option<Target>, SqlError> {
    let first = before.places.first().copied();
    if before.places.iter().any(|place| Some(*place) != first) {
        return Err(SqlError::refuse(format!(
            "rows on several shards are in the way of a row of {}, which has a lookup: one server looks at the first of \
             them only",
            keeping.upkeep.table
        )));
    }
    Ok(first)
}
