//! Whom the names of a statement mean: every table reference with its place, every query block with its scope,
//! every column with the reference it comes from; and which names must be rewritten for a target.
//! It draws no conclusion about where the statement can run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Code, SqlError};
use crate::plan::catalogue::is_system_schema;
use crate::plan::catalogue::relation::{Found, Relation, find, find_in_performance};
use crate::plan::functions::{Nature, nature};
use crate::plan::parts::{columns_of, is_quotient, never_called, parts, position};
use crate::plan::text::Rewrite;
use crate::plan::{Effects, Place, Session, Table};
use crate::rules::catalog::{Catalog, TableInfo};
use crate::rules::{FamilyId, GroupId, Placement, RuleSet, ShardedTable};
use crate::sql::ast::{
    BinaryOp, Body, Cte, Expr, Function, Ident, ObjectName, OrderItem, Query, Select, SelectItem, Span, TableRef,
};
use crate::sql::walk;

/// A table reference: a table, derived table or common table expression where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RefId(pub usize);

/// A query block: one SELECT, or the tables and conditions of an UPDATE or DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockId(pub usize);

/// A query expression with its own WITH, ORDER BY and LIMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct QueryId(pub usize);

/// A statement with its names resolved.
pub(super) struct Model<'a> {
    /// The client's text.
    pub(super) sql: &'a [u8],
    /// The rules in force.
    pub(super) rules: &'a RuleSet,
    /// The columns of the tables.
    pub(super) catalog: &'a Catalog,
    /// What the session adds.
    pub(super) session: Session<'a>,
    /// The table references in the order of the text.
    pub(super) refs: Vec<Ref<'a>>,
    /// The query blocks.
    pub(super) blocks: Vec<Block<'a>>,
    /// The query expressions.
    pub(super) queries: Vec<QueryNode<'a>>,
    /// The tables named, each once.
    pub(super) tables: Vec<Table>,
    /// What must be rewritten for a target, by span; in no order.
    pub(super) edits: Vec<(Span, Rewrite)>,
    /// The relations of information_schema that tell of tables, where they are read; in the order of the text.
    pub(super) relations: Vec<ReadRelation>,
    /// What the statement does to its session.
    pub(super) effects: Effects,
    /// Things that must not run on several targets, with their places.
    pub(super) obstacles: Vec<Obstacle>,
    /// The literals whose value says what is meant: positions in GROUP BY and ORDER BY.
    pub(super) pins: Vec<u32>,
    /// Where aliases stand that are written like strings, and so are literals to the lexer.
    pub(super) quoted_aliases: Vec<u32>,
    /// Each reference to a table counts as a table of its own, whose name is rewritten wherever it is: for a gather.
    apart: bool,
    query_ids: HashMap<*const Query, QueryId>,
    ref_ids: HashMap<*const TableRef, RefId>,
    /// The common table expressions.
    pub(super) ctes: Vec<CteNode<'a>>,
    /// Where they are read, in the order of the text but for WITH, which comes first.
    pub(super) cte_uses: Vec<CteUse>,
    /// The numbers of those that names can mean where the text is being read.
    visible_ctes: Vec<usize>,
}

/// A common table expression.
pub(super) struct CteNode<'a> {
    /// Its tree.
    pub(super) ast: &'a Cte,
    /// What it is; none as long as it is read itself, where it can be recursive.
    pub(super) query: Option<QueryId>,
}

/// A place where a common table expression is read.
#[derive(Clone)]
pub(super) struct CteUse {
    /// Its number among the statement's.
    pub(super) cte: usize,
    /// Its name there.
    pub(super) span: Span,
    /// What its columns are qualified with there.
    pub(super) label: Label,
    /// It is read by itself.
    pub(super) recursive: bool,
    /// The select items around it that have no alias: their names are their texts.
    pub(super) items: Vec<Span>,
}

/// What the columns of a table reference are qualified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// An alias.
    Alias,
    /// Its own name.
    Name,
    /// Its own name, and there is no room for an alias.
    None,
}

/// A table reference.
pub(super) struct Ref<'a> {
    /// The block whose FROM it stands in.
    pub(super) block: BlockId,
    /// What it refers to.
    pub(super) source: Source<'a>,
    /// Its alias, or the table's name: what a column is qualified with.
    pub(super) label: &'a str,
    /// The logical schema that a column may be qualified with; none behind an alias.
    pub(super) schema: Option<&'a str>,
    /// It is rewritten to its bare physical name: the grammar has no room for an alias.
    pub(super) plain: bool,
    /// Where its name stands.
    pub(super) span: Span,
}

