//! Which values of an INSERT can be computed before it, where they have to be known to choose a shard, to number a row
//! or to keep a lookup: those that hang on no column of the row. What a column has by default counts among them.

use crate::error::SqlError;
use crate::plan::computed::{Computed, Item, With, gap};
use crate::plan::functions::{Nature, nature};
use crate::plan::parts::{is_quotient, is_random, parts, strip};
use crate::plan::resolve::{Model, QueryId, RefId, Source};
use crate::plan::text::quote;
use crate::plan::ties::slot;
use crate::plan::write::ahead::{is_arithmetic, number_of};
use crate::plan::write::{Writing, rows_of};
use crate::plan::{Place, Plan};
use crate::rules::catalog::{ColumnInfo, ColumnType, TableInfo};
use crate::sql::Flavour;
use crate::sql::ast::{Expr, Ident, Insert, InsertSource, Keyword, Query, Span, TableRef};
use crate::sql::walk::{self, Node};

/// The most values that one SELECT computes: MySQL takes 4,096 columns.
const VALUES_MOST: usize = 4_000;

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an INSERT that would be refused: its values are computed first if they can be.
    pub(in crate::plan) fn computed(
        &self,
        refusal: SqlError,
        insert: &'a Insert,
        table: u16,
        query: Option<QueryId>,
    ) -> Result<Plan, SqlError> {
        match self.compute(insert, table).filter(|_| refusal.errno == 1235 && query.is_none()) {
            Some(computed) => Ok(Plan::Computed(Box::new(computed))),
            None => Err(refusal),
        }
    }

    /// That nothing in the statement does more than to compute, or knows what a SELECT of its own does not.
    pub(super) fn only_computes(&self) -> bool {
        let effects = &self.model.effects;
        let more = effects.sets_variables
            || effects.sets_last_insert_id
            || effects.user_locks
            || effects.stored_function
            || effects.asks_session()
            || !self.model.relations.is_empty();
        !more
    }

    fn compute(&self, insert: &'a Insert, table: u16) -> Option<Computed> {
        let found = &self.model.tables[usize::from(table)];
        let info = self.model.catalog.table(&found.schema, &found.name).filter(|info| !info.view)?;
        if insert.returning || insert.partitions || !self.only_computes() {
            return None;
        }
        let mut values = Values {
            writing: self,
            table,
            copies: found.place == Place::Broadcast,
            needed: self.needed(table, info),
            computed: Computed { items: Box::default(), columns: Box::default(), reads: false, ignores: insert.ignore },
            items: Vec::new(),
            columns: Vec::new(),
        };
        let named: Vec<&ColumnInfo> = match &insert.columns {
            Some(columns) => columns
                .iter()
                .map(|column| info.column(&column.name).map(|(_, column)| column))
                .collect::<Option<_>>()?,
            None => info.visible().collect(),
        };
        for row in rows_of(insert) {
            if row.len() != named.len() {
                return None;
            }
            for (value, column) in row.iter().zip(&named) {
                values.value(value, column)?;
            }
        }
        for assignment in insert.on_duplicate.iter().filter(|assignment| reads_elsewhere(self.model, &assignment.value))
        {
            let Expr::Column { name, .. } = &assignment.column else { return None };
            match is_free(self.model, &assignment.value) {
                true => values.compute(&assignment.value, info.column(&name.name)?.1, true)?,
                false => values.numbers(&assignment.value)?,
            }
        }
        let missing: Vec<&ColumnInfo> = values
            .needed
            .iter()
            .filter(|key| key.routes && !named.iter().any(|column| column.is_named(key.name)))
            .filter_map(|key| info.column(key.name).map(|(_, column)| column))
            .collect();
        for column in missing {
            values.add(insert, column)?;
        }
        values.finish()
    }

    /// The columns whose values have to be known.
    fn needed<'n>(&'n self, table: u16, info: &'n TableInfo) -> Vec<Needed<'n>> {
        let found = &self.model.tables[usize::from(table)];
        let mut needed: Vec<Needed<'_>> = Vec::new();
        if matches!(found.place, Place::Sharded(_)) {
            needed.extend(self.model.key_names(table).iter().map(|name| Needed { name, routes: true }));
        }
        needed.extend(info.auto_increment().map(|column| Needed { name: &column.name, routes: false }));
        if self.has_lookups(table) {
            needed.extend(info.unique().flatten().map(|name| Needed { name, routes: false }));
        }
        needed
    }
}

