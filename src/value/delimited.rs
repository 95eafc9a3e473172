//! Lines and fields of a delimited text file, cut as LOAD DATA cuts them: MySQL's `READ_INFO` (sql/sql_load.cc), whose
//! state machine decides what a line is. It changes no byte and knows no table.
//!
//! Rows are not lines cut at terminators: the fields that the statement asks for are read one by one, with enclosing
//! quotes and escapes, and only what is left of the line behind them is skipped without looking at quotes.
//! <https://dev.mysql.com/doc/refman/8.4/en/load-data.html>

use std::ops::Range;

/// FIELDS and LINES of a statement. Its bytes are ASCII, `field_end` and `line_end` are not empty and not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// FIELDS TERMINATED BY.
    pub field_end: Box<[u8]>,
    /// ENCLOSED BY.
    pub enclosed: Option<u8>,
    /// ESCAPED BY.
    pub escape: Option<u8>,
    /// LINES STARTING BY; empty: nothing is looked for.
    pub line_start: Box<[u8]>,
    /// LINES TERMINATED BY.
    pub line_end: Box<[u8]>,
}

impl Default for Format {
    /// What a statement has that says nothing.
    fn default() -> Format {
        Format {
            field_end: (*b"\t").into(),
            enclosed: None,
            escape: Some(b'\\'),
            line_start: Box::default(),
            line_end: (*b"\n").into(),
        }
    }
}

/// What is at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A line of so many bytes, its terminator included.
    Line(usize),
    /// The beginning of something that ends behind these bytes.
    More,
    /// No further line, though bytes may be left: the file is at its end.
    End,
}

/// A field that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field {
    /// The line ended before it.
    #[default]
    Missing,
    /// `\N`, or the bare word NULL where fields may be enclosed.
    Null,
    /// Its bytes without quotes and escapes.
    Text(Vec<u8>),
}

/// The bytes seen so far do not decide it.
struct NeedMore;

impl Format {
    /// The line at the start of `bytes`, of which `width` fields are read; `end`: no further bytes follow. Those whose
    /// numbers are in `wanted`, ascending and counted from 0, come to stand in `fields` in their order.
    pub fn line(&self, bytes: &[u8], end: bool, width: usize, wanted: &[usize], fields: &mut Vec<Field>) -> Found {
        fields.clear();
        fields.resize(wanted.len(), Field::Missing);
        let mut reader = Reader { format: self, bytes, at: 0, end };
        match reader.line(width, wanted, fields) {
            Ok(true) => Found::Line(reader.at),
            Ok(false) => Found::End,
            Err(NeedMore) => Found::More,
        }
    }

    /// Where the bytes of a field stand in a whole line, quotes and escapes included; none if the line ends before it. Of a
    /// field that may hold the bytes of LINES TERMINATED BY itself this is not asked.
    pub fn place(&self, line: &[u8], number: usize) -> Option<Range<usize>> {
        let mut reader = Reader { format: self, bytes: line, at: 0, end: true };
        reader.place(number).ok().flatten()
    }

    /// What IGNORE 1 LINES steps over: everything to the next terminator that is not escaped, quotes or not.
    pub fn ignored(&self, bytes: &[u8], end: bool) -> Found {
        let mut reader = Reader { format: self, bytes, at: 0, end };
        match reader.skip_line() {
            Ok(true) => Found::Line(reader.at),
            Ok(false) => Found::End,
            Err(NeedMore) => Found::More,
        }
    }
}

/// How a field ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By its own terminator: another may follow.
    Field,
    /// By that of the line, or by the file's end.
    Line,
}

struct Reader<'f> {
    format: &'f Format,
    bytes: &'f [u8],
    at: usize,
    end: bool,
}

