//! What the SQL front reads of a statement, as text; and that its spans are right, without which the text would not
//! come out.

use shardloom::sql::ast::{Body, Expr, JoinKind, ObjectName, Query, Select, SelectItem, Span, Statement, TableRef};
use shardloom::sql::head::{Head, PrepareSource, SetItem, SetTarget, Show, head};
use shardloom::sql::parse::parse;
use shardloom::sql::walk::{self, Node};
use shardloom::sql::{Facts, lex::Lexer};

/// Head, and tree if there is one.
pub(super) fn outline(sql: &[u8], facts: Facts) -> String {
    let mut lines = vec![head_line(sql, facts)];
    if matches!(head(sql, facts), Ok(Head::Dml)) {
        match parse(sql, facts) {
            Ok(statement) => {
                check_spans(&statement, sql, facts);
                lines.extend(tree_lines(&statement, sql));
            }
            Err(failure) => {
                let near = String::from_utf8_lossy(&sql[failure.at as usize..]).into_owned();
                lines.push(format!("failure: {} at '{:.20}'", failure.message, near.replace('\n', " ")));
            }
        }
    }
    lines.join("\n")
}

fn tree_lines(statement: &Statement, sql: &[u8]) -> Vec<String> {
    let names = walk::table_names(statement).into_iter().map(name).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("tables: {names}"), format!("tree: {}", rendered(statement, sql))];
    match statement {
        Statement::Query(_) => {}
        Statement::Insert(insert) => {
            let columns = insert.columns.as_ref().map_or("none".to_owned(), |columns| {
                columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(" ")
            });
            let flags = [
                (insert.replace, "replace"),
                (insert.ignore, "ignore"),
                (insert.priority, "priority"),
                (insert.partitions, "partitions"),
                (insert.returning, "returning"),
                (insert.row_alias.is_some(), "row-alias"),
                (!insert.on_duplicate.is_empty(), "on-duplicate"),
            ];
            lines.push(format!("insert: columns ({columns}){}", flagged(&flags)));
        }
        Statement::Update(update) => {
            let set = update.set.len();
            lines.push(format!(
                "update: {} set {set}{}",
                list(&update.tables, sql),
                flagged(&[(update.ignore, "ignore")])
            ));
        }
        Statement::Delete(delete) => {
            let targets = delete.targets.iter().map(name).collect::<Vec<_>>().join(", ");
            let flags = [(delete.ignore, "ignore"), (delete.returning, "returning")];
            lines.push(format!("delete: [{targets}] from {}{}", list(&delete.tables, sql), flagged(&flags)));
        }
    }
    walk::statement(statement, &mut |node| {
        if let Node::Query(query) = node {
            lines.extend(query_line(query, sql));
        }
        true
    });
    lines
}

fn flagged(flags: &[(bool, &str)]) -> String {
    flags.iter().filter(|(set, _)| *set).map(|(_, name)| format!(" {name}")).collect()
}

/// The clauses of one query, by their spans.
fn query_line(query: &Query, sql: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut push = |label: &str, text: String| parts.push(format!("{label} <{text}>"));
    for cte in &query.with {
        let recursive = if query.recursive { "recursive " } else { "" };
        let columns: Vec<_> = cte.columns.iter().map(|column| column.name.as_str()).collect();
        push(
            "with",
            format!(
                "{recursive}{}{}",
                cte.name.name,
                if columns.is_empty() { String::new() } else { format!("({})", columns.join(", ")) }
            ),
        );
    }
    body_parts(&query.body, sql, &mut push);
    for (label, span) in [
        ("order", query.order_span),
        ("limit", query.limit.as_ref().map(|limit| limit.span)),
        ("into", query.into),
        ("locking", query.locking),
    ] {
        if let Some(span) = span {
            push(label, text(span, sql));
        }
    }
    let desc = query.order_by.iter().filter(|item| item.desc).count();
    if desc > 0 {
        push("desc", desc.to_string());
    }
    (!parts.is_empty()).then(|| format!("query: {}", parts.join(" ")))
}

fn body_parts(body: &Body, sql: &[u8], push: &mut impl FnMut(&str, String)) {
    match body {
        Body::Select(select) => select_parts(select, sql, push),
        Body::SetOperation { op, all, left, right } => {
            push("set", format!("{}{op:?}{}", shape(left), if *all { " all" } else { "" }) + &shape(right));
            body_parts(left, sql, push);
            body_parts(right, sql, push);
        }
        Body::Nested(_) => push("nested", String::new()),
        Body::Values(rows) => push("values", rows.len().to_string()),
        Body::Table(table) => push("table", name(table)),
    }
}

