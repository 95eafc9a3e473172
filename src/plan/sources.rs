//! What a SELECT that no merge answers needs from its tables: one source for each reference, with the shards that can
//! hold rows of it that matter. It refuses what would not be the same over copies; the rest is the server's own work.

use crate::error::SqlError;
use crate::plan::gather::{COPY, Form, Gather, Pulled, Source};
use crate::plan::locality::reached;
use crate::plan::resolve::{Model, RefId, Source as Meaning};
use crate::plan::route::{By, Condition, Routing};
use crate::plan::text::Composer;
use crate::plan::ties::Ties;
use crate::plan::{Place, Session, Table};
use crate::rules::RuleSet;
use crate::rules::catalog::{Catalog, ColumnType, TableInfo};
use crate::sql::ast::Query;
use crate::sql::scan::Scan;
use crate::sql::{Flavour, TextCharset};

/// Plans the gather of a query; `tables` are those of the plan.
///
/// # Errors
/// 1235 with the reason and the place.
pub(super) fn gather(
    (sql, scan): (&[u8], &Scan),
    session: Session<'_>,
    (rules, catalog): (&RuleSet, &Catalog),
    query: &Query,
    tables: &[Table],
) -> Result<Gather, SqlError> {
    let mut model = Model::apart(sql, session, rules, catalog);
    model.query(query, None)?;
    check(&model)?;
    let ties = Ties::of(&model);
    let sharded: Vec<RefId> = (0..model.refs.len()).map(RefId).filter(|id| ties.family(*id).is_some()).collect();
    let mut sources = Vec::with_capacity(model.tables.len());
    for (id, found) in model.refs.iter().enumerate() {
        let Meaning::Table(number, info) = found.source else { continue };
        debug_assert_eq!(usize::from(number), sources.len(), "references are numbered in the order of the text");
        let table = &model.tables[usize::from(number)];
        let same = |known: &Table| known.schema == table.schema && known.name == table.name;
        let known = tables.iter().position(same).unwrap_or_default();
        sources.push(Source {
            table: known as u16,
            label: found.label.into(),
            copy: format!("{COPY}{number}").into(),
            routing: routing(&ties, RefId(id), &sharded),
            columns: columns(&model, RefId(id), table, info)?,
        });
    }
    let text = Composer::new(scan, std::mem::take(&mut model.edits)).plain()?;
    Ok(Gather { sources: sources.into(), text })
}

/// What would not be the same on another connection, or over copies.
fn check(model: &Model<'_>) -> Result<(), SqlError> {
    let effects = &model.effects;
    let refuse = |what: &str, at: u32| {
        let why = format!("{what} in a statement that needs rows of several shards is not supported:");
        Err(SqlError::refuse_at(&why, model.sql, at as usize))
    };
    for obstacle in &model.obstacles {
        // These two are as good on the connection that gathers as on any.
        let harmless = matches!(obstacle.what, "SQL_CALC_FOUND_ROWS" | "an aggregate of an outer query");
        if !harmless {
            return refuse(obstacle.what, obstacle.at);
        }
    }
    for node in &model.queries {
        if let Some(locks) = node.ast.locking {
            return refuse("FOR UPDATE or FOR SHARE", locks.start);
        }
        let copied = node.refs.clone().any(|id| model.place(RefId(id)).is_some());
        if node.uses > 1 && copied && model.session.facts.flavour == Flavour::MySql {
            return refuse("a common table expression that is used more than once", node.ast.span.start);
        }
    }
    if effects.sets_variables || effects.user_locks || effects.stored_function {
        return refuse("a function or assignment that changes the session", 0);
    }
    Ok(())
}

/// Which shards hold rows of the reference that matter: by what is known of its own key, and of the keys that it has
/// to be equal to.
fn routing(ties: &Ties<'_, '_>, id: RefId, sharded: &[RefId]) -> Option<Routing> {
    let family = ties.family(id)?;
    let mut tied: Vec<RefId> = reached(id, sharded, ties).into_iter().collect();
    tied.push(id);
    tied.sort();
    tied.dedup();
    let known = tied.iter().filter_map(|member| ties.restricted.get(member)).flatten().cloned();
    Some(Routing {
        family,
        keys: ties.keys.clone().into(),
        by: By::Conditions([Condition::all_of(known)].into()),
        group: None,
        shard: None,
        assigned: Box::default(),
        numbered: Box::default(),
    })
}

/// The columns that are copied: all but those that the copy computes by itself.
fn columns(model: &Model<'_>, id: RefId, table: &Table, info: Option<&TableInfo>) -> Result<Box<[Pulled]>, SqlError> {
    let at = model.refs[id.0].span.start as usize;
    let refuse = |why: &str| {
        let why = format!("{}.{} {why}, so that its rows cannot be gathered:", table.schema, table.name);
        Err(SqlError::refuse_at(&why, model.sql, at))
    };
    if table.place == Place::System {
        return refuse("belongs to a server");
    }
    let Some(info) = info else { return refuse("is not known to the proxy") };
    if info.view {
        return refuse("is a view");
    }
    if table.name.starts_with(COPY) {
        return refuse("has the name of a copy");
    }
    let zoned = info.columns.iter().any(|column| matches!(column.ty, ColumnType::Timestamp(_)));
    let mut columns = Vec::with_capacity(info.columns.len());
    for column in &info.columns {
        if !column.name.is_ascii() && model.session.facts.charset != TextCharset::Utf8 {
            return refuse(&format!("has a column {} that the session's character set cannot name", column.name));
        }
        if column.generated {
            if zoned {
                return refuse("has a generated column that may follow the session's time zone");
            }
            continue;
        }
        let Some(form) = form(&column.ty) else {
            return refuse(&format!("has a column {} of type {}", column.name, column.ty));
        };
        columns.push(Pulled { name: column.name.as_str().into(), form });
    }
    if columns.is_empty() {
        return refuse("has no columns of its own");
    }
    Ok(columns.into())
}

/// How values of a type travel; none if they do not.
fn form(ty: &ColumnType) -> Option<Form> {
    Some(match ty {
        ColumnType::Int { .. } | ColumnType::Decimal { .. } | ColumnType::Year => Form::Number,
        ColumnType::Float { bits: 32, .. } => Form::Single,
        ColumnType::Float { .. } => Form::Plain,
        ColumnType::Bit(_) | ColumnType::Enum(_) | ColumnType::Set(_) => Form::Code,
        ColumnType::Date | ColumnType::Time(_) | ColumnType::DateTime(_) | ColumnType::Uuid => Form::Plain,
        ColumnType::Timestamp(_) => Form::Epoch,
        ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Text(_) => Form::Bytes,
        ColumnType::Binary(_) | ColumnType::Varbinary(_) | ColumnType::Blob(_) => Form::Bytes,
        ColumnType::Json => Form::Json,
        ColumnType::Other(_) => return None,
    })
}