/// What a table reference refers to.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// A table, by its number in `Model::tables`, and its columns if the catalog knows them.
    Table(u16, Option<&'a TableInfo>),
    /// A derived table or a common table expression.
    Query(QueryId),
    /// A table function, or the recursive reference inside a common table expression.
    Opaque,
}

/// A query expression.
pub(super) struct QueryNode<'a> {
    /// Its tree.
    pub(super) ast: &'a Query,
    /// What its body consists of.
    pub(super) body: BodyNode,
    /// Its output's names where a list of them is given.
    pub(super) names: &'a [Ident],
    /// How many references there are to it; more than one only for a common table expression.
    pub(super) uses: usize,
    /// It refers to itself.
    pub(super) recursive: bool,
    /// The table references in it, those of queries inside of it included.
    pub(super) refs: Range<usize>,
    /// The blocks in it, likewise.
    pub(super) blocks: Range<usize>,
}

impl QueryNode<'_> {
    /// Whether its decimals may have more digits than a server shows of them: those of a quotient, which AVG is, too.
    pub(super) fn divides(&self, model: &Model<'_>) -> bool {
        let known = |id: usize| match model.refs[id].source {
            Source::Table(_, info) => info.is_some_and(|info| !info.view),
            Source::Query(_) | Source::Opaque => true,
        };
        let mut divides = !self.refs.clone().all(known);
        walk::query(self.ast, &mut |node| {
            divides |= is_quotient(&node);
            true
        });
        divides
    }
}

/// The body of a query expression.
pub(super) enum BodyNode {
    /// Not read yet.
    Pending,
    /// One SELECT, or TABLE t.
    Block(BlockId),
    /// A set operation.
    Set(Box<[BodyNode; 2]>),
    /// In parentheses.
    Nested(QueryId),
    /// VALUES.
    Values,
}

/// A query block.
pub(super) struct Block<'a> {
    /// The block around it, whose columns it sees.
    pub(super) parent: Option<BlockId>,
    /// Its SELECT; none for TABLE t, UPDATE, DELETE.
    pub(super) select: Option<&'a Select>,
    /// Its table references.
    pub(super) from: Vec<RefId>,
    /// The trees of its FROM.
    pub(super) trees: Vec<&'a TableRef>,
    /// WHERE.
    pub(super) filter: Option<&'a Expr>,
    /// An aggregate function stands in it.
    pub(super) aggregated: bool,
    /// A window function stands in it.
    pub(super) windows: bool,
    /// An aggregate stands in it whose value hangs on the order in which rows are read.
    pub(super) unordered: bool,
    /// It refers to a column of a block around it.
    pub(super) correlated: bool,
}

/// A column of a table reference; its name in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Column {
    /// The reference.
    pub(super) of: RefId,
    /// The name.
    pub(super) name: String,
}

/// Something that must not run on several targets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obstacle {
    /// What it is, to be continued with "needs rows of several shards".
    pub(super) what: &'static str,
    /// Where it stands.
    pub(super) at: u32,
}

/// A relation of information_schema where it is read.
#[derive(Clone, Copy)]
pub(super) struct ReadRelation {
    /// Which.
    pub(super) relation: &'static Relation,
    /// Its name in the text.
    pub(super) span: Span,
    /// What names it, where it has no alias.
    pub(super) label: Option<Span>,
    /// The reference; none where it stands alone.
    pub(super) id: Option<RefId>,
}

