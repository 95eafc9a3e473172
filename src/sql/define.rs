//! What a data definition of tables says, as far as its placing needs: every table with its part in the statement, the
//! columns and keys of CREATE TABLE, the changes of ALTER TABLE. It knows no rules; what it cannot read it calls
//! unread, so that nothing is passed over.

use crate::error::SqlError;
use crate::sql::Facts;
use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::Punct;

/// What a statement says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// Every mention of a table, in the order of the text; a table that is named twice is there twice.
    pub mentions: Vec<(ObjectName, Part)>,
    /// `IF EXISTS` or `IF NOT EXISTS`.
    pub guarded: bool,
    /// `OR REPLACE`, where it is written.
    pub replaces: Option<Span>,
    /// The columns of CREATE TABLE, and those that ALTER TABLE adds.
    pub columns: Vec<NewColumn>,
    /// Keys that hold their columns unique.
    pub unique: Vec<Vec<Ident>>,
    /// Keys of any kind, in the order of the text; in the place of a foreign key the one that the server makes for it.
    pub keys: Vec<NewKey>,
    /// Keys that are dropped, the primary one as `PRIMARY`.
    pub dropped: Vec<String>,
    /// Foreign keys.
    pub references: Vec<Reference>,
    /// The names that foreign keys and checks are given, and those by which they are dropped or changed.
    pub constraints: Vec<(Ident, Constraint)>,
    /// Columns that exist and are changed: dropped, renamed, given another type or default.
    pub changed: Vec<Ident>,
    /// CONVERT TO CHARACTER SET.
    pub converts: Option<Span>,
    /// Where the query of CREATE TABLE ... AS SELECT begins.
    pub query: Option<u32>,
    /// Of CREATE TABLE: from behind the word CREATE to the end of the table's name.
    pub named: Span,
    /// The first word in front of such a query that no temporary table can have, or not in the same way.
    pub lasting: Option<Span>,
    /// The first part that is not read, or that cannot be done on several servers alike, and why.
    pub unread: Option<(Span, &'static str)>,
}

/// The part of a table in a data definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is what the statement defines.
    Subject,
    /// It is the new name of the subject before it.
    NewName,
    /// The definition is copied from it.
    Like,
    /// A foreign key refers to it.
    Parent,
}

/// A column that is defined.
#[derive(Clone, Debug, PartialEq)]
pub struct NewColumn {
    /// Its name.
    pub name: Ident,
    /// AUTO_INCREMENT, or SERIAL.
    pub auto_increment: bool,
}

/// A key that is defined.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// The columns that it has whole, up to the first of which it has a part, or that is an expression.
    pub columns: Vec<Ident>,
    /// The foreign key that it is made for, by its place among them.
    pub serves: Option<usize>,
}

/// What the name of a constraint stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A foreign key.
    ForeignKey,
    /// A check.
    Check,
    /// Either, or a unique key: DROP CONSTRAINT does not say.
    Any,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The columns that refer.
    pub columns: Vec<Ident>,
    /// The table that is referred to.
    pub parent: ObjectName,
    /// Its columns; empty if not written.
    pub parent_columns: Vec<Ident>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
    /// The name of its constraint, if it is given one.
    pub name: Option<Ident>,
    /// Where it begins; none beside a column.
    pub start: Option<u32>,
    /// It stands behind ADD.
    pub added: bool,
}

/// What a foreign key does to the rows that refer to one which goes, or gets another key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Nothing, as it keeps that from happening: RESTRICT, NO ACTION, or where nothing is written.
    #[default]
    Restrict,
    /// They go, or get the other key, too.
    Cascade,
    /// They refer to none. SET DEFAULT, which InnoDB does not take, counts as the same.
    SetNull,
}

/// Clauses of ALTER TABLE that are options of a table or of how it is altered, by their first words.
const OPTIONS: &[&str] = &[
    "ALGORITHM",
    "LOCK",
    "FORCE",
    "ENGINE",
    "COMMENT",
    "AUTO_INCREMENT",
    "ROW_FORMAT",
    "CHARSET",
    "COLLATE",
    "KEY_BLOCK_SIZE",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "CHECKSUM",
    "AVG_ROW_LENGTH",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "DELAY_KEY_WRITE",
    "COMPRESSION",
    "ENCRYPTION",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL",
    "PAGE_CHECKSUM",
    "TRANSACTIONAL",
];

