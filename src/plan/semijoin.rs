//! Semi-join reduction of a gather: which source is read first, and which values of its join columns the others are
//! asked for. It sees rows only as cells; how they are read, and where they go, it does not know.

use std::collections::BTreeSet;

use crate::plan::gather::{Extent, Link, Source};
use crate::plan::route::Routing;
use crate::plan::text::quote;
use crate::rules::shards::Shards;

/// Values of one list beyond which it is given up: reading the whole table is then the lesser evil.
const MOST_VALUES: usize = 5_000;
const MOST_BYTES: usize = 128 << 10;

/// What has been read of the sources, and what that leaves to read of the others.
pub struct Reduction<'g> {
    sources: &'g [Source],
    extent: Extent,
    read: Vec<bool>,
    lists: Vec<List<'g>>,
}

/// The values of one column of one source, as far as its rows have been read.
struct List<'g> {
    source: usize,
    column: &'g str,
    /// None when there are too many of them.
    values: Option<BTreeSet<Box<[u8]>>>,
    bytes: usize,
}

impl<'g> Reduction<'g> {
    /// Before anything is read. Sources that are copied whole are reduced by nothing.
    pub fn new(sources: &'g [Source], extent: Extent) -> Reduction<'g> {
        let mut lists: Vec<List<'g>> = Vec::new();
        let links = sources.iter().flat_map(|source| &source.links).filter(|_| extent == Extent::Needed);
        for link in links {
            let source = usize::from(link.source);
            if !lists.iter().any(|list| list.source == source && *list.column == *link.other) {
                let pulled = sources[source].pulled(extent).any(|column| column.name.eq_ignore_ascii_case(&link.other));
                // Of what is not read, nothing is known.
                let values = pulled.then(BTreeSet::new);
                lists.push(List { source, column: &link.other, values, bytes: 0 });
            }
        }
        Reduction { sources, extent, read: vec![false; sources.len()], lists }
    }

    /// What is read.
    pub fn source(&self, number: usize) -> Option<&'g Source> {
        self.sources.get(number)
    }

    /// How much of it.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The source to read next: one that lists shorten, else a temporary table, which holds what somebody chose, else the
    /// one with the most conditions of its own.
    pub fn choose(&mut self) -> Option<usize> {
        let left = (0..self.sources.len()).filter(|source| !self.read[*source]);
        let rank = |number: usize| {
            let source = &self.sources[number];
            (self.lists_for(number).next().is_some(), source.temporary, source.filter.len())
        };
        let best = left.max_by_key(|source| (rank(*source), std::cmp::Reverse(*source)))?;
        self.read[best] = true;
        Some(best)
    }

    /// Takes a source as read whose rows nobody sees: its values are not known.
    pub fn skip(&mut self, source: usize) {
        self.read[source] = true;
        self.lists.iter_mut().filter(|list| list.source == source).for_each(|list| list.values = None);
    }

    /// The lists whose columns the rows of a source fill, with the place of the column among the pulled ones.
    pub fn fills(&self, source: usize) -> Vec<(usize, usize)> {
        let mine = self.lists.iter().enumerate().filter(|(_, list)| list.source == source);
        let place = |column: &str| {
            self.sources[source].pulled(self.extent).position(|pulled| pulled.name.eq_ignore_ascii_case(column))
        };
        mine.filter_map(|(number, list)| Some((place(list.column)?, number))).collect()
    }

    /// Takes a value for a list; NULL equals nothing and is none.
    pub fn take(&mut self, list: usize, value: &[u8]) {
        let list = &mut self.lists[list];
        let Some(values) = &mut list.values else { return };
        if !values.contains(value) {
            values.insert(value.into());
            list.bytes += value.len();
        }
        if values.len() > MOST_VALUES || list.bytes > MOST_BYTES {
            list.values = None;
        }
    }

    /// Whether no row of the source can matter.
    pub fn excludes(&self, source: usize) -> bool {
        self.lists_for(source).any(|(_, values)| values.is_empty())
    }

    /// The conditions that the lists put on a source. `shards` tells where a value of one of its keys lies.
    pub fn conditions(&self, source: usize, shards: impl Fn(&Routing, u8, &[u8]) -> Option<Shards>) -> Vec<Among<'_>> {
        let routing = self.sources[source].routing.as_ref();
        let place = |link: &Link, value: &[u8]| shards(routing?, link.key?, value);
        let mut conditions = Vec::new();
        for (link, values) in self.lists_for(source) {
            let values = values.iter().map(|value| (value.as_ref(), place(link, value))).collect();
            conditions.push(Among { link, values });
        }
        conditions
    }

    /// The links of a source to sources that were read, where the values are known.
    fn lists_for(&self, source: usize) -> impl Iterator<Item = (&'g Link, &BTreeSet<Box<[u8]>>)> {
        self.sources[source].links.iter().filter_map(move |link| {
            let of = usize::from(link.source);
            let list = self.lists.iter().find(|list| list.source == of && *list.column == *link.other)?;
            list.values.as_ref().filter(|_| self.read[of] && of != source).map(|values| (link, values))
        })
    }
}

/// That a column has one of these values.
pub struct Among<'r> {
    link: &'r Link,
    /// Each with the shards that can have rows with it; none if that is not known.
    values: Vec<(&'r [u8], Option<Shards>)>,
}

