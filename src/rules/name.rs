//! Physical names: templates such as `{table}_{shard:02}`, and whether a name is one that MySQL takes.

use std::fmt::Write;

/// A template of a physical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part(Part, usize),
}

/// What stands in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The logical schema.
    Schema,
    /// The logical table.
    Table,
    /// The group's name.
    Group,
    /// The shard's number.
    Shard,
    /// With two columns: the part that the first one gives.
    Outer,
    /// With two columns: the part that the second one gives.
    Inner,
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The logical schema.
    pub schema: &'a str,
    /// The logical table.
    pub table: &'a str,
    /// The group's name.
    pub group: &'a str,
    /// The shard's number.
    pub shard: u32,
    /// Parts of the second level; 1 if there is none.
    pub inner_parts: u32,
}

impl Part {
    const ALL: [(&'static str, Part); 6] = [
        ("schema", Part::Schema),
        ("table", Part::Table),
        ("group", Part::Group),
        ("shard", Part::Shard),
        ("outer", Part::Outer),
        ("inner", Part::Inner),
    ];

    /// Its name in a template.
    pub fn name(self) -> &'static str {
        Part::ALL.iter().find(|(_, part)| *part == self).map_or("", |(name, _)| name)
    }
}

impl Template {
    /// Parses a template that may use `allowed`. An error is the range of bytes that is wrong, and why.
    pub fn parse(text: &str, allowed: &[Part]) -> Result<Template, (std::ops::Range<usize>, String)> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find(['{', '}']).map(|found| at + found) {
            if text[open..].starts_with('}') {
                return Err((open..open + 1, "`}` without `{`".into()));
            }
            let Some(close) = text[open..].find('}').map(|found| open + found) else {
                return Err((open..text.len(), "`{` without `}`".into()));
            };
            if open > at {
                pieces.push(Piece::Text(text[at..open].to_owned()));
            }
            pieces.push(Template::part(&text[open + 1..close], allowed).map_err(|why| (open..close + 1, why))?);
            at = close + 1;
        }
        if at < text.len() {
            pieces.push(Piece::Text(text[at..].to_owned()));
        }
        Ok(Template { pieces })
    }

    fn part(inside: &str, allowed: &[Part]) -> Result<Piece, String> {
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        let part = Part::ALL.iter().find(|(known, part)| *known == name && allowed.contains(part));
        let Some((_, part)) = part else {
            let known: Vec<String> = allowed.iter().map(|part| format!("{{{}}}", part.name())).collect();
            return Err(format!("`{{{name}}}` is not known here; known are {}", known.join(", ")));
        };
        let width = match format.strip_prefix('0') {
            None if format.is_empty() => 0,
            Some(width) if matches!(part, Part::Shard | Part::Outer | Part::Inner) => match width.parse() {
                Ok(width @ 1..=9) => width,
                _ => return Err(format!("`:{format}` must be a zero and a width of one digit, as in `{{{name}:02}}`")),
            },
            _ => return Err(format!("`:{format}` is not a width, such as `:02`, of a number")),
        };
        Ok(Piece::Part(*part, width))
    }

    /// Whether it uses a part.
    pub fn uses(&self, part: Part) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Part(used, _) if *used == part))
    }

    /// The name for these values.
    pub fn fill(&self, values: Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            let (part, width) = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Part(part, width) => (*part, *width),
            };
            let number = match part {
                Part::Schema => {
                    out.push_str(values.schema);
                    continue;
                }
                Part::Table => {
                    out.push_str(values.table);
                    continue;
                }
                Part::Group => {
                    out.push_str(values.group);
                    continue;
                }
                Part::Shard => values.shard,
                Part::Outer => values.shard / values.inner_parts.max(1),
                Part::Inner => values.shard % values.inner_parts.max(1),
            };
            // Writing to a String does not fail.
            let _ = write!(out, "{number:0width$}");
        }
        out
    }
}

/// Why a name cannot be that of a schema or table, as the end of a sentence.
pub fn unfit(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        _ if name.chars().count() > 64 => Some("is longer than 64 characters, which MySQL does not take"),
        _ if name.ends_with(' ') => Some("ends with a space, which MySQL does not take"),
        _ if name.contains(['/', '\\', '.', '`', '\0']) || name.chars().any(char::is_control) => {
            Some("contains a character that has no place in a name")
        }
        _ if name.chars().any(|c| c > '\u{FFFF}') => Some("contains a character that MySQL does not take in a name"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: [Part; 6] = [Part::Schema, Part::Table, Part::Group, Part::Shard, Part::Outer, Part::Inner];

    fn fill(template: &str, shard: u32) -> String {
        let values = Values { schema: "shop", table: "orders", group: "g1", shard, inner_parts: 4 };
        Template::parse(template, &ALL).unwrap().fill(values)
    }

    #[test]
    fn names_are_filled_in() {
        assert_eq!(fill("{table}_{shard:02}", 7), "orders_07");
        assert_eq!(fill("{table}_{shard:02}", 123), "orders_123");
        assert_eq!(fill("{schema}_{group}", 0), "shop_g1");
        assert_eq!(fill("{table}_{outer}_{inner:03}", 7), "orders_1_003");
        assert_eq!(fill("plain", 7), "plain");
    }

    #[test]
    fn mistakes_have_a_place() {
        let wrong = |text: &str| Template::parse(text, &[Part::Table, Part::Shard]).unwrap_err();
        assert_eq!(wrong("{table}_{shrad}").0, 8..15);
        assert_eq!(wrong("a{table").0, 1..7);
        assert_eq!(wrong("a}").0, 1..2);
        assert_eq!(wrong("{table:02}").0, 0..10);
        assert_eq!(wrong("{shard:2}").0, 0..9);
        assert_eq!(wrong("{group}").0, 0..7);
    }
}