/// Words of CREATE TABLE ... AS SELECT that a temporary table cannot have, or not in the same way.
const LASTING: &[&str] = &[
    "AUTO_INCREMENT",
    "COMPRESSED",
    "COMPRESSION",
    "CONNECTION",
    "DIRECTORY",
    "ENCRYPTED",
    "ENCRYPTION",
    "FOREIGN",
    "FULLTEXT",
    "KEY_BLOCK_SIZE",
    "PAGE_COMPRESSED",
    "PARTITION",
    "PERIOD",
    "REFERENCES",
    "SECONDARY_ENGINE",
    "SEQUENCE",
    "SERIAL",
    "SPATIAL",
    "TABLESPACE",
    "VECTOR",
    "VERSIONING",
];

/// Reads CREATE, ALTER, DROP, RENAME and TRUNCATE of tables, and CREATE and DROP of indexes; none if the statement is
/// no such, or is not written as the manual has it.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn define(sql: &[u8], facts: Facts) -> Result<Option<Definition>, SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut reader = Reader { cursor: Cursor::new(sql, &tokens, facts), found: Definition::default() };
    Ok(reader.statement().map(|()| reader.found))
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    found: Definition,
}

impl Reader<'_> {
    fn statement(&mut self) -> Option<()> {
        if self.cursor.eat(&["CREATE"]) {
            let (start, end) = (self.cursor.start(), self.cursor.end() as u32);
            if self.cursor.eat(&["OR", "REPLACE"]) {
                self.found.replaces = Some(self.cursor.since(start));
            }
            self.cursor.eat_any(&["ONLINE", "OFFLINE", "TEMPORARY"]);
            if self.cursor.eat(&["TABLE"]) {
                self.found.named.start = end;
                return self.create_table();
            }
            let unique = self.cursor.eat(&["UNIQUE"]);
            if !unique {
                self.cursor.eat_any(&["FULLTEXT", "SPATIAL", "VECTOR"]);
            }
            self.cursor.eat(&["INDEX"]).then_some(())?;
            return self.index(unique, true);
        }
        if self.cursor.eat(&["ALTER"]) {
            while self.cursor.eat_any(&["ONLINE", "OFFLINE", "IGNORE"]) {}
            self.cursor.eat(&["TABLE"]).then_some(())?;
            return self.alter_table();
        }
        if self.cursor.eat(&["DROP"]) {
            self.cursor.eat_any(&["ONLINE", "OFFLINE"]);
            if self.cursor.eat(&["INDEX"]) {
                return self.index(false, false);
            }
            self.cursor.eat_any(&["TABLE", "TABLES", "VIEW"]).then_some(())?;
            self.guard();
            loop {
                self.mention(Part::Subject)?;
                if !self.cursor.eat_punct(Punct::Comma) {
                    break;
                }
            }
            self.cursor.eat_any(&["RESTRICT", "CASCADE"]);
            self.patience();
            return self.cursor.at_end().then_some(());
        }
        if self.cursor.eat(&["TRUNCATE"]) {
            self.cursor.eat(&["TABLE"]);
            self.mention(Part::Subject)?;
            self.patience();
            return self.cursor.at_end().then_some(());
        }
        (self.cursor.eat(&["RENAME"]) && self.cursor.eat_any(&["TABLE", "TABLES"])).then_some(())?;
        self.guard();
        loop {
            self.mention(Part::Subject)?;
            self.patience();
            self.cursor.eat(&["TO"]).then_some(())?;
            self.mention(Part::NewName)?;
            if !self.cursor.eat_punct(Punct::Comma) {
                return self.cursor.at_end().then_some(());
            }
        }
    }

    /// `IF EXISTS`, `IF NOT EXISTS`.
    fn guard(&mut self) {
        self.found.guarded |= self.guarded();
    }

    fn guarded(&mut self) -> bool {
        self.cursor.eat(&["IF", "NOT", "EXISTS"]) || self.cursor.eat(&["IF", "EXISTS"])
    }

    /// MariaDB's `WAIT n` and `NOWAIT`.
    fn patience(&mut self) {
        let _ = self.cursor.eat(&["NOWAIT"]) || (self.cursor.eat(&["WAIT"]) && self.cursor.integer().is_some());
    }

    fn mention(&mut self, part: Part) -> Option<ObjectName> {
        let name = self.cursor.object_name()?;
        self.found.mentions.push((name.clone(), part));
        Some(name)
    }

    /// Notes that what stands at the place cannot be placed.
    fn unread(&mut self, why: &'static str) {
        let token = self.cursor.peek(0).or_else(|| self.cursor.tokens.last().copied());
        if let (None, Some(token)) = (&self.found.unread, token) {
            self.found.unread = Some((token.span, why));
        }
    }

    fn create_table(&mut self) -> Option<()> {
        self.guard();
        self.found.named.end = self.mention(Part::Subject)?.span.end;
        let behind = self.cursor.at;
        let parenthesised = self.cursor.is_punct(Punct::LParen) && self.cursor.is_word_at(1, "LIKE");
        self.cursor.at += usize::from(parenthesised);
        if self.cursor.eat(&["LIKE"]) {
            self.mention(Part::Like)?;
            self.cursor.at += usize::from(parenthesised);
            return self.cursor.at_end().then_some(());
        }
        if self.cursor.is_punct(Punct::LParen) && !self.is_query(1) {
            self.cursor.at += 1;
            loop {
                let start = self.cursor.at;
                self.element()?;
                // What an element has more of is not ours.
                self.skip_element(start);
                if !self.cursor.eat_punct(Punct::Comma) {
                    break;
                }
            }
            self.cursor.eat_punct(Punct::RParen).then_some(())?;
        }
        self.table_options()?;
        if let Some(query) = self.found.query {
            let before = (behind..).map_while(|at| Some(Cursor { at, ..self.cursor.clone() }).filter(|c| !c.at_end()));
            let mut before = before.take_while(|cursor| cursor.start() < query as usize);
            self.found.lasting =
                before.find(|cursor| cursor.is_any(LASTING)).and_then(|cursor| Some(cursor.peek(0)?.span));
        }
        Some(())
    }

    /// Whether a query begins at the token `ahead`.
    fn is_query(&self, ahead: usize) -> bool {
        ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.cursor.is_word_at(ahead, word))
            || self.cursor.is_punct_at(ahead, Punct::LParen)
    }

    /// What follows the columns: options, partitions, a query.
    fn table_options(&mut self) -> Option<()> {
        while !self.cursor.at_end() {
            let query = self.cursor.is_any(&["SELECT", "TABLE"])
                || (self.cursor.is_word("AS") && self.is_query(1))
                || (self.cursor.is_word("WITH") && self.cursor.is_name_at(1) && self.cursor.is_word_at(2, "AS"))
                || (self.cursor.is_punct(Punct::LParen) && self.cursor.is_word_at(1, "SELECT"))
                || (self.cursor.is_word("VALUES") && self.cursor.is_word_at(1, "ROW"));
            if query {
                self.found.query = Some(self.cursor.start() as u32);
                self.cursor.at = self.cursor.tokens.len();
                return Some(());
            }
            if self.cursor.is_word("UNION") {
                self.unread("a MERGE table over others:");
            }
            // Of MySQL's own replication: the table is not there before a COMMIT.
            if self.cursor.are_words(&["START", "TRANSACTION"]) {
                self.unread("this change of a table is not passed on where it is sharded or has copies:");
            }
            if !(self.cursor.is_punct(Punct::LParen) && self.cursor.skip_parens()) {
                self.cursor.at += 1;
            }
        }
        Some(())
    }

    /// Steps over what is left of an element between commas, which began at token `start`.
    fn skip_element(&mut self, start: usize) {
        self.cursor.at = self.cursor.at.max(start);
        while !self.cursor.at_end() && !self.cursor.is_punct(Punct::Comma) && !self.cursor.is_punct(Punct::RParen) {
            if !(self.cursor.is_punct(Punct::LParen) && self.cursor.skip_parens()) {
                self.cursor.at += 1;
            }
        }
    }

    /// A column, key or constraint of CREATE TABLE, or behind ADD.
    fn element(&mut self) -> Option<()> {
        if !self.key_or_constraint(false)? {
            self.column()?;
        }
        Some(())
    }

    /// A key or a constraint, if one comes next; `added` if it stands behind an ADD of its own.
    fn key_or_constraint(&mut self, added: bool) -> Option<bool> {
        let mut name = None;
        let start = self.cursor.start() as u32;
        let constraint = self.cursor.eat(&["CONSTRAINT"]);
        if constraint && !self.cursor.is_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
            self.guarded();
            name = Some(self.cursor.name()?);
        }
        let primary = self.cursor.eat(&["PRIMARY", "KEY"]);
        if primary || self.cursor.eat(&["UNIQUE"]) {
            self.cursor.eat_any(&["KEY", "INDEX"]);
            self.guarded();
            self.up_to_columns();
            let columns = self.key()?;
            self.found.unique.push(columns);
        } else if self.cursor.eat(&["FOREIGN", "KEY"]) {
            self.found.constraints.extend(name.iter().map(|name| (name.clone(), Constraint::ForeignKey)));
            self.guarded();
            self.up_to_columns();
            let columns = self.key_columns()?.0;
            self.cursor.eat(&["REFERENCES"]).then_some(())?;
            self.reference(columns, name, Some(start), added)?;
        } else if self.cursor.is_word("CHECK") {
            self.found.constraints.extend(name.map(|name| (name, Constraint::Check)));
        } else if !constraint && self.cursor.eat_any(&["KEY", "INDEX"]) {
            self.up_to_columns();
            self.key()?;
        } else if !constraint && self.cursor.is_any(&["FULLTEXT", "SPATIAL"]) {
            // It serves no foreign key: nothing to know of it.
        } else if self.cursor.is_word("VECTOR")
            && (self.cursor.is_word_at(1, "KEY") || self.cursor.is_word_at(1, "INDEX"))
        {
            // Likewise.
        } else if self.cursor.is_word("PERIOD") && self.cursor.is_word_at(1, "FOR") {
            // MariaDB's periods name columns of the table itself.
        } else if self.cursor.is_word("LIKE") {
            self.unread("LIKE beside columns:");
        } else {
            return (!constraint).then_some(false);
        }
        Some(true)
    }

    /// Over the name and the method of a key.
    fn up_to_columns(&mut self) {
        while !self.cursor.at_end() && !self.cursor.is_punct(Punct::LParen) && !self.cursor.is_punct(Punct::Comma) {
            self.cursor.at += 1;
        }
    }

    /// The columns of a key.
    fn key(&mut self) -> Option<Vec<Ident>> {
        let (columns, whole) = self.key_columns()?;
        self.found.keys.push(NewKey { columns: columns[..whole].to_vec(), serves: None });
        Some(columns)
    }

    /// `(a, b(10), (expression), c DESC)`: the names; an expression is left out. And how many stand at the beginning
    /// before the first that is an expression, or of which there is a part only.
    fn key_columns(&mut self) -> Option<(Vec<Ident>, usize)> {
        self.cursor.eat_punct(Punct::LParen).then_some(())?;
        let (mut columns, mut whole, mut all) = (Vec::new(), 0, true);
        loop {
            let start = self.cursor.at;
            if self.cursor.is_name_at(0) {
                columns.push(self.cursor.name()?);
                all &= !self.cursor.is_punct(Punct::LParen);
            } else {
                all = false;
            }
            whole += usize::from(all);
            self.skip_element(start);
            if !self.cursor.eat_punct(Punct::Comma) {
                break;
            }
        }
        self.cursor.eat_punct(Punct::RParen).then_some(())?;
        Some((columns, whole))
    }

    /// Behind REFERENCES.
    fn reference(&mut self, columns: Vec<Ident>, name: Option<Ident>, start: Option<u32>, added: bool) -> Option<()> {
        let parent = self.mention(Part::Parent)?;
        let parent_columns = if self.cursor.is_punct(Punct::LParen) { self.key_columns()?.0 } else { Vec::new() };
        if self.cursor.eat(&["MATCH"]) {
            self.cursor.eat_any(&["FULL", "PARTIAL", "SIMPLE"]);
        }
        let (mut on_delete, mut on_update) = Default::default();
        while self.cursor.are_words(&["ON", "DELETE"]) || self.cursor.are_words(&["ON", "UPDATE"]) {
            let deletes = self.cursor.is_word_at(1, "DELETE");
            self.cursor.at += 2;
            *if deletes { &mut on_delete } else { &mut on_update } = self.action();
        }
        self.found.keys.push(NewKey { columns: columns.clone(), serves: Some(self.found.references.len()) });
        let reference = Reference { columns, parent, parent_columns, on_delete, on_update, name, start, added };
        self.found.references.push(reference);
        Some(())
    }

    /// Behind ON DELETE or ON UPDATE.
    fn action(&mut self) -> Action {
        if self.cursor.eat(&["CASCADE"]) {
            Action::Cascade
        } else if self.cursor.eat(&["SET", "NULL"]) || self.cursor.eat(&["SET", "DEFAULT"]) {
            Action::SetNull
        } else {
            let _ = self.cursor.eat(&["RESTRICT"]) || self.cursor.eat(&["NO", "ACTION"]);
            Action::Restrict
        }
    }

    /// `name type attributes`, up to the comma.
    fn column(&mut self) -> Option<()> {
        let name = self.cursor.name()?;
        let serial = self.cursor.is_word("SERIAL");
        if serial {
            self.unique_column(&name);
        }
        let mut constraint = None;
        let mut auto_increment = serial;
        while !self.cursor.at_end() && !self.cursor.is_punct(Punct::Comma) && !self.cursor.is_punct(Punct::RParen) {
            if self.cursor.eat(&["AUTO_INCREMENT"]) {
                auto_increment = true;
            } else if self.cursor.eat(&["REFERENCES"]) {
                self.reference(vec![name.clone()], constraint.take(), None, false)?;
            } else if self.cursor.eat(&["CONSTRAINT"]) {
                if self.cursor.is_name_at(0) {
                    let name = self.cursor.name()?;
                    if self.cursor.is_word("CHECK") {
                        self.found.constraints.push((name, Constraint::Check));
                    } else {
                        self.found.constraints.push((name.clone(), Constraint::ForeignKey));
                        constraint = Some(name);
                    }
                }
            } else if self.cursor.eat(&["PRIMARY"]) || self.cursor.eat(&["UNIQUE"]) || self.cursor.is_word("KEY") {
                self.cursor.eat(&["KEY"]);
                self.unique_column(&name);
            } else if self.cursor.is_any(&["NEXTVAL", "LASTVAL"]) || self.cursor.are_words(&["NEXT", "VALUE", "FOR"]) {
                self.unread("a default from a sequence, which one server has:");
                self.cursor.at += 1;
            } else if !(self.cursor.is_punct(Punct::LParen) && self.cursor.skip_parens()) {
                self.cursor.at += 1;
            }
        }
        self.found.columns.push(NewColumn { name, auto_increment });
        Some(())
    }

    /// A column that is a unique key by itself.
    fn unique_column(&mut self, name: &Ident) {
        self.found.unique.push(vec![name.clone()]);
        self.found.keys.push(NewKey { columns: vec![name.clone()], serves: None });
    }

    /// CREATE or DROP INDEX, from the index's name on.
    fn index(&mut self, unique: bool, creates: bool) -> Option<()> {
        self.guard();
        self.cursor.name()?;
        while !self.cursor.at_end() && !self.cursor.is_word("ON") {
            self.cursor.at += 1;
        }
        self.cursor.eat(&["ON"]).then_some(())?;
        self.mention(Part::Subject)?;
        if creates {
            self.patience();
            let columns = self.key_columns()?.0;
            if unique {
                self.found.unique.push(columns);
            }
        }
        Some(())
    }

    fn alter_table(&mut self) -> Option<()> {
        self.guard();
        self.mention(Part::Subject)?;
        self.patience();
        while !self.cursor.at_end() {
            let start = self.cursor.at;
            self.change()?;
            self.rest_of_change(start);
            self.cursor.eat_punct(Punct::Comma);
        }
        Some(())
    }

    /// What a change has more: options without a comma between them may follow, and partitions.
    fn rest_of_change(&mut self, start: usize) {
        self.cursor.at = self.cursor.at.max(start);
        while !self.cursor.at_end() && !self.cursor.is_punct(Punct::Comma) {
            if self.cursor.is_word("UNION") {
                self.unread("a MERGE table over others:");
            }
            if !(self.cursor.is_punct(Punct::LParen) && self.cursor.skip_parens()) {
                self.cursor.at += 1;
            }
        }
    }

    /// One of the changes of ALTER TABLE.
    fn change(&mut self) -> Option<()> {
        let start = self.cursor.start();
        if self.cursor.eat(&["ADD"]) {
            return self.add();
        }
        if self.cursor.eat(&["DROP"]) {
            return self.drop();
        }
        if self.cursor.eat(&["CHANGE"]) || self.cursor.is_word("MODIFY") {
            let renames = !self.cursor.eat(&["MODIFY"]);
            self.cursor.eat(&["COLUMN"]);
            self.guarded();
            if renames {
                let old = self.cursor.name()?;
                self.found.changed.push(old);
            } else {
                let Cursor { at, .. } = self.cursor;
                let name = self.cursor.name()?;
                self.cursor.at = at;
                self.found.changed.push(name);
            }
            return self.column();
        }
        if self.cursor.eat(&["ALTER"]) {
            if self.cursor.eat_any(&["INDEX", "KEY"]) {
                return Some(());
            }
            let check = self.cursor.eat(&["CHECK"]);
            if check || self.cursor.eat(&["CONSTRAINT"]) {
                let name = self.cursor.name()?;
                self.found.constraints.push((name, if check { Constraint::Check } else { Constraint::Any }));
                return Some(());
            }
            self.cursor.eat(&["COLUMN"]);
            self.guarded();
            let name = self.cursor.name()?;
            self.found.changed.push(name);
            return Some(());
        }
        if self.cursor.eat(&["RENAME"]) {
            if self.cursor.eat(&["COLUMN"]) {
                self.guarded();
                let name = self.cursor.name()?;
                self.found.changed.push(name);
            } else if !self.cursor.eat_any(&["INDEX", "KEY"]) {
                let _ = self.cursor.eat_any(&["TO", "AS"]) || self.cursor.eat_punct(Punct::Eq);
                self.mention(Part::NewName)?;
            }
            return Some(());
        }
        if self.cursor.eat(&["CONVERT", "TO", "CHARACTER"]) || self.cursor.eat(&["CONVERT", "TO", "CHARSET"]) {
            self.found.converts = Some(self.cursor.since(start));
            return Some(());
        }
        let known = self.cursor.is_any(OPTIONS)
            || self.cursor.is_any(&["DEFAULT", "CHARACTER"])
            || self.cursor.are_words(&["ENABLE", "KEYS"])
            || self.cursor.are_words(&["DISABLE", "KEYS"])
            || self.cursor.are_words(&["WITH", "VALIDATION"])
            || self.cursor.are_words(&["WITHOUT", "VALIDATION"]);
        if !known {
            self.unread("this change of a table is not passed on where it is sharded or has copies:");
        }
        Some(())
    }

    fn add(&mut self) -> Option<()> {
        if self.cursor.is_word("PARTITION") || self.cursor.is_word("SYSTEM") {
            self.unread("this change of a table is not passed on where it is sharded or has copies:");
            return Some(());
        }
        if self.key_or_constraint(true)? {
            return Some(());
        }
        self.cursor.eat(&["COLUMN"]);
        self.guarded();
        if !self.cursor.eat_punct(Punct::LParen) {
            return self.column();
        }
        loop {
            let start = self.cursor.at;
            self.element()?;
            self.skip_element(start);
            if !self.cursor.eat_punct(Punct::Comma) {
                break;
            }
        }
        self.cursor.eat_punct(Punct::RParen).then_some(())
    }

    fn drop(&mut self) -> Option<()> {
        if self.cursor.eat(&["PRIMARY", "KEY"]) {
            self.found.dropped.push("PRIMARY".to_owned());
            return Some(());
        }
        if self.cursor.eat_any(&["INDEX", "KEY"]) {
            self.guarded();
            let name = self.cursor.name()?;
            self.found.dropped.push(name.name);
            return Some(());
        }
        let kind = match () {
            () if self.cursor.eat(&["FOREIGN", "KEY"]) => Some(Constraint::ForeignKey),
            () if self.cursor.eat(&["CHECK"]) => Some(Constraint::Check),
            () if self.cursor.eat(&["CONSTRAINT"]) => Some(Constraint::Any),
            () => None,
        };
        if let Some(kind) = kind {
            self.guarded();
            let name = self.cursor.name()?;
            self.found.constraints.push((name, kind));
            return Some(());
        }
        if self.cursor.is_any(&["PARTITION", "SYSTEM"])
            || (self.cursor.is_word("PERIOD") && self.cursor.is_word_at(1, "FOR"))
        {
            self.unread("this change of a table is not passed on where it is sharded or has copies:");
            return Some(());
        }
        self.cursor.eat(&["COLUMN"]);
        self.guarded();
        let name = self.cursor.name()?;
        self.found.changed.push(name);
        self.cursor.eat_any(&["RESTRICT", "CASCADE"]);
        Some(())
    }
}