impl Among<'_> {
    /// Appends `column IN (values)` for a shard, or for a table that has none; `false` if it has no such row.
    pub fn put(&self, shard: Option<u32>, out: &mut Vec<u8>) -> bool {
        quote(self.link.column.as_bytes(), out);
        let mut before: &[u8] = b" IN (";
        for (value, shards) in &self.values {
            let here = shards.as_ref().zip(shard).is_none_or(|(shards, shard)| shards.contains(shard));
            if here {
                out.extend_from_slice(before);
                self.link.literal.put(value, out);
                before = b",";
            }
        }
        out.push(b')');
        before == b","
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::gather::{Form, Literal, Pulled};
    use crate::plan::route::By;
    use crate::rules::FamilyId;
    use crate::sql::splice::Anchor;

    fn source(filters: usize, columns: &[&str], links: &[(&str, u16, &str)]) -> Source {
        let pulled = |name: &&str| Pulled { name: (*name).into(), form: Form::Number, needed: true };
        let link = |(column, source, other): &(&str, u16, &str)| Link {
            column: (*column).into(),
            source: *source,
            other: (*other).into(),
            literal: Literal::Digits,
            key: (*column == "key").then_some(0),
        };
        Source {
            table: 0,
            label: "t".into(),
            copy: "c".into(),
            temporary: false,
            routing: None,
            columns: columns.iter().map(pulled).collect(),
            filter: vec![(Anchor { after: 0, offset: 0 }, Anchor { after: 0, offset: 0 }); filters].into(),
            links: links.iter().map(link).collect(),
            spare: Box::default(),
            locks: None,
        }
    }

    fn conditions(reduction: &Reduction<'_>, source: usize) -> String {
        let mut out = Vec::new();
        // An odd value lies on shard 1.
        let shards = |_: &Routing, _, value: &[u8]| Some(Shards::one(u32::from(value[0] & 1)));
        let found = reduction.conditions(source, shards).iter().all(|among| among.put(Some(1), &mut out));
        if found { String::from_utf8_lossy(&out).into_owned() } else { "nothing".to_owned() }
    }

    #[test]
    fn what_is_filtered_comes_first_and_what_it_leaves_follows() {
        // users u, orders o (u = o.user), items i (o = i.order, filtered): items, then orders, then users.
        let sources = [
            source(0, &["id", "name"], &[("id", 1, "user")]),
            source(0, &["id", "user"], &[("user", 0, "id"), ("id", 2, "order")]),
            source(1, &["order"], &[("order", 1, "id")]),
        ];
        let mut reduction = Reduction::new(&sources, Extent::Needed);
        assert_eq!(reduction.choose(), Some(2));
        assert_eq!(conditions(&reduction, 2), "");
        let fills = |reduction: &Reduction<'_>, source: usize, column: usize| {
            reduction.fills(source).iter().find(|(place, _)| *place == column).map_or(usize::MAX, |(_, list)| *list)
        };
        let list = fills(&reduction, 2, 0);
        for value in [b"7", b"5", b"7"] {
            reduction.take(list, value);
        }
        assert_eq!(reduction.choose(), Some(1));
        assert_eq!(conditions(&reduction, 1), "`id` IN (5,7)");
        let user = fills(&reduction, 1, 1);
        assert_eq!(reduction.choose(), Some(0));
        assert!(reduction.excludes(0), "no order was found");
        reduction.take(user, b"9");
        assert_eq!(conditions(&reduction, 0), "`id` IN (9)");
        assert_eq!(reduction.choose(), None);
    }

    #[test]
    fn a_shard_is_asked_for_its_own_values() {
        let routing = Routing {
            family: FamilyId(0),
            keys: Box::default(),
            by: By::Conditions(Box::default()),
            group: None,
            shard: None,
            assigned: Box::default(),
            numbered: Box::default(),
        };
        let mut sources = [source(1, &["id"], &[]), source(0, &["key"], &[("key", 0, "id")])];
        sources[1].routing = Some(routing);
        let mut reduction = Reduction::new(&sources, Extent::Needed);
        assert_eq!(reduction.choose(), Some(0));
        reduction.take(0, b"4");
        assert_eq!((conditions(&reduction, 1).as_str(), reduction.excludes(1)), ("nothing", false));
        reduction.take(0, b"5");
        assert_eq!(conditions(&reduction, 1), "`key` IN (5)");
    }

    #[test]
    fn too_many_values_are_no_list() {
        let sources = [source(1, &["id"], &[]), source(0, &["id"], &[("id", 0, "id")])];
        let mut reduction = Reduction::new(&sources, Extent::Needed);
        assert_eq!(reduction.choose(), Some(0));
        for value in 0..=MOST_VALUES {
            reduction.take(0, value.to_string().as_bytes());
        }
        assert_eq!((conditions(&reduction, 1), reduction.excludes(1)), (String::new(), false));
    }

    #[test]
    fn what_is_copied_whole_is_not_reduced() {
        let sources = [source(1, &["id"], &[]), source(0, &["id"], &[("id", 0, "id")])];
        let mut reduction = Reduction::new(&sources, Extent::Whole);
        assert_eq!((reduction.choose(), reduction.choose()), (Some(0), Some(1)));
        assert_eq!((reduction.fills(0), reduction.excludes(1)), (vec![], false));
    }
}