impl<'a> Model<'a> {
    /// A statement of which nothing has been read yet.
    pub(super) fn new(sql: &'a [u8], session: Session<'a>, rules: &'a RuleSet, catalog: &'a Catalog) -> Model<'a> {
        Model {
            sql,
            rules,
            catalog,
            session,
            refs: Vec::new(),
            blocks: Vec::new(),
            queries: Vec::new(),
            tables: Vec::new(),
            edits: Vec::new(),
            relations: Vec::new(),
            effects: Effects::default(),
            obstacles: Vec::new(),
            pins: Vec::new(),
            quoted_aliases: Vec::new(),
            apart: false,
            query_ids: HashMap::new(),
            ref_ids: HashMap::new(),
            ctes: Vec::new(),
            cte_uses: Vec::new(),
            visible_ctes: Vec::new(),
        }
    }

    /// The same for a gather: every reference gets a number in `tables` of its own.
    pub(super) fn apart(sql: &'a [u8], session: Session<'a>, rules: &'a RuleSet, catalog: &'a Catalog) -> Model<'a> {
        Model { apart: true, ..Model::new(sql, session, rules, catalog) }
    }

    /// The reference that a table tree's leaf was read into.
    pub(super) fn ref_of(&self, leaf: &TableRef) -> Option<RefId> {
        self.ref_ids.get(&std::ptr::from_ref(leaf)).copied()
    }

    /// The query expression that a tree was read into.
    pub(super) fn query_of(&self, query: &Query) -> Option<QueryId> {
        self.query_ids.get(&std::ptr::from_ref(query)).copied()
    }

    /// The home of the default schema, or the first group.
    pub(super) fn home(&self) -> GroupId {
        self.session.schema.and_then(|name| self.rules.schema(name)).map_or(GroupId(0), |schema| schema.home)
    }

    /// Reads a query expression whose columns may refer to those of `parent`.
    ///
    /// # Errors
    /// 1046 or 1049 for a table without a schema or in an unknown one.
    pub(super) fn query(&mut self, ast: &'a Query, parent: Option<BlockId>) -> Result<QueryId, SqlError> {
        let id = QueryId(self.queries.len());
        let (refs, blocks) = (self.refs.len(), self.blocks.len());
        self.queries.push(QueryNode {
            ast,
            body: BodyNode::Pending,
            names: &[],
            uses: 0,
            recursive: false,
            refs: refs..refs,
            blocks: blocks..blocks,
        });
        self.query_ids.insert(std::ptr::from_ref(ast), id);
        let visible = self.visible_ctes.len();
        self.ctes(&ast.with, ast.recursive, parent)?;
        let body = self.body(&ast.body, parent)?;
        let scope = match body {
            BodyNode::Block(block) => Some(block),
            _ => parent,
        };
        self.queries[id.0].body = body;
        self.order(&ast.order_by, scope)?;
        if let Some(limit) = &ast.limit {
            self.expr(&limit.count, scope)?;
            limit.offset.iter().try_for_each(|offset| self.expr(offset, scope))?;
        }
        self.effects.locking |= ast.locking.is_some();
        if let Some(into) = ast.into {
            self.obstacles.push(Obstacle { what: "INTO", at: into.start });
        }
        self.visible_ctes.truncate(visible);
        self.queries[id.0].refs.end = self.refs.len();
        self.queries[id.0].blocks.end = self.blocks.len();
        Ok(id)
    }

    /// Reads common table expressions and leaves them visible.
    ///
    /// # Errors
    /// As [`Model::query`].
    pub(super) fn ctes(&mut self, ctes: &'a [Cte], recursive: bool, parent: Option<BlockId>) -> Result<(), SqlError> {
        for cte in ctes {
            let number = self.ctes.len();
            self.ctes.push(CteNode { ast: cte, query: None });
            if recursive {
                self.visible_ctes.push(number);
            }
            let refs = self.refs.len();
            let id = self.query(&cte.query, parent)?;
            self.queries[id.0].names = &cte.columns;
            self.queries[id.0].recursive =
                recursive && self.refs[refs..].iter().any(|inner| matches!(inner.source, Source::Opaque));
            self.ctes[number].query = Some(id);
            if !recursive {
                self.visible_ctes.push(number);
            }
        }
        Ok(())
    }

    fn body(&mut self, body: &'a Body, parent: Option<BlockId>) -> Result<BodyNode, SqlError> {
        Ok(match body {
            Body::Select(select) => BodyNode::Block(self.select(select, parent)?),
            Body::SetOperation { left, right, .. } => {
                let left = self.body(left, parent)?;
                BodyNode::Set(Box::new([left, self.body(right, parent)?]))
            }
            Body::Nested(inner) => BodyNode::Nested(self.query(inner, parent)?),
            Body::Values(rows) => {
                rows.iter().flatten().try_for_each(|value| self.expr(value, parent))?;
                BodyNode::Values
            }
            Body::Table(name) => {
                let block = self.block(parent, None);
                let source = self.source(name, Label::None)?;
                if let Source::Table(table, _) = source {
                    self.rename(table, name, false);
                    if self.relation(table, name)?.is_some() {
                        let why = "TABLE of a relation of information_schema: write SELECT * FROM";
                        return Err(SqlError::refuse_at(why, self.sql, name.span.start as usize));
                    }
                }
                self.push_ref(Ref {
                    block,
                    source,
                    label: &name.name.name,
                    schema: None,
                    plain: true,
                    span: name.span,
                });
                BodyNode::Block(block)
            }
        })
    }

    fn select(&mut self, select: &'a Select, parent: Option<BlockId>) -> Result<BlockId, SqlError> {
        let block = self.block(parent, Some(select));
        self.effects.calc_found_rows |= select.calc_found_rows;
        if select.calc_found_rows {
            self.obstacles.push(Obstacle { what: "SQL_CALC_FOUND_ROWS", at: select.span.start });
        }
        self.blocks[block.0].windows = select.named_windows;
        self.from(&select.from, block, true)?;
        for item in &select.items {
            self.item(item, block)?;
        }
        self.pins.extend(select.group_by.iter().filter_map(position));
        let clauses = select.filter.iter().chain(&select.group_by).chain(&select.having).chain(&select.windows);
        for expr in clauses {
            self.expr(expr, Some(block))?;
        }
        Ok(block)
    }

    /// A new block.
    pub(super) fn block(&mut self, parent: Option<BlockId>, select: Option<&'a Select>) -> BlockId {
        let (from, trees) = (Vec::new(), Vec::new());
        let filter = select.and_then(|select| select.filter.as_ref());
        self.blocks.push(Block {
            parent,
            select,
            from,
            trees,
            filter,
            aggregated: false,
            windows: false,
            unordered: false,
            correlated: false,
        });
        BlockId(self.blocks.len() - 1)
    }

    /// Reads the table references of a block; `aliased`: whether the statement's grammar has room for an alias.
    ///
    /// # Errors
    /// As [`Model::query`].
    pub(super) fn from(&mut self, trees: &'a [TableRef], block: BlockId, aliased: bool) -> Result<(), SqlError> {
        for tree in trees {
            self.table_ref(tree, block, aliased)?;
            self.blocks[block.0].trees.push(tree);
        }
        trees.iter().try_for_each(|tree| self.conditions(tree, block))
    }

    fn table_ref(&mut self, tree: &'a TableRef, block: BlockId, aliased: bool) -> Result<(), SqlError> {
        match tree {
            TableRef::Table { name, alias, partitions, span } => {
                let source = self.source(name, if alias.is_some() { Label::Alias } else { Label::Name })?;
                if let Source::Table(table, _) = source {
                    if *partitions && self.is_rewritten(table) {
                        let why = "PARTITION (...) of a sharded table is not supported";
                        return Err(SqlError::refuse_at(why, self.sql, span.start as usize));
                    }
                    self.rename(table, name, aliased && alias.is_none());
                }
                let label = alias.as_ref().unwrap_or(&name.name);
                let schema = match alias {
                    None => name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema),
                    Some(_) => None,
                };
                let plain = !aliased && alias.is_none();
                let id = self.push_ref(Ref { block, source, label: &label.name, schema, plain, span: name.span });
                if let Source::Table(table, _) = source
                    && let Some(relation) = self.relation(table, name)?
                {
                    let label = alias.is_none().then_some(name.name.span);
                    self.relations.push(ReadRelation { relation, span: name.span, label, id: Some(id) });
                }
                self.ref_ids.insert(std::ptr::from_ref(tree), id);
            }
            TableRef::Derived { query, lateral, alias, columns, span } => {
                let parent = if *lateral { Some(block) } else { self.blocks[block.0].parent };
                let inner = self.query(query, parent)?;
                (self.queries[inner.0].uses, self.queries[inner.0].names) = (1, columns);
                let label = alias.as_ref().map_or("", |alias| &alias.name);
                let source = Source::Query(inner);
                let id = self.push_ref(Ref { block, source, label, schema: None, plain: false, span: *span });
                self.ref_ids.insert(std::ptr::from_ref(tree), id);
            }
            TableRef::Join { left, right, .. } => {
                self.table_ref(left, block, aliased)?;
                self.table_ref(right, block, aliased)?;
            }
            TableRef::Nested(trees) => trees.iter().try_for_each(|tree| self.table_ref(tree, block, aliased))?,
            TableRef::Function { alias, args, span } => {
                args.iter().try_for_each(|arg| self.expr(arg, Some(block)))?;
                let label = alias.as_ref().map_or("", |alias| &alias.name);
                let source = Source::Opaque;
                let id = self.push_ref(Ref { block, source, label, schema: None, plain: false, span: *span });
                self.ref_ids.insert(std::ptr::from_ref(tree), id);
            }
        }
        Ok(())
    }

    /// Reads the ON conditions once all references of the block are known.
    fn conditions(&mut self, tree: &'a TableRef, block: BlockId) -> Result<(), SqlError> {
        match tree {
            TableRef::Join { left, right, on, .. } => {
                self.conditions(left, block)?;
                self.conditions(right, block)?;
                on.iter().try_for_each(|on| self.expr(on, Some(block)))
            }
            TableRef::Nested(trees) => trees.iter().try_for_each(|tree| self.conditions(tree, block)),
            TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => Ok(()),
        }
    }

    /// The relation of information_schema that a table is, if it tells of schemas and tables.
    ///
    /// # Errors
    /// 1235 for one that tells of a single server what clients must not see.
    fn relation(&self, table: u16, name: &ObjectName) -> Result<Option<&'static Relation>, SqlError> {
        let table = &self.tables[usize::from(table)];
        let is = |schema: &str| table.place == Place::System && table.schema.eq_ignore_ascii_case(schema);
        if is("performance_schema") {
            return Ok(find_in_performance(&table.name));
        }
        if !is("information_schema") {
            return Ok(None);
        }
        match find(&table.name, self.session.facts.flavour) {
            Found::Names(relation) => Ok(Some(relation)),
            Found::OfAll => Ok(None),
            Found::Refused => {
                let why =
                    "this relation of information_schema is about one server, and there are many behind the proxy:";
                Err(SqlError::refuse_at(why, self.sql, name.span.start as usize))
            }
        }
    }

    fn push_ref(&mut self, found: Ref<'a>) -> RefId {
        let id = RefId(self.refs.len());
        self.blocks[found.block.0].from.push(id);
        self.refs.push(found);
        id
    }

    /// What a name in FROM refers to.
    ///
    /// # Errors
    /// As [`Model::table`].
    fn source(&mut self, name: &ObjectName, label: Label) -> Result<Source<'a>, SqlError> {
        if name.schema.is_none() {
            let named = |cte: &&usize| self.ctes[**cte].ast.name.name.eq_ignore_ascii_case(&name.name.name);
            if let Some(cte) = self.visible_ctes.iter().rev().find(named).copied() {
                let query = self.ctes[cte].query;
                let (span, recursive) = (name.span, query.is_none());
                self.cte_uses.push(CteUse { cte, span, label, recursive, items: Vec::new() });
                return Ok(match query {
                    Some(query) => {
                        self.queries[query.0].uses += 1;
                        Source::Query(query)
                    }
                    None => Source::Opaque,
                });
            }
        }
        let table = self.table(name)?;
        let found = &self.tables[usize::from(table)];
        let info = self.catalog.table(&found.schema, &found.name).map(|info| &**info);
        Ok(Source::Table(table, info))
    }

    /// The number of a table in `tables`, where it is put if it is new.
    ///
    /// # Errors
    /// 1046 without a default schema, 1049 for an unknown one; 1146 and 1235 for a sharded table whose columns are not
    /// known or cannot be its key.
    pub(super) fn table(&mut self, name: &ObjectName) -> Result<u16, SqlError> {
        let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
        let Some(schema) = schema else { return Err(SqlError::new(Code::NoSchema, "No database selected")) };
        let none = || Arc::from([]);
        let (logical, place, physical) = match self.rules.schema(schema) {
            Some(found) => match found.table(&name.name.name) {
                Placement::Sharded(table) => {
                    self.check_keys(schema, table)?;
                    (&table.name, Place::Sharded(table.family), table.all_physical().clone())
                }
                Placement::Broadcast => (&name.name.name, Place::Broadcast, none()),
                Placement::Single(group) => {
                    if let Some(whole) = self.rules.shard_of(group, found.physical(group), &name.name.name) {
                        let why = format!("this is a shard of {}, which is asked for as a whole:", whole.name);
                        return Err(SqlError::refuse_at(&why, self.sql, name.span.start as usize));
                    }
                    (&name.name.name, Place::Single(group), none())
                }
            },
            None if is_system_schema(schema) => (&name.name.name, Place::System, none()),
            None => return Err(SqlError::new(Code::UnknownSchema, format!("Unknown database '{schema}'"))),
        };
        let known = self.tables.iter().position(|table| *table.schema == *schema && *table.name == **logical);
        let index = known.filter(|_| !self.apart).unwrap_or_else(|| {
            self.tables.push(Table { schema: schema.into(), name: logical.as_str().into(), place, physical });
            self.tables.len() - 1
        });
        u16::try_from(index).map_err(|_| SqlError::refuse("a statement of more than 65,535 tables"))
    }

    /// That the rules can place rows by the columns that the catalog knows.
    ///
    /// # Errors
    /// 1146 for a table that the catalog does not know; 1235 for a key column that is missing or of a type that the
    /// rule's method cannot place.
    fn check_keys(&self, schema: &str, table: &ShardedTable) -> Result<(), SqlError> {
        let Some(info) = self.catalog.table(schema, &table.name) else {
            let message = format!("Table '{schema}.{}' doesn't exist", table.name);
            return Err(SqlError::new(Code::NoSuchTable, message));
        };
        for (level, key) in table.columns.iter().enumerate() {
            let kind = match info.column(key) {
                Some((_, column)) => column.key_kind(),
                None => Err("is not one of its columns".to_string()),
            };
            let family = self.rules.family(table.family);
            let accepted = kind.and_then(|kind| family.map_or(Ok(()), |family| family.accepts(level, &kind)));
            if let Err(why) = accepted {
                let why = format!("the rules split {schema}.{} by {key}, which {why}", table.name);
                return Err(SqlError::refuse(why));
            }
        }
        Ok(())
    }

    /// Notes the edits that put physical names in place of a table's name.
    pub(super) fn rename(&mut self, table: u16, name: &ObjectName, with_alias: bool) {
        match self.tables[usize::from(table)].place {
            _ if self.apart && with_alias => self.edits.push((name.span, Rewrite::TableAs(table, name.name.span))),
            _ if self.apart => self.edits.push((name.span, Rewrite::Table(table))),
            Place::Sharded(_) if with_alias => self.edits.push((name.span, Rewrite::TableAs(table, name.name.span))),
            Place::Sharded(_) => self.edits.push((name.span, Rewrite::Table(table))),
            Place::Broadcast | Place::Single(_) => self.rename_schema(table, name.schema.as_ref()),
            Place::System => {}
        }
    }

    /// Whether the whole name of a table is rewritten, not only that of its schema.
    fn is_rewritten(&self, table: u16) -> bool {
        self.apart || matches!(self.tables[usize::from(table)].place, Place::Sharded(_))
    }

    /// Notes the edit that puts the physical name in place of a schema's, where they differ on some group.
    pub(super) fn rename_schema(&mut self, table: u16, schema: Option<&Ident>) {
        if let Some(ident) = schema
            && self.is_schema_renamed(&ident.name)
        {
            self.edits.push((ident.span, Rewrite::Schema(table)));
        }
    }

    /// Whether a logical schema has another physical name on some group.
    pub(super) fn is_schema_renamed(&self, schema: &str) -> bool {
        self.rules.schema(schema).is_some_and(|found| {
            (0..self.rules.groups().len()).any(|group| found.physical(GroupId(group as u16)) != schema)
        })
    }

    /// Reads an item of a select list or of RETURNING.
    ///
    /// # Errors
    /// As [`Model::query`].
    pub(super) fn item(&mut self, item: &'a SelectItem, block: BlockId) -> Result<(), SqlError> {
        match item {
            SelectItem::Wildcard(_) => Ok(()),
            SelectItem::QualifiedWildcard(name, _) => {
                self.qualifier(name.schema.as_ref(), &name.name, Some(block), name.span);
                Ok(())
            }
            SelectItem::Expr { expr, alias, span } => {
                if let Some(alias) = alias
                    && matches!(self.sql.get(alias.span.start as usize), Some(b'\'' | b'"'))
                {
                    self.quoted_aliases.push(alias.span.start);
                }
                let (edits, uses) = (self.edits.len(), self.cte_uses.len());
                self.expr(expr, Some(block))?;
                if alias.is_none() {
                    self.cte_uses[uses..].iter_mut().for_each(|found| found.items.push(*span));
                }
                let renamed = self.edits.len() > edits && alias.is_none() && !matches!(expr, Expr::Column { .. });
                if renamed {
                    self.edits.push((Span { start: span.end, end: span.end }, Rewrite::NameOf(*span)));
                }
                Ok(())
            }
        }
    }

    /// Where the table of a reference is; none if it is no table.
    pub(super) fn place(&self, id: RefId) -> Option<Place> {
        match self.refs[id.0].source {
            Source::Table(table, _) => Some(self.tables[usize::from(table)].place),
            Source::Query(_) | Source::Opaque => None,
        }
    }

    /// Whether a column is one that the rules split its table by.
    pub(super) fn is_key(&self, column: &Column) -> bool {
        let Source::Table(table, _) = self.refs[column.of.0].source else { return false };
        self.key_names(table).iter().any(|name| name.eq_ignore_ascii_case(&column.name))
    }

    /// The table that a target of a DELETE of several tables means.
    pub(super) fn target(&self, block: BlockId, name: &ObjectName) -> Option<RefId> {
        self.labelled(name.schema.as_ref().map(|schema| schema.name.as_str()), &name.name.name, Some(block))
    }

    /// Notes the edits of columns in `expr` that are qualified with the table of an INSERT.
    pub(super) fn qualified_by(&mut self, expr: &Expr, table: u16, name: &ObjectName) {
        if let Expr::Column { schema, table: Some(qualifier), span, .. } = expr
            && qualifier.name == name.name.name
        {
            match (self.tables[usize::from(table)].place, schema) {
                (Place::Sharded(_), _) => {
                    self.edits.push((Span { start: span.start, end: qualifier.span.end }, Rewrite::Table(table)));
                }
                (Place::Broadcast | Place::Single(_) | Place::System, schema) => {
                    self.rename_schema(table, schema.as_ref());
                }
            }
        }
        parts(expr).into_iter().for_each(|part| self.qualified_by(part, table, name));
    }

    /// Reads ORDER BY.
    ///
    /// # Errors
    /// As [`Model::query`].
    pub(super) fn order(&mut self, items: &'a [OrderItem], block: Option<BlockId>) -> Result<(), SqlError> {
        self.pins.extend(items.iter().filter_map(|item| position(&item.expr)));
        items.iter().try_for_each(|item| self.expr(&item.expr, block))
    }

    /// The names of the key columns of a sharded table, by level.
    pub(super) fn key_names(&self, table: u16) -> &'a [String] {
        let table = &self.tables[usize::from(table)];
        match self.rules.schema(&table.schema).map(|schema| schema.table(&table.name)) {
            Some(Placement::Sharded(found)) => &found.columns,
            _ => &[],
        }
    }

    /// How many columns make up the key of a family.
    pub(super) fn levels(&self, family: FamilyId) -> usize {
        self.rules.family(family).map_or(0, |family| family.levels())
    }

    /// Reads an expression: its subqueries, functions, variables, and the names to be rewritten in it.
    ///
    /// # Errors
    /// As [`Model::query`].
    pub(super) fn expr(&mut self, expr: &'a Expr, block: Option<BlockId>) -> Result<(), SqlError> {
        match expr {
            Expr::Column { schema, table, span, .. } => {
                if let Some(table) = table {
                    let end = table.span.end;
                    self.qualifier(schema.as_ref(), table, block, Span { start: span.start, end });
                }
                self.note_correlation(expr, block);
            }
            Expr::Literal { .. } | Expr::Param { .. } | Expr::Keyword(..) => {}
            Expr::Variable { text, .. } => self.variable(text),
            Expr::Function(function) => self.function(function, block)?,
            Expr::Subquery(query, _) | Expr::Exists(query, _) => {
                self.query(query, block)?;
            }
            Expr::InSubquery { expr, query, .. } => {
                self.expr(expr, block)?;
                self.query(query, block)?;
            }
            Expr::Binary { op: BinaryOp::Other, left, right, span } => {
                let gap = Span { start: left.span().end, end: right.span().start };
                if matches!(**left, Expr::Variable { .. }) && gap.of(self.sql).windows(2).any(|two| two == b":=") {
                    self.effects.sets_variables = true;
                    self.obstacles.push(Obstacle { what: "an assignment to a variable", at: span.start });
                }
                self.expr(left, block)?;
                self.expr(right, block)?;
            }
            _ => parts(expr).into_iter().try_for_each(|part| self.expr(part, block))?,
        }
        Ok(())
    }

    /// Marks the blocks between a column and the block around them that it comes from.
    fn note_correlation(&mut self, column: &Expr, block: Option<BlockId>) {
        let Some(start) = block else { return };
        let Some(found) = self.column(start, column) else { return };
        let home = self.refs[found.of.0].block;
        let mut scope = Some(start);
        while let Some(block) = scope
            && block != home
        {
            self.blocks[block.0].correlated = true;
            scope = self.blocks[block.0].parent;
        }
    }

    /// A query, other than `whole`, over broadcast tables whose rows differ with the order in which they are read: two
    /// copies of the tables may give two answers. One that is asked again for each row of another table may, as well.
    pub(super) fn unordered_query(&self, whole: Option<QueryId>) -> Option<Obstacle> {
        for (index, node) in self.queries.iter().enumerate() {
            let broadcast = |id: usize| self.place(RefId(id)).is_none_or(|place| place == Place::Broadcast);
            let copies =
                node.refs.clone().any(|id| self.place(RefId(id)).is_some()) && node.refs.clone().all(broadcast);
            if whole == Some(QueryId(index)) || !copies {
                continue;
            }
            let mut blocks = self.blocks[node.blocks.clone()].iter();
            let what = if node.ast.limit.is_some() && !blocks.clone().any(|block| block.correlated) {
                "LIMIT over broadcast tables"
            } else if blocks.any(|block| block.windows || block.unordered) {
                "a function that hangs on the order of rows, over broadcast tables,"
            } else {
                continue;
            };
            return Some(Obstacle { what, at: node.ast.span.start });
        }
        None
    }

    fn function(&mut self, function: &'a Function, block: Option<BlockId>) -> Result<(), SqlError> {
        if let Some(value) = never_called(function) {
            return self.expr(value, block);
        }
        let at = function.span.start;
        let mut obstacle = |what| self.obstacles.push(Obstacle { what, at });
        let effects = &mut self.effects;
        match nature(&function.name) {
            Nature::Aggregate if !function.over => {
                if let Some(block) = block {
                    let ordering = ["GROUP_CONCAT", "JSON_ARRAYAGG", "JSON_OBJECTAGG", "ANY_VALUE"];
                    self.blocks[block.0].unordered |= !function.ordered && ordering.contains(&&*function.name);
                    self.blocks[block.0].aggregated = true;
                    self.outer_aggregate(function, block);
                }
            }
            Nature::Pure | Nature::Aggregate => {}
            Nature::Clock => effects.clock |= function.name != "UNIX_TIMESTAMP" || function.args.is_empty(),
            Nature::Random => effects.random = true,
            Nature::LastInsertId if function.args.is_empty() => effects.last_insert_id = true,
            Nature::LastInsertId => {
                effects.sets_last_insert_id = true;
                obstacle("LAST_INSERT_ID(expr)");
            }
            // The session writes their values into the statement, which is then planned anew.
            Nature::FoundRows => effects.found_rows = true,
            Nature::RowCount => effects.row_count = true,
            Nature::ConnectionId => effects.connection_id = true,
            Nature::Account => effects.account = true,
            Nature::UserLock => {
                effects.user_locks = true;
                obstacle("a user lock");
            }
            Nature::Server => {
                effects.stored_function = true;
                obstacle("a function of a single server");
            }
            Nature::Stored => {
                effects.stored_function = true;
                obstacle("a stored function");
            }
            Nature::Schema => self.default_schema(function),
        }
        if function.over
            && let Some(block) = block
        {
            self.blocks[block.0].windows = true;
        }
        function.args.iter().try_for_each(|arg| self.expr(arg, block))
    }

    /// An aggregate whose columns all come from an outer block belongs to that block.
    fn outer_aggregate(&mut self, function: &Function, block: BlockId) {
        let mut columns = Vec::new();
        function.args.iter().for_each(|arg| columns_of(arg, &mut columns));
        let local = columns
            .iter()
            .any(|column| self.column(block, column).is_none_or(|found| self.refs[found.of.0].block == block));
        if !columns.is_empty() && !local {
            self.obstacles.push(Obstacle { what: "an aggregate of an outer query", at: function.span.start });
        }
    }

    /// DATABASE(): the logical name, where the servers know another one.
    fn default_schema(&mut self, function: &Function) {
        if let Some(schema) = self.session.schema
            && self.is_schema_renamed(schema)
        {
            self.edits.push((function.span, Rewrite::Fixed(format!("'{}'", schema.replace('\'', "''")))));
        }
    }

    fn variable(&mut self, text: &str) {
        match text.strip_prefix("@@") {
            None => self.effects.reads_variables = true,
            Some(system) => match system.rsplit('.').next().unwrap_or(system).trim_matches('`') {
                "last_insert_id" | "identity" | "insert_id" => self.effects.last_insert_id = true,
                "warning_count" | "error_count" => self.effects.row_count = true,
                "pseudo_thread_id" => self.effects.connection_id = true,
                _ => {}
            },
        }
    }

    /// Notes the edits of a qualifier `s.t` (or `t`) in front of a column.
    fn qualifier(&mut self, schema: Option<&Ident>, table: &Ident, block: Option<BlockId>, span: Span) {
        let Some(found) = self.labelled(schema.map(|schema| schema.name.as_str()), &table.name, block) else { return };
        let Source::Table(number, _) = self.refs[found.0].source else { return };
        match (self.tables[usize::from(number)].place, schema) {
            (_, Some(schema)) if self.apart => self.edits.push((schema.span, Rewrite::Schema(number))),
            (Place::Sharded(_), _) if self.refs[found.0].plain => self.edits.push((span, Rewrite::Table(number))),
            (Place::Sharded(_), Some(schema)) => self.edits.push((schema.span, Rewrite::Schema(number))),
            (Place::Broadcast | Place::Single(_), Some(schema)) => self.rename_schema(number, Some(schema)),
            // The derived table that takes its place has no schema, and one way to write its name.
            (Place::System, _) if self.relations.iter().any(|read| read.id == Some(found)) => {
                let label = self.refs[found.0].label.replace('`', "``");
                self.edits.push((span, Rewrite::Fixed(format!("`{label}`"))));
            }
            (Place::Sharded(_) | Place::Broadcast | Place::Single(_) | Place::System, _) => {}
        }
    }
}

/// A refusal of something that needs rows of several shards.
pub(super) fn several(sql: &[u8], what: &str, span: Span) -> SqlError {
    SqlError::refuse_at(&format!("{what} needs rows of several shards:"), sql, span.start as usize)
}