fn shape(body: &Body) -> String {
    match body {
        Body::Select(_) => " select ".to_owned(),
        Body::SetOperation { op, left, right, .. } => format!(" ({}{op:?}{}) ", shape(left), shape(right)),
        Body::Nested(_) => " nested ".to_owned(),
        Body::Values(_) => " values ".to_owned(),
        Body::Table(_) => " table ".to_owned(),
    }
}

fn select_parts(select: &Select, sql: &[u8], push: &mut impl FnMut(&str, String)) {
    if let Some(span) = select.distinct {
        push("distinct", text(span, sql));
    }
    if !select.from.is_empty() {
        push("from", list(&select.from, sql));
    }
    for (label, span) in [("group", select.group_span), ("having", select.having_span)] {
        if let Some(span) = span {
            push(label, text(span, sql));
        }
    }
    let flags =
        [(select.calc_found_rows, "calc-found-rows"), (select.rollup, "rollup"), (select.named_windows, "windows")];
    if flags.iter().any(|(set, _)| *set) {
        push("flags", flagged(&flags).trim_start().to_owned());
    }
}

fn list(tables: &[TableRef], sql: &[u8]) -> String {
    tables.iter().map(|table| reference(table, sql)).collect::<Vec<_>>().join(", ")
}

fn reference(table: &TableRef, sql: &[u8]) -> String {
    match table {
        TableRef::Table { name: table, alias, partitions, .. } => {
            let alias = alias.as_ref().map_or(String::new(), |alias| format!(" as {}", alias.name));
            format!("{}{alias}{}", name(table), flagged(&[(*partitions, "partitions")]))
        }
        TableRef::Derived { lateral, alias, .. } => {
            let alias = alias.as_ref().map_or("none", |alias| alias.name.as_str());
            format!("{}derived as {alias}", if *lateral { "lateral " } else { "" })
        }
        TableRef::Join { left, right, kind, natural, on, using } => {
            let kind = match kind {
                JoinKind::Inner => "inner",
                JoinKind::Straight => "straight",
                JoinKind::Left => "left",
                JoinKind::Right => "right",
            };
            let on = on.as_ref().map_or(String::new(), |on| format!(" on {}", text(on.span(), sql)));
            let using: Vec<_> = using.iter().map(|column| column.name.as_str()).collect();
            let using = if using.is_empty() { String::new() } else { format!(" using {}", using.join(" ")) };
            let natural = if *natural { "natural " } else { "" };
            format!("({} {natural}{kind} {}{on}{using})", reference(left, sql), reference(right, sql))
        }
        TableRef::Nested(inside) => format!("[{}]", list(inside, sql)),
        TableRef::Function { alias, .. } => {
            format!("function as {}", alias.as_ref().map_or("none", |alias| alias.name.as_str()))
        }
    }
}

fn name(name: &ObjectName) -> String {
    let schema = name.schema.as_ref().map_or(String::new(), |schema| format!("{}.", schema.name));
    format!("{schema}{}", name.name.name)
}

fn text(span: Span, sql: &[u8]) -> String {
    String::from_utf8_lossy(span.of(sql)).replace('\n', " ")
}

/// The statement's text with the operands of every operator in parentheses.
pub(super) fn rendered(statement: &Statement, sql: &[u8]) -> String {
    let mut outer = Vec::new();
    walk::statement(statement, &mut |node| match node {
        Node::Expr(expr) => {
            outer.push(expr);
            false
        }
        Node::Query(_) | Node::Table(_) | Node::Name(_) => true,
    });
    let whole = match statement {
        Statement::Query(of) => of.span,
        Statement::Insert(of) => of.span,
        Statement::Update(of) => of.span,
        Statement::Delete(of) => of.span,
    };
    substituted(whole, outer, sql).replace('\n', " ")
}

/// An expression's text with its operands in parentheses.
fn expression(expr: &Expr, sql: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut first = true;
    walk::expr(expr, &mut |node| {
        if std::mem::take(&mut first) {
            return true;
        }
        match node {
            Node::Expr(part) => {
                parts.push(part);
                false
            }
            Node::Query(_) | Node::Table(_) | Node::Name(_) => true,
        }
    });
    let text = substituted(expr.span(), parts, sql);
    match expr {
        Expr::Unary { .. }
        | Expr::Binary { .. }
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Is { .. }
        | Expr::Other { .. } => format!("({text})"),
        Expr::Column { .. }
        | Expr::Literal { .. }
        | Expr::Param { .. }
        | Expr::Keyword(..)
        | Expr::Variable { .. }
        | Expr::Tuple(..)
        | Expr::Paren(..)
        | Expr::Function(_)
        | Expr::Cast { .. }
        | Expr::Subquery(..)
        | Expr::Exists(..) => text,
    }
}