impl Reader<'_> {
    /// Reads a line; `false` if there is none any more.
    fn line(&mut self, width: usize, wanted: &[usize], fields: &mut [Field]) -> Result<bool, NeedMore> {
        if !self.format.line_start.is_empty() && !self.find_start()? {
            return Ok(false);
        }
        let mut next = 0;
        for number in 0..width {
            let mut out = (wanted.get(next) == Some(&number)).then(Vec::new);
            let Some((ended, is_null)) = self.field(out.as_mut())? else {
                // The file ended where a field would begin.
                return Ok(number > 0);
            };
            if let Some(text) = out {
                fields[next] = if is_null { Field::Null } else { Field::Text(text) };
                next += 1;
            }
            if ended == Ended::Line {
                return Ok(true);
            }
        }
        self.skip_line()?;
        Ok(true)
    }

    /// Where a field stands.
    fn place(&mut self, number: usize) -> Result<Option<Range<usize>>, NeedMore> {
        if !self.format.line_start.is_empty() && !self.find_start()? {
            return Ok(None);
        }
        for before in 0..=number {
            let start = self.at;
            let Some((ended, _)) = self.field(None)? else { return Ok(None) };
            let terminator: &[u8] = match ended {
                Ended::Field => &self.format.field_end,
                Ended::Line if self.bytes[start..self.at].ends_with(&self.format.line_end) => &self.format.line_end,
                Ended::Line => b"",
            };
            if before == number {
                return Ok(Some(start..self.at - terminator.len()));
            }
            if ended == Ended::Line {
                break;
            }
        }
        Ok(None)
    }

    /// Steps behind the next LINES STARTING BY, over whatever is in front of it; `false` if there is none.
    fn find_start(&mut self) -> Result<bool, NeedMore> {
        while let Some(byte) = self.next()? {
            if byte == self.format.line_start[0] && self.is_next(&self.format.line_start[1..])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Steps over a line's rest and its terminator; `false` if the file ends first.
    fn skip_line(&mut self) -> Result<bool, NeedMore> {
        let format = self.format;
        while let Some(byte) = self.next()? {
            if Some(byte) == format.escape {
                if self.next()?.is_none() {
                    return Ok(false);
                }
            } else if byte == format.line_end[0] && self.is_next(&format.line_end[1..])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a field into `out`, and tells how it ended and whether it is NULL; nothing if the file ends before it.
    fn field(&mut self, mut out: Option<&mut Vec<u8>>) -> Result<Option<(Ended, bool)>, NeedMore> {
        let format = self.format;
        let Some(first) = self.next()? else { return Ok(None) };
        let quote = format.enclosed.filter(|quote| *quote == first);
        let (mut length, mut word_n) = (0_usize, false);
        let mut put = |byte: u8| {
            length += 1;
            if let Some(out) = &mut out {
                out.push(byte);
            }
        };
        match quote {
            // It stays if the field is never closed.
            Some(quote) => put(quote),
            None => self.at -= 1,
        }
        let (ended, closed) = loop {
            let Some(byte) = self.next()? else { break (Ended::Line, false) };
            if Some(byte) == format.escape {
                let Some(escaped) = self.next()? else {
                    put(byte);
                    break (Ended::Line, false);
                };
                if format.escape != format.enclosed || escaped == byte {
                    word_n |= escaped == b'N';
                    put(unescaped(escaped));
                    continue;
                }
                // Where quotes are escapes, too, only a doubled one is an escape.
                self.at -= 1;
            }
            if quote.is_none() && byte == format.line_end[0] && self.is_next(&format.line_end[1..])? {
                break (Ended::Line, false);
            }
            if Some(byte) == quote {
                match self.next()? {
                    None => break (Ended::Line, true),
                    Some(next) if next == byte => {
                        put(byte);
                        continue;
                    }
                    Some(next) if next == format.line_end[0] && self.is_next(&format.line_end[1..])? => {
                        break (Ended::Line, true);
                    }
                    Some(next) if next == format.field_end[0] && self.is_next(&format.field_end[1..])? => {
                        break (Ended::Field, true);
                    }
                    Some(_) => self.at -= 1,
                }
            } else if quote.is_none() && byte == format.field_end[0] && self.is_next(&format.field_end[1..])? {
                break (Ended::Field, false);
            }
            put(byte);
        };
        if closed {
            length -= 1;
            if let Some(out) = &mut out {
                out.remove(0);
            }
        }
        let word = format.enclosed.is_some() && !closed && out.as_deref().is_some_and(|text| text == b"NULL");
        Ok(Some((ended, word || (word_n && length == 1))))
    }

    /// The next byte; none at the file's end.
    fn next(&mut self) -> Result<Option<u8>, NeedMore> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(Some(*byte))
            }
            None if self.end => Ok(None),
            None => Err(NeedMore),
        }
    }

    /// Steps over `rest` if it comes next.
    fn is_next(&mut self, rest: &[u8]) -> Result<bool, NeedMore> {
        let ahead = &self.bytes[self.at..];
        if ahead.starts_with(rest) {
            self.at += rest.len();
            return Ok(true);
        }
        match !self.end && rest.starts_with(ahead) {
            true => Err(NeedMore),
            false => Ok(false),
        }
    }
}

