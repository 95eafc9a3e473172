//! What a SELECT that no merge answers needs from its tables: one source for each reference, with the shards that can
//! hold rows of it that matter. It refuses what would not be the same over copies; the rest is the server's own work.

use crate::error::SqlError;
use crate::plan::functions::{Nature, nature};
use crate::plan::gather::{COPY, Form, Gather, Home, Link, Literal, Pulled, Source};
use crate::plan::locality::reached;
use crate::plan::locks::of_refs;
use crate::plan::named::Words;
use crate::plan::parts::{columns_of, parts, strip};
use crate::plan::reopened::opened_twice;
use crate::plan::resolve::{Column, Model, RefId, Source as Meaning};
use crate::plan::reused::opened_once;
use crate::plan::route::{By, Condition, Routing};
use crate::plan::text::Composer;
use crate::plan::ties::Ties;
use crate::plan::{Place, Session, Table};
use crate::rules::RuleSet;
use crate::rules::catalog::{Catalog, ColumnInfo, ColumnType, TableInfo};
use crate::sql::ast::{BinaryOp, Expr, Ident, JoinKind, Query, SelectItem, Span, TableRef};
use crate::sql::scan::Scan;
use crate::sql::splice::Anchor;
use crate::sql::{Flavour, TextCharset};

/// Plans the gather of a query; `tables` are those of the plan, `home` is where it has to be, if that matters.
///
/// # Errors
/// 1235 with the reason and the place.
pub(super) fn gather(
    (sql, scan): (&[u8], &Scan),
    session: Session<'_>,
    (rules, catalog): (&RuleSet, &Catalog),
    query: &Query,
    tables: &[Table],
    home: Option<Home>,
) -> Result<Gather, SqlError> {
    let mut model = Model::apart(sql, session, rules, catalog);
    model.query(query, None)?;
    model.takes_into(query);
    check(&model)?;
    opened_twice(&model, None).map_or(Ok(()), Err)?;
    let mut locks = of_refs(&model)?;
    let ties = Ties::of(&model);
    let words = Words::of(sql);
    let sharded: Vec<RefId> = (0..model.refs.len()).map(RefId).filter(|id| ties.family(*id).is_some()).collect();
    let mut sources = Vec::with_capacity(model.tables.len());
    for (id, found) in model.refs.iter().enumerate() {
        let Meaning::Table(number, info) = found.source else { continue };
        debug_assert_eq!(usize::from(number), sources.len(), "references are numbered in the order of the text");
        let table = &model.tables[usize::from(number)];
        let same = |known: &Table| known.schema == table.schema && known.name == table.name;
        let known = tables.iter().position(same).unwrap_or_default();
        let info = known_table(&model, RefId(id), table, info)?;
        let whole = is_whole(&model, RefId(id), info, &words);
        let known_of = conditions(&model, &ties, RefId(id));
        let spare = if whole { Vec::new() } else { spare(&model, &ties, RefId(id), info, &known_of, &words) };
        sources.push(Source {
            table: known as u16,
            label: found.label.into(),
            copy: format!("{COPY}{number}").into(),
            routing: routing(&ties, RefId(id), &sharded),
            temporary: info.temporary,
            columns: columns(&model, RefId(id), table, info, whole, &words)?,
            spare: spare.into(),
            filter: anchors(scan, known_of.filters)?,
            links: known_of.links.into(),
            locks: locks[id].take(),
        });
    }
    let mut fills = None;
    let home = home.map(|home| {
        model.edits.extend(home.edits);
        fills = home.fills;
        (home.group, home.schema)
    });
    let (text, twins) = match session.facts.flavour {
        Flavour::MySql => opened_once(&model, scan, sources.len())?,
        Flavour::MariaDb => (Composer::new(scan, std::mem::take(&mut model.edits)).plain()?, Box::default()),
    };
    Ok(Gather { home, sources: sources.into(), twins, text, fills })
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

/// Why rows of a reference cannot be gathered.
fn refusal(model: &Model<'_>, id: RefId, table: &Table, why: &str) -> SqlError {
    let why = format!("{}.{} {why}, so that its rows cannot be gathered:", table.schema, table.name);
    SqlError::refuse_at(&why, model.sql, model.refs[id.0].span.start as usize)
}

/// A table whose rows can be gathered, whatever its columns are.
fn known_table<'a>(
    model: &Model<'_>,
    id: RefId,
    table: &Table,
    info: Option<&'a TableInfo>,
) -> Result<&'a TableInfo, SqlError> {
    let refuse = |why: &str| Err(refusal(model, id, table, why));
    match info {
        _ if table.place == Place::System => refuse("belongs to a server"),
        None => refuse("is not known to the proxy"),
        Some(info) if info.view => refuse("is a view"),
        Some(_) if table.name.starts_with(COPY) => refuse("has the name of a copy"),
        Some(info) => Ok(info),
    }
}