/// A column whose values have to be known.
struct Needed<'n> {
    name: &'n str,
    /// They say where a row goes.
    routes: bool,
}

/// Collects what is to be computed; each of its steps gives none if something cannot be.
struct Values<'v, 'w, 'm, 'a> {
    writing: &'v Writing<'w, 'm, 'a>,
    table: u16,
    /// The table is on every group.
    copies: bool,
    needed: Vec<Needed<'v>>,
    computed: Computed,
    items: Vec<Item>,
    columns: Vec<ColumnInfo>,
}

impl<'a> Values<'_, '_, '_, 'a> {
    /// What a row has for a column.
    fn value(&mut self, value: &'a Expr, column: &ColumnInfo) -> Option<()> {
        let model = self.writing.model;
        let needed = self.needed.iter().any(|needed| column.is_named(needed.name));
        let routes = self.needed.iter().any(|needed| needed.routes && column.is_named(needed.name));
        if let (true, Some(default)) = (routes, self.default_of(value, column)) {
            return self.put(value.span(), With::Text(default?.into()));
        }
        let lookups = self.needed.iter().any(|needed| !needed.routes) && !self.copies;
        let wanted = (needed && slot(value).is_none() && !is_default(value))
            || reads_elsewhere(model, value)
            || (lookups && is_random(value))
            || (self.copies && is_random(value));
        match wanted {
            true => self.compute(value, column, false),
            false => Some(()),
        }
    }

    /// The literal that stands for `DEFAULT` or `DEFAULT(column)`, if that is what the value is; none within for one
    /// that nobody knows here.
    fn default_of(&self, value: &Expr, column: &ColumnInfo) -> Option<Option<String>> {
        match strip(value) {
            Expr::Keyword(Keyword::Default, _) => {}
            Expr::Function(function) if function.name == "DEFAULT" => match function.args.as_slice() {
                [Expr::Column { name, .. }] if column.is_named(&name.name) => {}
                _ => return None,
            },
            _ => return None,
        }
        Some(self.default(column))
    }

    /// The default of a column as a literal; none for an expression.
    fn default(&self, column: &ColumnInfo) -> Option<String> {
        let flavour = self.writing.model.session.facts.flavour;
        literal(flavour, column)
    }

    /// An expression that a server computes.
    fn compute(&mut self, value: &'a Expr, column: &ColumnInfo, lazy: bool) -> Option<()> {
        let model = self.writing.model;
        // What is only needed behind rows that are stored would see these.
        let reads = reads_target(model, self.table, value) || (lazy && names_target(model, self.table, value));
        (is_free(model, value) && !reads).then_some(())?;
        let number = match self.columns.iter().position(|known| known == column) {
            Some(number) => number,
            None => {
                self.columns.push(column.clone());
                self.columns.len() - 1
            }
        };
        let number = u16::try_from(number).ok()?;
        let with = self.writing.value_of(value, number, lazy, &mut self.computed.reads)?;
        self.put(value.span(), with)
    }

    /// The subqueries of a value that hangs on its row: numbers that are computed with, whose literals have their types.
    fn numbers(&mut self, value: &'a Expr) -> Option<()> {
        let model = self.writing.model;
        match strip(value) {
            Expr::Binary { op, left, right, .. } if is_arithmetic(*op) => {
                for side in [left, right] {
                    match strip(side) {
                        of @ Expr::Subquery(query, _) if reads_elsewhere(model, of) => {
                            self.compute(of, &number_of(model, query)?, true)?;
                        }
                        side => self.numbers(side)?,
                    }
                }
                Some(())
            }
            Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. } if reads_elsewhere(model, value) => None,
            other => parts(other).into_iter().try_for_each(|part| self.numbers(part)),
        }
    }

    /// Adds a column that the statement leaves out, with its default for each row.
    fn add(&mut self, insert: &'a Insert, column: &ColumnInfo) -> Option<()> {
        let default = self.default(column)?;
        let mut name = Vec::new();
        quote(column.name.as_bytes(), &mut name);
        let name = String::from_utf8(name).ok()?;
        let columns: &[Ident] = insert.columns.as_deref()?;
        let last = columns.last()?.span.end;
        match &insert.source {
            InsertSource::Values(rows) => {
                self.put(gap(last), With::Text(format!(",{name}").into()))?;
                for (_, span) in rows {
                    self.put(gap(span.end - 1), With::Text(format!(",{default}").into()))?;
                }
                Some(())
            }
            InsertSource::Set(_) => {
                self.writing.no_qualified_column(insert).ok()?;
                let first = columns.first()?.span.start;
                self.put(gap(first), With::Text(format!("{name}={default},").into()))
            }
            InsertSource::Query(_) => None,
        }
    }

    fn put(&mut self, span: Span, with: With) -> Option<()> {
        let place = self.writing.composer().anchors(span).ok()?;
        self.items.push(Item { place, with });
        (self.items.len() <= VALUES_MOST).then_some(())
    }

    fn finish(mut self) -> Option<Computed> {
        // In the order of the text: what is added stands in front of what follows.
        self.items.sort_by_key(|item| item.place);
        (!self.items.is_empty()).then(|| Computed {
            items: self.items.into(),
            columns: self.columns.into(),
            ..self.computed
        })
    }
}