/// What a byte behind an escape stands for.
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn format(field_end: &str, enclosed: &str, escape: &str, line_start: &str, line_end: &str) -> Format {
        Format {
            field_end: field_end.as_bytes().into(),
            enclosed: enclosed.bytes().next(),
            escape: escape.bytes().next(),
            line_start: line_start.as_bytes().into(),
            line_end: line_end.as_bytes().into(),
        }
    }

    /// All rows of a file: the length of each and its fields.
    fn rows(format: &Format, file: &[u8], width: usize) -> Vec<(usize, Vec<Field>)> {
        let (mut at, mut rows, mut fields) = (0, Vec::new(), Vec::new());
        let wanted: Vec<usize> = (0..width).collect();
        while let Found::Line(length) = format.line(&file[at..], true, width, &wanted, &mut fields) {
            rows.push((length, fields.clone()));
            at += length;
        }
        rows
    }

    /// `a|b;c|d`: the fields of each row; `~` is NULL, `?` a field that is missing.
    fn shown(format: &Format, file: &str, width: usize) -> String {
        let field = |field: &Field| match field {
            Field::Missing => "?".to_owned(),
            Field::Null => "~".to_owned(),
            Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
        };
        let row = |(_, fields): &(usize, Vec<Field>)| fields.iter().map(field).collect::<Vec<_>>().join("|");
        rows(format, file.as_bytes(), width).iter().map(row).collect::<Vec<_>>().join(";")
    }

    #[test]
    fn rows_are_cut_as_mysql_cuts_them() {
        let csv = || format(",", "\"", "\\", "", "\n");
        for (format, file, expected) in [
            (Format::default(), "1\ta\n2\tb\n", "1|a;2|b"),
            (Format::default(), "", ""),
            (Format::default(), "\n", "|?"),
            (Format::default(), "1\ta\n2", "1|a;2|?"),
            (Format::default(), "1\t", "1|?"),
            (Format::default(), "1\ta\textra\n2\tb", "1|a;2|b"),
            (Format::default(), "\\N\t\\\\N\n", "~|\\N"),
            (Format::default(), "NULL\ta\\\nb\n", "NULL|a\nb"),
            (Format::default(), "a\\tb\\", "a\tb\\|?"),
            (csv(), "1,\"a,\"\"b\n\"\n2,c\n", "1|a,\"b\n;2|c"),
            (csv(), "\"a\"b\",c\n", "a\"b|c"),
            (csv(), "\"a,b", "\"a,b|?"),
            (csv(), "NULL,\"NULL\"\n", "~|NULL"),
            (csv(), "\"\\N\",x\"y\n", "~|x\"y"),
            // What is left of a line is skipped without looking at quotes.
            (csv(), "1,2,\"a\nb\"\n", "1|2;b\"|?"),
            (format(",", "\"", "\"", "", "\n"), "\"a\"\"b\",c\n", "a\"b|c"),
            (format(",", "", "", "", "\r\n"), "a\\,b\r\nc\r,d\r\n", "a\\|b;c\r|d"),
            (format("||", "'", "\\", "", "##"), "a|b||'c##'##d#||e##", "a|b|c##;d#|e"),
            (format(",", "", "\\", "xxx", "\n"), "xxx1,2\nno,row\nxxxx3,4\nend", "1|2;x3|4"),
        ] {
            assert_eq!(shown(&format, file, 2), expected, "{file:?}");
        }
    }

    #[test]
    fn a_field_stands_where_it_is_written() {
        let csv = format(",", "\"", "\\", "x>", "\r\n");
        let cut = |line: &'static str, number| csv.place(line.as_bytes(), number).map(|place| &line[place]);
        let line = "lost x>\"a,\"\"b\",\\N,'0',\r\n";
        let found = [0, 1, 2, 3, 4].map(|number| cut(line, number));
        assert_eq!(found, [Some("\"a,\"\"b\""), Some("\\N"), Some("'0'"), Some(""), None]);
        assert_eq!((cut("x>0", 0), cut("x>\"0\"\r\n", 0), cut("x>", 0)), (Some("0"), Some("\"0\""), None));
    }

    #[test]
    fn lines_to_be_ignored_have_no_quotes() {
        let csv = format(",", "\"", "\\", "", "\n");
        assert_eq!(csv.ignored(b"\"a\nb\"\nc", true), Found::Line(3));
        assert_eq!(csv.ignored(b"a\\\nb\nc", true), Found::Line(5));
        assert_eq!(csv.ignored(b"a", true), Found::End);
        assert_eq!(csv.ignored(b"a", false), Found::More);
    }

    /// MySQL's own code, read to the letter: characters are pushed back, end of file is a character.
    struct Oracle<'f> {
        format: &'f Format,
        file: &'f [u8],
        at: usize,
        stack: Vec<i32>,
        found_end_of_line: bool,
        start_of_line: bool,
        eof: bool,
    }

    const EOF: i32 = -1;

    impl Oracle<'_> {
        fn get(&mut self) -> i32 {
            if let Some(byte) = self.stack.pop() {
                return byte;
            }
            self.at += 1;
            self.file.get(self.at - 1).map_or(EOF, |byte| i32::from(*byte))
        }

        fn terminator(&mut self, term: &[u8]) -> bool {
            for i in 1..term.len() {
                let chr = self.get();
                if chr != i32::from(term[i]) {
                    self.stack.push(chr);
                    term[1..i].iter().rev().for_each(|byte| self.stack.push(i32::from(*byte)));
                    return false;
                }
            }
            true
        }

        /// The field with whether it was enclosed; none: `read_field` returned 1.
        fn read_field(&mut self) -> Option<Field> {
            let format = self.format;
            let opt = |byte: Option<u8>| byte.map_or(i32::MAX, i32::from);
            let (enclosed_char, escape_char) = (opt(format.enclosed), opt(format.escape));
            let (line_char, field_char) = (i32::from(format.line_end[0]), i32::from(format.field_end[0]));
            let mut found_null = false;
            if self.found_end_of_line {
                return None;
            }
            if self.start_of_line {
                self.start_of_line = false;
                if !self.find_start() {
                    return None;
                }
            }
            let mut chr = self.get();
            if chr == EOF {
                self.found_end_of_line = true;
                self.eof = true;
                return None;
            }
            let mut to = Vec::new();
            let found_enclosed = if chr == enclosed_char {
                to.push(chr as u8);
                enclosed_char
            } else {
                self.stack.push(chr);
                i32::MAX
            };
            let enclosed = loop {
                chr = self.get();
                if chr == EOF {
                    (self.found_end_of_line, self.eof) = (true, true);
                    break false;
                }
                if chr == escape_char {
                    chr = self.get();
                    if chr == EOF {
                        to.push(escape_char as u8);
                        (self.found_end_of_line, self.eof) = (true, true);
                        break false;
                    }
                    if escape_char != enclosed_char || chr == escape_char {
                        found_null |= chr == i32::from(b'N');
                        to.push(unescaped(chr as u8));
                        continue;
                    }
                    self.stack.push(chr);
                    chr = escape_char;
                }
                if chr == line_char && found_enclosed == i32::MAX && self.terminator(&format.line_end) {
                    self.found_end_of_line = true;
                    break false;
                }
                if chr == found_enclosed {
                    chr = self.get();
                    if chr == found_enclosed {
                        to.push(chr as u8);
                        continue;
                    }
                    if chr == EOF || (chr == line_char && self.terminator(&format.line_end)) {
                        self.found_end_of_line = true;
                        break true;
                    }
                    if chr == field_char && self.terminator(&format.field_end) {
                        break true;
                    }
                    self.stack.push(chr);
                    chr = found_enclosed;
                } else if chr == field_char && found_enclosed == i32::MAX && self.terminator(&format.field_end) {
                    break false;
                }
                to.push(chr as u8);
            };
            let text = if enclosed { to[1..].to_vec() } else { to };
            let word = !enclosed && format.enclosed.is_some() && text == b"NULL";
            Some(if word || (text.len() == 1 && found_null) { Field::Null } else { Field::Text(text) })
        }

        fn find_start(&mut self) -> bool {
            let start = &self.format.line_start;
            'again: loop {
                loop {
                    let chr = self.get();
                    if chr == EOF {
                        (self.found_end_of_line, self.eof) = (true, true);
                        return false;
                    }
                    if chr == i32::from(start[0]) {
                        break;
                    }
                }
                for i in 1..start.len() {
                    let chr = self.get();
                    if chr != i32::from(start[i]) {
                        self.stack.push(chr);
                        start[1..i].iter().rev().for_each(|byte| self.stack.push(i32::from(*byte)));
                        continue 'again;
                    }
                }
                return true;
            }
        }

        fn next_line(&mut self) -> bool {
            self.start_of_line = !self.format.line_start.is_empty();
            if self.found_end_of_line || self.eof {
                self.found_end_of_line = false;
                return self.eof;
            }
            loop {
                let chr = self.get();
                if chr == EOF {
                    self.eof = true;
                    return true;
                }
                if self.format.escape.is_some_and(|escape| chr == i32::from(escape)) {
                    if self.get() == EOF {
                        return true;
                    }
                    continue;
                }
                if chr == i32::from(self.format.line_end[0]) && self.terminator(&self.format.line_end.clone()) {
                    return false;
                }
            }
        }

        fn rows(format: &Format, file: &[u8], width: usize) -> Vec<Vec<Field>> {
            let start_of_line = !format.line_start.is_empty();
            let (stack, found_end_of_line, eof) = (Vec::new(), false, false);
            let mut oracle = Oracle { format, file, at: 0, stack, found_end_of_line, start_of_line, eof };
            let mut rows = Vec::new();
            loop {
                let mut row = Vec::new();
                while row.len() < width {
                    match oracle.read_field() {
                        Some(field) => row.push(field),
                        None => break,
                    }
                }
                if row.is_empty() {
                    return rows;
                }
                row.resize(width, Field::Missing);
                rows.push(row);
                if oracle.next_line() {
                    return rows;
                }
            }
        }
    }

    fn formats() -> impl Strategy<Value = Format> {
        let field_end = prop::sample::select(vec![",", "\t", "||", "ab", ",\n"]);
        let enclosed = prop::sample::select(vec!["", "\"", "'"]);
        let escape = prop::sample::select(vec!["", "\\", "\"", "|"]);
        let line_start = prop::sample::select(vec!["", ">", "aab"]);
        let line_end = prop::sample::select(vec!["\n", "\r\n", "|#", "aa"]);
        (field_end, enclosed, escape, line_start, line_end).prop_map(|(a, b, c, d, e)| format(a, b, c, d, e))
    }

    fn files() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "a", "b", "N", "NULL", "1", "\\", "\\N", "\"", "'", ",", "\t", "|", "||", "|#", "#", "\n", "\r", "\r\n",
            "aa", "aab", ">", "x",
        ]);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_file_is_cut_as_mysql_s_code_cuts_it(format in formats(), file in files(), width in 1..4usize) {
            let found: Vec<Vec<Field>> = rows(&format, &file, width).into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(found, Oracle::rows(&format, &file, width));
        }

        /// What a server reads of some lines alone is what it reads of them in the file.
        #[test]
        fn lines_mean_the_same_wherever_they_stand(format in formats(), file in files(), width in 1..4usize) {
            let mut at = 0;
            for (length, fields) in rows(&format, &file, width) {
                let alone = Oracle::rows(&format, &file[at..at + length], width);
                at += length;
                prop_assert_eq!(alone, vec![fields]);
            }
        }

        /// A line is not seen before it is whole, and then as it would be seen at once.
        #[test]
        fn pieces_of_a_file_decide_nothing_too_early(format in formats(), file in files(), width in 1..4usize) {
            let wanted: Vec<usize> = (0..width).collect();
            let (mut fields, mut expected) = (Vec::new(), Vec::new());
            let whole = format.line(&file, true, width, &wanted, &mut expected);
            for cut in 0..=file.len() {
                match format.line(&file[..cut], false, width, &wanted, &mut fields) {
                    Found::More => {}
                    found => {
                        prop_assert_eq!(found, whole);
                        prop_assert_eq!(&fields, &expected);
                    }
                }
            }
        }
    }
}