fn substituted(whole: Span, mut parts: Vec<&Expr>, sql: &[u8]) -> String {
    parts.sort_by_key(|part| part.span());
    let mut out = String::new();
    let mut copied = whole.start;
    for part in parts {
        let span = part.span();
        assert!(copied <= span.start && span.end <= whole.end, "{part:?} is not inside or overlaps");
        out += &String::from_utf8_lossy(Span { start: copied, end: span.start }.of(sql));
        out += &expression(part, sql);
        copied = span.end;
    }
    out + &String::from_utf8_lossy(Span { start: copied, end: whole.end }.of(sql))
}

/// Spans begin and end where tokens do, lie inside of those of the nodes around, and literals and parameters are
/// numbered as the lexer counts them.
pub(super) fn check_spans(statement: &Statement, sql: &[u8], facts: Facts) {
    let tokens: Vec<_> = Lexer::new(sql, facts).map_while(Result::ok).collect();
    let aligned = |span: Span| {
        assert!(tokens.iter().any(|token| token.span.start == span.start), "no token begins at {span:?}");
        assert!(tokens.iter().any(|token| token.span.end == span.end), "no token ends at {span:?}");
    };
    let mut scan = shardloom::sql::Scan::default();
    shardloom::sql::scan::scan(sql, facts, 0, &mut scan).unwrap();
    walk::statement(statement, &mut |node| {
        match node {
            Node::Expr(expr) => {
                aligned(expr.span());
                match expr {
                    Expr::Literal { index, kind, span } => {
                        let literal = scan.literals[*index as usize];
                        assert_eq!((literal.span, literal.kind), (*span, *kind));
                    }
                    Expr::Param { index, span } => assert_eq!(scan.params[usize::from(*index)], span.start),
                    _ => {}
                }
                walk::expr(expr, &mut |inner| {
                    assert!(inside(inner, expr.span()), "{inner:?} is not inside of {expr:?}");
                    true
                });
            }
            Node::Query(query) => {
                aligned(query.span);
                if let Body::Select(select) = &query.body {
                    check_select(select);
                }
                walk::query(query, &mut |inner| {
                    assert!(inside(inner, query.span), "{inner:?} is not inside of {:?}", query.span);
                    true
                });
            }
            Node::Table(table) => {
                if let Some(span) = table_span(table) {
                    aligned(span);
                }
            }
            Node::Name(name) => aligned(name.span),
        }
        true
    });
}

/// The select list's span is that of its first item to its last.
fn check_select(select: &Select) {
    let spans: Vec<_> = select
        .items
        .iter()
        .map(|item| match item {
            SelectItem::Wildcard(span) | SelectItem::QualifiedWildcard(_, span) | SelectItem::Expr { span, .. } => {
                *span
            }
        })
        .collect();
    let (first, last) = (spans.first().unwrap(), spans.last().unwrap());
    assert_eq!(select.items_span, Span { start: first.start, end: last.end });
    assert!(spans.is_sorted() && select.span.start < first.start && last.end <= select.span.end);
}

fn table_span(table: &TableRef) -> Option<Span> {
    match table {
        TableRef::Table { span, .. } | TableRef::Derived { span, .. } | TableRef::Function { span, .. } => Some(*span),
        TableRef::Join { .. } | TableRef::Nested(_) => None,
    }
}

fn inside(node: Node<'_>, span: Span) -> bool {
    let inner = match node {
        Node::Expr(expr) => expr.span(),
        Node::Query(query) => query.span,
        Node::Name(name) => name.span,
        Node::Table(table) => match table_span(table) {
            Some(span) => span,
            None => return true,
        },
    };
    span.start <= inner.start && inner.end <= span.end
}