impl Writing<'_, '_, '_> {
    /// How the value of an expression that hangs on no row is computed. `lazy`: a server may not come to need it.
    pub(super) fn value_of(&self, value: &Expr, column: u16, lazy: bool, reads: &mut bool) -> Option<With> {
        let (model, composer) = (self.model, self.composer());
        if let Expr::Subquery(query, _) = strip(value)
            && reads_elsewhere(model, value)
        {
            let node = &model.queries[model.query_of(query)?.0];
            let query = composer.anchors(query.span).ok()?;
            *reads = true;
            return Some(With::Query { query, column, divides: node.divides(model), lazy });
        }
        let mut found = false;
        walk::expr(value, &mut |node| {
            if let Node::Query(query) = node {
                let node = model.query_of(query).map(|id| &model.queries[id.0]);
                found |= node.is_none_or(|node| !node.refs.is_empty());
            }
            true
        });
        *reads |= found;
        Some(With::Value { column, divides: divides(value), reads: found })
    }
}

/// Whether the decimals of an expression may have more digits than a server shows of them.
pub(super) fn divides(value: &Expr) -> bool {
    let mut divides = false;
    walk::expr(value, &mut |node| {
        divides |= is_quotient(&node);
        true
    });
    divides
}

/// Whether a subquery stands in an expression.
pub(super) fn reads_tables(value: &Expr) -> bool {
    let mut found = false;
    walk::expr(value, &mut |node| {
        found |= matches!(node, Node::Query(_));
        true
    });
    found
}

/// Whether a subquery reads the table that is written so that MySQL refuses it.
pub(super) fn reads_target(model: &Model<'_>, table: u16, value: &Expr) -> bool {
    model.session.facts.flavour == Flavour::MySql && names_target(model, table, value)
}