/// The columns that are copied: all but those that the copy computes by itself.
fn columns(
    model: &Model<'_>,
    id: RefId,
    table: &Table,
    info: &TableInfo,
    whole: bool,
    words: &Words,
) -> Result<Box<[Pulled]>, SqlError> {
    let refuse = |why: &str| Err(refusal(model, id, table, why));
    let label = model.refs[id.0].label;
    let zoned = info.columns.iter().any(|column| matches!(column.ty, ColumnType::Timestamp(_)));
    let mut columns = Vec::with_capacity(info.columns.len());
    for column in &info.columns {
        if !column.name.is_ascii() && model.session.facts.charset != TextCharset::Utf8 {
            return refuse(&format!("has a column {} that the session's character set cannot name", column.name));
        }
        if column.generated {
            if zoned && (whole || words.name(&column.name, label)) {
                return refuse("has a generated column that may follow the session's time zone");
            }
            continue;
        }
        // Of a number in a JSON value, its text does not tell the type.
        if matches!(column.ty, ColumnType::Json) && (words.have(b"json_type") || words.have(b"json_storage_")) {
            return refuse(&format!("has a column {} of type JSON, of which only the text travels", column.name));
        }
        let needed = whole || words.name(&column.name, label) || is_unique(info, &column.name);
        let Some(form) = form(&column.ty) else {
            // What nobody names may be NULL.
            if !needed && column.nullable {
                continue;
            }
            return refuse(&format!("has a column {} of type {}", column.name, column.ty));
        };
        columns.push(Pulled { name: column.name.as_str().into(), form, needed });
    }
    // Rows count even where nothing of them is named.
    if !columns.iter().any(|column| column.needed) {
        columns.iter_mut().take(1).for_each(|column| column.needed = true);
    }
    if columns.is_empty() {
        return refuse("has no columns of its own");
    }
    Ok(columns.into())
}

/// Whether every column is needed: the statement has a star for it, or the copy may want columns that nobody names.
fn is_whole(model: &Model<'_>, id: RefId, info: &TableInfo, words: &Words) -> bool {
    let label = model.refs[id.0].label;
    let block = &model.blocks[model.refs[id.0].block.0];
    let starred =
        block.select.is_none_or(|select| select.items.iter().any(|item| !matches!(item, SelectItem::Expr { .. })));
    // What a generated column that counts is computed from is not known.
    let counts = |column: &ColumnInfo| words.name(&column.name, label) || is_unique(info, &column.name);
    let computed = info.columns.iter().any(|column| column.generated && counts(column));
    // A unique key over an expression shows no column.
    starred
        || computed
        || info.unique().flatten().any(String::is_empty)
        || block.trees.iter().any(|tree| is_natural(tree))
}

fn is_natural(tree: &TableRef) -> bool {
    match tree {
        TableRef::Join { left, right, natural, .. } => *natural || is_natural(left) || is_natural(right),
        TableRef::Nested(trees) => trees.iter().any(is_natural),
        TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => false,
    }
}

/// The keys that a copy does well without: their columns stand nowhere, or only where the rows to be copied are chosen
/// already, so that nobody can see whether they are keys, and no lookup goes by them. Unique keys stay: what depends on
/// what follows from them.
fn spare(
    model: &Model<'_>,
    ties: &Ties<'_, '_>,
    id: RefId,
    info: &TableInfo,
    known: &Conditions,
    words: &Words,
) -> Vec<Box<str>> {
    // Hints name keys or fix the order of a join, and MATCH wants a key of its own.
    if [&b"index"[..], b"key", b"/*+", b"straight_join", b"match"].into_iter().any(|word| words.have(word)) {
        return Vec::new();
    }
    let found = &model.refs[id.0];
    // Read once, and not for each row of another table.
    let once = model.blocks[found.block.0].parent.is_none() && !ties.null_side.contains(&id);
    let chosen = |at: u32| once && known.chosen.iter().any(|span| span.start <= at && at < span.end);
    let unseen = |column: &String| {
        let counted = info.column(column).is_none_or(|(_, column)| column.auto_increment);
        !counted && words.places(column, found.label).is_some_and(|places| places.into_iter().all(chosen))
    };
    let keys = info.other_keys.iter().filter(|(_, columns)| columns.iter().all(unseen));
    keys.map(|(name, _)| name.as_str().into()).collect()
}