fn head_line(sql: &[u8], facts: Facts) -> String {
    let head = match head(sql, facts) {
        Ok(head) => head,
        Err(error) => return format!("error {}", error.errno),
    };
    let names = |tables: &[ObjectName]| tables.iter().map(name).collect::<Vec<_>>().join(", ");
    let listed = |word: String, tables: &[ObjectName]| {
        if tables.is_empty() { word } else { format!("{word}: {}", names(tables)) }
    };
    match &head {
        Head::Ddl { verb, tables, temporary } => {
            listed(format!("ddl {verb:?}{}", if *temporary { " temporary" } else { "" }), tables)
        }
        Head::Admin { verb, tables } => listed(format!("admin {verb:?}"), tables),
        Head::Account { tables } => listed("account".to_owned(), tables),
        Head::Unknown { tables } => listed("unknown".to_owned(), tables),
        Head::Compound { tables } => listed("compound".to_owned(), tables),
        Head::Do { tables } => listed("do".to_owned(), tables),
        Head::Load { local, tables } => listed(format!("load{}", if *local { " local" } else { "" }), tables),
        Head::Call { name: procedure, tables } => listed(format!("call {}", name(procedure)), tables),
        Head::Handler { table } => format!("handler: {}", name(table)),
        Head::Flush { tables, locks } => listed(format!("flush{}", if *locks { " locks" } else { "" }), tables),
        Head::Lock { tables } => {
            let locks = tables
                .iter()
                .map(|(table, write)| format!("{} {}", name(table), if *write { "write" } else { "read" }));
            format!("lock: {}", locks.collect::<Vec<_>>().join(", "))
        }
        Head::Describe { table, column } => {
            let column = column.map_or(String::new(), |span| format!(" column <{}>", text(span, sql)));
            format!("describe: {}{column}", name(table))
        }
        Head::Explain { shardloom, analyze, inner } => {
            let flags = [(*shardloom, "shardloom"), (*analyze, "analyze")];
            format!("explain{} <{}>", flagged(&flags), text(*inner, sql))
        }
        Head::Set(items) => format!("set {}", set_items(items, sql)),
        Head::SetStatement { items, inner } => {
            format!("set statement {} for <{}>", set_items(items, sql), text(*inner, sql))
        }
        Head::Show(show) => show_line(show, sql),
        Head::Prepare { name, source } => format!("prepare {} {}", name.name, source_text(source, sql)),
        Head::ExecuteImmediate { source, using } => {
            let using: Vec<_> = using.iter().map(|span| format!(" <{}>", text(*span, sql))).collect();
            format!("execute immediate {}{}", source_text(source, sql), using.concat())
        }
        Head::Execute { name, using } => {
            let using: Vec<_> = using.iter().map(|span| text(*span, sql)).collect();
            format!("execute {} [{}]", name.name, using.join("; "))
        }
        Head::ShardloomDdl { resume, id, group } => {
            let group = group.as_ref().map_or(String::new(), |group| format!(" on {}", group.name));
            format!("shardloom ddl {} {id}{group}", if *resume { "resume" } else { "drop" })
        }
        Head::Savepoint(name) => format!("savepoint {}", name.name),
        Head::RollbackTo(name) => format!("rollback to {}", name.name),
        Head::Release(name) => format!("release {}", name.name),
        Head::Use(name) => format!("use {}", name.name),
        Head::Deallocate(name) => format!("deallocate {}", name.name),
        Head::Empty
        | Head::Dml
        | Head::Begin { .. }
        | Head::Commit { .. }
        | Head::Rollback { .. }
        | Head::Xa(_)
        | Head::SetTransaction { .. }
        | Head::SetRole
        | Head::Kill { .. }
        | Head::ExplainConnection(_)
        | Head::Unlock
        | Head::GetDiagnostics(_)
        | Head::Diagnostics => format!("{head:?}").to_lowercase(),
    }
}

fn source_text(source: &PrepareSource, sql: &[u8]) -> String {
    match source {
        PrepareSource::Text(text) => format!("text <{}>", String::from_utf8_lossy(text)),
        PrepareSource::Variable(span) => format!("variable <{}>", text(*span, sql)),
        PrepareSource::Expr(span) => format!("expr <{}>", text(*span, sql)),
    }
}

fn set_items(items: &[SetItem], sql: &[u8]) -> String {
    let shown = items.iter().map(|item| {
        let target = match &item.target {
            SetTarget::System { scope, name } => format!("{scope:?} {name}").to_lowercase(),
            SetTarget::User(name) => format!("@{name}"),
            SetTarget::Names { collation } => format!("names({})", collation.as_deref().unwrap_or("-")),
            SetTarget::Charset => "charset".to_owned(),
            SetTarget::Password => "password".to_owned(),
        };
        let tables: Vec<_> = item.tables.iter().map(name).collect();
        let tables = if tables.is_empty() { String::new() } else { format!(" reads {}", tables.join(", ")) };
        let value = match item.literal() {
            Some(literal) => literal.to_owned(),
            None => format!("{:?}", item.value).to_lowercase(),
        };
        format!("{target} = {value} <{}>{tables}", text(item.span, sql))
    });
    shown.collect::<Vec<_>>().join("; ")
}

fn show_line(show: &Show, sql: &[u8]) -> String {
    let mut line = format!("show {:?}{}", show.kind, flagged(&[(show.full, "full")]));
    if let Some(scope) = show.scope {
        line += &format!(" {scope:?}").to_lowercase();
    }
    if let Some(table) = &show.table {
        line += &format!(" table {}", name(table));
    }
    if let Some(schema) = &show.schema {
        line += &format!(" schema {}", schema.name);
    }
    for (label, span) in [("like", show.like), ("where", show.filter)] {
        if let Some(span) = span {
            line += &format!(" {label} <{}>", text(span, sql));
        }
    }
    if !show.arguments.is_empty() && show.table.is_none() && show.like.is_none() && show.filter.is_none() {
        line += &format!(" arguments <{}>", text(show.arguments, sql));
    }
    line
}
