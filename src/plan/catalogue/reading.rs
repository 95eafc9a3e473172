//! From a statement to its plan over the catalogue: which rows its conditions ask for, and which text runs.
//! It asks nobody.

use crate::error::SqlError;
use crate::plan::catalogue::ask::quoted;
use crate::plan::catalogue::list::{List, ListKind};
use crate::plan::catalogue::{Catalogue, Source, Value, Wanted};
use crate::plan::parts::strip;
use crate::plan::resolve::{BlockId, Model, RefId};
use crate::plan::text::{Composer, Part, Rewrite};
use crate::plan::ties::slot;
use crate::rules::GroupId;
use crate::sql::ast::{BinaryOp, Expr, JoinKind, LiteralKind, Span, TableRef};
use crate::sql::head::Show;
use crate::sql::scan::Scan;

/// The plan of a query over relations of the catalogue, on the group of its single tables if it has some.
///
/// # Errors
/// 1235 if a name has no place of its own in the text.
pub(in crate::plan) fn query(model: &Model<'_>, scan: &Scan, group: Option<GroupId>) -> Result<Catalogue, SqlError> {
    let original = Composer::new(scan, model.edits.clone()).plain()?;
    let mut edits = model.edits.clone();
    let mut relations = Vec::new();
    for (number, read) in (0..).zip(&model.relations) {
        edits.push((read.span, Rewrite::Relation(number, read.label)));
        let about = |column: Option<&str>| {
            let id = read.id?;
            let block = model.refs[id.0].block;
            values(model, block, id, &column?.to_ascii_lowercase())
        };
        relations.push(Wanted {
            source: Source::Relation(read.relation),
            schemas: about(read.relation.schema_column()),
            tables: about(read.relation.table_column()),
        });
    }
    let text = Composer::new(scan, edits).plain()?;
    let group = group.unwrap_or_else(|| model.home());
    Ok(Catalogue { group, shard: None, text, original, relations: relations.into() })
}

/// The values that a column of a reference has in all rows that matter, if a condition of its block says so.
fn values(model: &Model<'_>, block: BlockId, id: RefId, column: &str) -> Option<Box<[Value]>> {
    let mut conditions: Vec<&Expr> = Vec::new();
    for tree in &model.blocks[block.0].trees {
        inner_conditions(tree, &mut conditions);
    }
    conditions.extend(model.blocks[block.0].filter);
    while let Some(condition) = conditions.pop() {
        let found = match strip(condition) {
            Expr::Binary { op: BinaryOp::And, left, right, .. } => {
                conditions.extend([&**left, &**right]);
                None
            }
            Expr::Binary { op: BinaryOp::Eq, left, right, .. } => {
                match (is_column(model, block, left, id, column), is_column(model, block, right, id, column)) {
                    (true, false) => value(model, right).map(|value| [value].into()),
                    (false, true) => value(model, left).map(|value| [value].into()),
                    _ => None,
                }
            }
            Expr::InList { negated: false, expr, list, .. } if is_column(model, block, expr, id, column) => {
                list.iter().map(|item| value(model, item)).collect()
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The conditions of joins that leave out rows of both sides.
fn inner_conditions<'t>(tree: &'t TableRef, found: &mut Vec<&'t Expr>) {
    match tree {
        TableRef::Join { left, right, kind, on, .. } if !matches!(kind, JoinKind::Left | JoinKind::Right) => {
            inner_conditions(left, found);
            inner_conditions(right, found);
            found.extend(on.as_deref());
        }
        TableRef::Nested(trees) => trees.iter().for_each(|tree| inner_conditions(tree, found)),
        _ => {}
    }
}

fn is_column(model: &Model<'_>, block: BlockId, expr: &Expr, id: RefId, column: &str) -> bool {
    model.column(block, expr).is_some_and(|found| found.of == id && found.name == column)
}

/// A string, a parameter, or DATABASE(). Numbers equal names in ways that are not looked into.
fn value(model: &Model<'_>, expr: &Expr) -> Option<Value> {
    match strip(expr) {
        Expr::Literal { kind: LiteralKind::String, .. } | Expr::Param { .. } => slot(expr).map(Value::Slot),
        Expr::Function(function) if matches!(&*function.name, "DATABASE" | "SCHEMA") && function.args.is_empty() => {
            model.session.schema.map(|schema| Value::Text(schema.into()))
        }
        _ => None,
    }
}

/// What a SHOW is of: its logical schema and table, and where it is prepared.
pub(in crate::plan) struct Listed {
    /// Which list.
    pub(in crate::plan) kind: ListKind,
    /// FULL, or IF NOT EXISTS.
    pub(in crate::plan) full: bool,
    /// The logical schema; none: all.
    pub(in crate::plan) schema: Option<String>,
    /// The logical table, with its name in the text replaced for the first shard.
    pub(in crate::plan) table: Option<(String, Vec<(Span, Rewrite)>)>,
    /// The physical name of the schema on `group`.
    pub(in crate::plan) physical: String,
    /// Where it is prepared.
    pub(in crate::plan) group: GroupId,
    /// On which shard.
    pub(in crate::plan) shard: Option<u32>,
}

/// The plan of a SHOW.
///
/// # Errors
/// As [`query`].
pub(in crate::plan) fn show(show: &Show, listed: Listed, scan: &Scan) -> Result<Catalogue, SqlError> {
    let mut edits = Vec::new();
    if let Some(schema) = &show.schema {
        edits.push((schema.span, Rewrite::Fixed(quoted(&listed.physical))));
    }
    // The condition may name the first column of SHOW TABLES, whose name is another one on the server.
    if let (Some(filter), ListKind::Tables) = (show.filter, listed.kind) {
        edits.push((filter, Rewrite::Fixed("TRUE".to_owned())));
    }
    let table = listed.table.map(|(table, names)| {
        edits.extend(names);
        table.into_boxed_str()
    });
    let mut original = Composer::new(scan, edits).plain()?;
    original.moves_params = true;
    let schema = listed.schema.map(String::into_boxed_str);
    let list = List { kind: listed.kind, full: listed.full, schema: schema.clone(), table };
    let composer = Composer::new(scan, Vec::new());
    let mut parts = vec![Part::Relation(0)];
    if let Some(like) = show.like {
        let column = quoted(&list.name_column());
        parts.extend([Part::Fixed(format!(" WHERE {column} LIKE ").into()), composer.copy(like)?]);
    } else if let Some(filter) = show.filter {
        parts.extend([Part::Fixed(" WHERE (".into()), composer.copy(filter)?, Part::Fixed(")".into())]);
    }
    parts.push(Part::Fixed(" ORDER BY `#`".into()));
    let all = Span { start: 0, end: scan.end };
    let text = composer.with(vec![(all, Part::All(parts.into()))], false)?;
    let schemas = schema.map(|schema| [Value::Text(schema)].into());
    let relations = [Wanted { source: Source::List(list), schemas, tables: None }].into();
    Ok(Catalogue { group: listed.group, shard: listed.shard, text, original, relations })
}
