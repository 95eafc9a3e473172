//! Where the text of a statement can mean a column of one of its table references, read off its bytes: it may see more
//! than is there, never less. It resolves no names.

/// A statement in lower case.
pub(super) struct Words(Vec<u8>);

impl Words {
    pub(super) fn of(sql: &[u8]) -> Words {
        Words(sql.to_ascii_lowercase())
    }

    /// Whether some bytes in lower case stand in it.
    pub(super) fn have(&self, bytes: &[u8]) -> bool {
        self.0.windows(bytes.len()).any(|part| part == bytes)
    }

    /// Whether a column of a reference can stand in it.
    pub(super) fn name(&self, column: &str, label: &str) -> bool {
        self.places(column, label).is_none_or(|places| !places.is_empty())
    }

    /// Where a column of a reference can stand; none if that cannot be said.
    pub(super) fn places(&self, column: &str, label: &str) -> Option<Vec<u32>> {
        let plain = !column.is_empty() && column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            return None;
        }
        let column = column.to_ascii_lowercase().into_bytes();
        let starts = self.0.windows(column.len()).enumerate().filter(|(_, part)| *part == column).map(|(at, _)| at);
        let means = |at: &usize| {
            let (before, behind) = (&self.0[..*at], &self.0[at + column.len()..]);
            let whole = !before.last().is_some_and(is_word) && !behind.first().is_some_and(is_word);
            whole && qualifier(before).is_none_or(|found| !is_another(found, label))
        };
        Some(starts.filter(means).map(|at| at as u32).collect())
    }
}

/// The name that qualifies the column before which these bytes stand, if there is one and it is plain to see.
fn qualifier(before: &[u8]) -> Option<&[u8]> {
    let before = before.strip_suffix(b"`").or(before.strip_suffix(b"\"")).unwrap_or(before);
    let name = before.trim_ascii_end().strip_suffix(b".")?.trim_ascii_end();
    let quote = *name.last()?;
    let found = if matches!(quote, b'`' | b'"') {
        let inner = &name[..name.len() - 1];
        &inner[inner.iter().rposition(|byte| *byte == quote)? + 1..]
    } else {
        &name[name.iter().rposition(|byte| !is_word(byte)).map_or(0, |at| at + 1)..]
    };
    (!found.is_empty() && found.iter().all(is_word)).then_some(found)
}

/// Whether a qualifier is certainly not this label: only ASCII compares alike under every collation of names.
fn is_another(qualifier: &[u8], label: &str) -> bool {
    qualifier.is_ascii() && label.is_ascii() && !qualifier.eq_ignore_ascii_case(label.as_bytes())
}

/// Whether a byte can be part of a name without quotes.
fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_meant_where_no_other_reference_has_it() {
        let at = |sql: &str, column: &str, label: &str| Words::of(sql.as_bytes()).places(column, label);
        let some = |places: &[u32]| Some(places.to_vec());
        assert_eq!(at("SELECT a.c, b.K FROM t a JOIN t b ON a.id = b.id", "k", "b"), some(&[14]));
        assert_eq!(at("SELECT a.c, b.K FROM t a JOIN t b ON a.id = b.id", "k", "a"), some(&[]));
        assert_eq!(at("SELECT k FROM t a JOIN u b USING (id)", "k", "a"), some(&[7]));
        assert_eq!(at("SELECT `b` . `k`, A.\"k\", s.a.k FROM x", "k", "a"), some(&[21, 29]));
        // Parts of longer names are others; what stands in a string may be meant all the same.
        assert_eq!(at("SELECT ok, k1, 'k', kä, $k, x'6b' FROM t", "k", "t"), some(&[16]));
        // What qualifies it is not plain to see, or may be the same to the server.
        assert_eq!(at("SELECT b/**/.k, `a b`.k, é.k FROM t", "k", "a"), some(&[13, 22, 28]));
        assert_eq!(at("SELECT b.k FROM t", "k", "É"), some(&[9]));
        assert_eq!(at("SELECT 1", "a b", "t"), None);
        assert!(Words::of(b"SELECT 1").name("a b", "t"));
    }
}