/// Whether a column is part of a unique key: rows without it would seem to be the same.
fn is_unique(info: &TableInfo, name: &str) -> bool {
    info.unique().flatten().any(|column| column.eq_ignore_ascii_case(name))
}

fn anchors(scan: &Scan, spans: Vec<Span>) -> Result<Box<[(Anchor, Anchor)]>, SqlError> {
    let composer = Composer::new(scan, Vec::new());
    spans.into_iter().map(|span| composer.anchors(span)).collect()
}

/// What every row of a reference meets which matters.
#[derive(Default)]
struct Conditions {
    /// What its table can judge alone.
    filters: Vec<Span>,
    /// Columns that equal those of other references.
    links: Vec<Link>,
    /// The filters, and the equalities with columns by which the other table can be looked up.
    chosen: Vec<Span>,
}

fn conditions(model: &Model<'_>, ties: &Ties<'_, '_>, id: RefId) -> Conditions {
    let block = &model.blocks[model.refs[id.0].block.0];
    let mut found = Conditions::default();
    let Meaning::Table(_, Some(info)) = model.refs[id.0].source else { return found };
    let filtering = Filtering { model, ties, id, info };
    // Behind an outer join a row that is left out is not gone: NULLs stand in its place.
    let kept = !ties.null_side.contains(&id);
    if let (Some(filter), true) = (block.filter, kept && block.select.is_some()) {
        filtering.conjuncts(filter, &mut found);
    }
    block.trees.iter().for_each(|tree| filtering.tree(tree, kept, &mut found));
    found
}

fn has_params(condition: &Expr) -> bool {
    matches!(condition, Expr::Param { .. }) || parts(condition).into_iter().any(has_params)
}

/// Finds what one table can judge of the conditions around a reference, and what it has to equal.
struct Filtering<'m, 'a> {
    model: &'m Model<'a>,
    ties: &'m Ties<'m, 'a>,
    id: RefId,
    info: &'a TableInfo,
}

impl Filtering<'_, '_> {
    fn tree(&self, tree: &TableRef, kept: bool, found: &mut Conditions) {
        match tree {
            TableRef::Join { left, right, kind, on, using, .. } => {
                let is_this = |side: &TableRef| self.model.ref_of(side) == Some(self.id);
                let applies = match kind {
                    JoinKind::Inner | JoinKind::Straight => kept,
                    // Its rows that do not meet ON find no partner, whether they are there or not.
                    JoinKind::Left => is_this(right),
                    JoinKind::Right => is_this(left),
                };
                if let (Some(on), true) = (on, applies) {
                    self.conjuncts(on, found);
                }
                if applies {
                    self.using(left, right, using, found);
                }
                self.tree(left, kept, found);
                self.tree(right, kept, found);
            }
            TableRef::Nested(trees) => trees.iter().for_each(|tree| self.tree(tree, kept, found)),
            TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => {}
        }
    }

    /// USING between two tables; of wider trees it is left open which table a column is of.
    fn using(&self, left: &TableRef, right: &TableRef, using: &[Ident], found: &mut Conditions) {
        let (Some(left), Some(right)) = (self.model.ref_of(left), self.model.ref_of(right)) else { return };
        let other = match (left == self.id, right == self.id) {
            (true, false) => right,
            (false, true) => left,
            _ => return,
        };
        found.links.extend(using.iter().filter_map(|column| self.link(&column.name, other, &column.name)));
    }

    fn conjuncts(&self, condition: &Expr, found: &mut Conditions) {
        match strip(condition) {
            Expr::Binary { op: BinaryOp::And, left, right, .. } => {
                self.conjuncts(left, found);
                self.conjuncts(right, found);
            }
            other => {
                let mut columns = Vec::new();
                columns_of(other, &mut columns);
                if !columns.is_empty() && self.judges(other) && !self.is_year(other, &columns) {
                    found.filters.push(other.span());
                    found.chosen.push(other.span());
                } else if let Expr::Binary { op: BinaryOp::Eq, left, right, .. } = other {
                    let block = self.model.refs[self.id.0].block;
                    let sides = [left, right].map(|side| self.model.column(block, side));
                    if let [Some(left), Some(right)] = &sides {
                        let (own, other) = if left.of == self.id { (left, right) } else { (right, left) };
                        if own.of == self.id {
                            let link = self.link(&own.name, other.of, &other.name);
                            if link.is_some() && self.is_looked_up(other) {
                                found.chosen.push(condition.span());
                            }
                            found.links.extend(link);
                        }
                    }
                }
            }
        }
    }