/// Whether a subquery reads the table that is written, outside of a derived table.
fn names_target(model: &Model<'_>, table: u16, value: &Expr) -> bool {
    let mut found = false;
    walk::expr(value, &mut |node| {
        let id = match node {
            Node::Query(query) => model.query_of(query),
            _ => None,
        };
        if let Some(id) = id {
            let refs = model.queries[id.0].refs.clone();
            let own = |of: usize| matches!(model.refs[of].source, Source::Table(known, _) if known == table);
            let derived = |of: usize| {
                refs.clone().any(|around| match model.refs[around].source {
                    Source::Query(inner) => model.queries[inner.0].refs.contains(&of),
                    _ => false,
                })
            };
            found |= refs.clone().any(|of| own(of) && !derived(of));
        }
        !matches!(node, Node::Table(TableRef::Derived { .. }))
    });
    found
}

/// Whether a value is the word DEFAULT.
fn is_default(value: &Expr) -> bool {
    matches!(strip(value), Expr::Keyword(Keyword::Default, _))
}

/// Whether rows of other than broadcast tables are read in an expression.
fn reads_elsewhere(model: &Model<'_>, value: &Expr) -> bool {
    let mut found = false;
    walk::expr(value, &mut |node| {
        if let Node::Query(query) = node {
            found |= model.query_of(query).is_some_and(|id| {
                let mut refs = model.queries[id.0].refs.clone();
                refs.any(|of| matches!(model.place(RefId(of)), Some(Place::Sharded(_) | Place::Single(_))))
            });
        }
        true
    });
    found
}

/// Whether an expression means the same in a SELECT of its own: it names no column around its subqueries, and what these
/// read hangs on nothing outside of them.
pub(super) fn is_free(model: &Model<'_>, value: &Expr) -> bool {
    let query = |query: &Query| model.query_of(query).is_some_and(|id| stands_free(model, id));
    let own = match value {
        Expr::Column { .. } | Expr::Keyword(Keyword::Default, _) => false,
        Expr::Function(function) => {
            let row = matches!(function.name.as_str(), "VALUES" | "VALUE" | "DEFAULT");
            !row && !function.over
                && match nature(&function.name) {
                    Nature::Pure | Nature::Clock | Nature::Random | Nature::Schema => true,
                    Nature::LastInsertId => function.args.is_empty(),
                    _ => false,
                }
        }
        Expr::Subquery(of, _) | Expr::Exists(of, _) => query(of),
        Expr::InSubquery { query: of, .. } => query(of),
        _ => true,
    };
    own && parts(value).into_iter().all(|part| is_free(model, part))
}

/// Whether a query hangs on no row outside of it.
fn stands_free(model: &Model<'_>, id: QueryId) -> bool {
    let node = &model.queries[id.0];
    node.blocks.clone().all(|block| {
        let found = &model.blocks[block];
        !found.correlated || found.parent.is_some_and(|parent| node.blocks.contains(&parent.0))
    })
}

/// The default of a column as a literal that it takes as it takes the default; none for what may be an expression, and for
/// a column that has none.
pub(super) fn literal(flavour: Flavour, column: &ColumnInfo) -> Option<String> {
    let Some(default) = column.default.as_deref() else {
        return column.nullable.then(|| "NULL".to_owned());
    };
    let text = match flavour {
        Flavour::MariaDb if default == "NULL" => return Some("NULL".to_owned()),
        Flavour::MariaDb => default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')),
        Flavour::MySql => None,
    };
    match column.ty {
        ColumnType::Int { .. } => {
            let digits = default.strip_prefix('-').unwrap_or(default);
            let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            whole.then(|| default.to_owned())
        }
        ColumnType::Char(_) | ColumnType::Varchar(_) => {
            // MySQL shows a text without quotes, and so may an expression be shown that is one word.
            let plain = |text: &str| {
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' '))
                    && !["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
            };
            let letter = |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic());
            match flavour {
                Flavour::MySql => Some(default).filter(|text| letter(text)),
                Flavour::MariaDb => text,
            }
            .filter(|text| plain(text))
            .map(|text| format!("'{text}'"))
        }
        _ => None,
    }
}