    /// Whether a parameter stands beside a YEAR: as a number that is written out, 5 would be the year 2005 to MySQL.
    fn is_year(&self, condition: &Expr, columns: &[&Expr]) -> bool {
        let is_year = |column: &&Expr| match column {
            Expr::Column { name, .. } => {
                self.info.column(&name.name).is_some_and(|(_, column)| column.ty == ColumnType::Year)
            }
            _ => false,
        };
        self.model.session.facts.flavour == Flavour::MySql && columns.iter().any(is_year) && has_params(condition)
    }

    /// Whether a column of the same block is the first of a unique key.
    fn is_looked_up(&self, column: &Column) -> bool {
        let other = &self.model.refs[column.of.0];
        let Meaning::Table(_, Some(info)) = other.source else { return false };
        let first = |key: &[String]| key.first().is_some_and(|first| first.eq_ignore_ascii_case(&column.name));
        other.block == self.model.refs[self.id.0].block && info.unique().any(first)
    }

    /// A column that equals one of another table, if the other's values can be written so that they compare alike.
    fn link(&self, column: &str, of: RefId, other: &str) -> Option<Link> {
        let Meaning::Table(source, Some(info)) = self.model.refs[of.0].source else { return None };
        let ((_, own), (_, its)) = (self.info.column(column)?, info.column(other)?);
        let text = |column: &ColumnInfo| column.collation.clone();
        let literal = match (&own.ty, &its.ty) {
            (ColumnType::Int { .. }, ColumnType::Int { .. }) => Literal::Digits,
            (ColumnType::Varchar(_), ColumnType::Varchar(_)) if text(own) == text(its) => {
                Literal::Text(text(own)?.split('_').next()?.into())
            }
            _ => return None,
        };
        let name = |column: &ColumnInfo| column.name.as_str().into();
        let key = self.ties.key_named(self.id, &own.name);
        (of != self.id).then(|| Link { column: name(own), source, other: name(its), literal, key })
    }

    /// Whether the value follows from a row of the table alone, whenever and wherever it is computed.
    fn judges(&self, expr: &Expr) -> bool {
        let known = match expr {
            Expr::Column { schema, name, .. } => {
                let block = self.model.refs[self.id.0].block;
                let of = self.model.column(block, expr).map(|column| column.of);
                return schema.is_none() && of == Some(self.id) && self.info.column(&name.name).is_some();
            }
            Expr::Literal { .. } | Expr::Param { .. } | Expr::Keyword(..) => true,
            Expr::Unary { .. } | Expr::Paren(..) | Expr::Tuple(..) | Expr::Is { .. } => true,
            Expr::Between { .. } | Expr::InList { .. } => true,
            Expr::Binary { op, .. } => *op != BinaryOp::Other,
            Expr::Function(function) => nature(&function.name) == Nature::Pure && !function.over,
            Expr::Other { parts, .. } => match parts.as_slice() {
                [text, pattern] => self.is_like(text, pattern),
                _ => false,
            },
            Expr::Variable { .. }
            | Expr::InSubquery { .. }
            | Expr::Cast { .. }
            | Expr::Subquery(..)
            | Expr::Exists(..) => false,
        };
        known && parts(expr).into_iter().all(|part| self.judges(part))
    }

    fn is_like(&self, text: &Expr, pattern: &Expr) -> bool {
        let between = Span { start: text.span().end, end: pattern.span().start };
        let word = between.of(self.model.sql).trim_ascii().to_ascii_uppercase();
        word == b"LIKE" || word == b"NOT LIKE"
    }
}

/// The columns of a row that are not computed from others, all of them needed.
///
/// # Errors
/// The first column whose values do not travel.
pub(super) fn stored(info: &TableInfo) -> Result<Box<[Pulled]>, &ColumnInfo> {
    let own = info.columns.iter().filter(|column| !column.generated);
    let pulled = |column: &ColumnInfo| {
        form(&column.ty).map(|form| Pulled { name: column.name.as_str().into(), form, needed: true })
    };
    own.map(|column| pulled(column).ok_or(column)).collect()
}

/// How values of a type travel; none if they do not.
pub(super) fn form(ty: &ColumnType) -> Option<Form> {
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
        ColumnType::Other(_) if ty.is_spatial() => Form::Shape,
        ColumnType::Other(_) => return None,
    })
}
