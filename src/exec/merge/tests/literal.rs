//! What each operator does to literal rows. `---` stands between the rows of two shards.

use super::*;
use crate::plan::merge::{Comparison, Scalar, Test};

#[test]
fn without_an_order_rows_come_as_they_come() {
    let case = Case::new("id:int name:text", Merge::default());
    let sources = shards("1|a  2|b  ---  3|c  ---  ");
    for form in [RowForm::Text, RowForm::Binary] {
        let answer = case.run(&sources, form, &Arrival::Early).unwrap();
        assert_eq!(answer, rows("1|a  2|b  3|c"));
        let answer = case.run(&sources, form, &Arrival::Wanted).unwrap();
        assert_eq!(answer, rows("3|c  1|a  2|b"));
    }
}

#[test]
fn sorted_rows_stay_sorted() {
    Case::new("id:int name:text", by(&[asc(0)])).check("1|a  4|d  ---  2|b  5|e  ---  3|c", "1|a  2|b  3|c  4|d  5|e");
    Case::new("id:int name:text", by(&[desc(0)])).check("4|d  1|a  ---  5|e  2|b", "5|e  4|d  2|b  1|a");
}

#[test]
fn of_equal_rows_the_first_source_comes_first() {
    Case::new("id:int name:text", by(&[asc(0)]))
        .check("1|a  2|b  ---  1|c  1|d  2|e  ---  1|f", "1|a  1|c  1|d  1|f  2|b  2|e");
    Case::new("id:int name:text", by(&[desc(0)])).check("2|b  1|a  ---  2|e  1|c", "2|b  2|e  1|a  1|c");
}

#[test]
fn sources_may_be_empty_and_any_number() {
    let case = Case::new("id:int", by(&[asc(0)]));
    case.check("  ---    ---  ", "");
    case.check("  ---  1  ---  ", "1");
    case.check("1  2", "1  2");
    case.check("5  ---  4  ---  3  ---  2  ---  1  ---  6  ---  0", "0  1  2  3  4  5  6");
}

#[test]
fn null_comes_first_or_last_if_descending() {
    Case::new("id:int", by(&[asc(0)])).check("null  -1  ---  null  0", "null  null  -1  0");
    Case::new("id:int", by(&[desc(0)])).check("-1  null  ---  0  null", "0  -1  null  null");
    Case::new("id:null n:int", by(&[asc(0), asc(1)])).check("null|2  ---  null|1", "null|1  null|2");
}

#[test]
fn every_type_sorts_as_mysql_sorts_it() {
    for (ty, sources, expected) in [
        ("tiny", "-128  5  ---  -1  127", "-128  -1  5  127"),
        (
            "big",
            "-9223372036854775808  9223372036854775807  ---  -1  0",
            "-9223372036854775808  -1  0  9223372036854775807",
        ),
        ("ubig", "0  18446744073709551615  ---  9223372036854775808", "0  9223372036854775808  18446744073709551615"),
        ("year", "0000  2024  ---  1999", "0000  1999  2024"),
        ("dec2", "-10.50  9.99  ---  -9.50  10.00", "-10.50  -9.50  9.99  10.00"),
        (
            "dec30",
            "12345678901234567890123456789012345.678901234567890123456789012346  ---  \
             12345678901234567890123456789012345.678901234567890123456789012345",
            "12345678901234567890123456789012345.678901234567890123456789012345  \
             12345678901234567890123456789012345.678901234567890123456789012346",
        ),
        ("double", "-1e100  0.1  ---  -0.5  1e15", "-1e100  -0.5  0.1  1e15"),
        ("date", "0000-00-00  2024-02-29  ---  1999-12-31", "0000-00-00  1999-12-31  2024-02-29"),
        (
            "datetime",
            "2024-01-01 00:00:00.000001  2024-01-01 00:00:01  ---  0000-00-00 00:00:00  2024-01-01 00:00:00",
            "0000-00-00 00:00:00  2024-01-01 00:00:00  2024-01-01 00:00:00.000001  2024-01-01 00:00:01",
        ),
        (
            "time",
            "-838:59:59  00:00:00.500000  ---  -00:00:01  100:00:00  101:00:00",
            "-838:59:59  -00:00:01  00:00:00.500000  100:00:00  101:00:00",
        ),
        ("bit", "\0\x01  ---  \0\x02  a\0", "\0\x01  \0\x02  a\0"),
        ("bytes", "A  ab  ---  AA  a  b", "A  AA  a  ab  b"),
    ] {
        Case::new(&format!("x:{ty}"), by(&[asc(0)])).check(sources, expected);
        let reverse = |rows: &str| shards(rows).iter().map(|rows| reversed(rows)).collect::<Vec<_>>().join("  ---  ");
        Case::new(&format!("x:{ty}"), by(&[desc(0)])).check(&reverse(sources), &reverse(expected));
    }
}

fn reversed(rows: &[String]) -> String {
    rows.iter().rev().cloned().collect::<Vec<_>>().join("  ")
}

#[test]
fn strings_sort_by_their_weights_which_are_hidden() {
    let merge = Merge { hidden: 1, ..by(&[weighed(1, 0)]) };
    Case::new("id:int name:text weight:bytes", merge)
        .check("1|b|B  2|C|C  ---  5|null|null  3|A|A  4|c|C", "5|null  3|A  1|b  2|C  4|c");
}

#[test]
fn several_keys_count_one_after_the_other() {
    let merge = Merge { hidden: 2, ..by(&[weighed(0, 0), SortKey { desc: true, ..weighed(1, 1) }, asc(2)]) };
    Case::new("a:text b:text c:int wa:bytes wb:bytes", merge).check(
        "a|z|1|A|Z  A|y|1|A|Y  b|x|7|B|X  ---  a|zz|9|A|ZZ  a|z|0|A|Z  a|null|3|A|null",
        "a|zz|9  a|z|0  a|z|1  A|y|1  a|null|3  b|x|7",
    );
}

#[test]
fn a_window_skips_and_takes() {
    let case = || Case::new("id:int w:bytes", Merge { hidden: 1, ..by(&[asc(0)]) });
    let sources = "1|x  4|x  ---  2|x  5|x  ---  3|x";
    case().window(0, 2).check(sources, "1  2");
    case().window(1, 3).check(sources, "2  3  4");
    case().window(4, 9).check(sources, "5");
    case().window(5, 1).check(sources, "");
    case().window(9, 9).check(sources, "");
    case().window(0, 0).check(sources, "");
    case().window(0, u64::MAX).check(sources, "1  2  3  4  5");
    case().window(u64::MAX, u64::MAX).check(sources, "");
}

#[test]
fn a_full_window_wants_no_more_rows() {
    let case = Case::new("id:int", by(&[asc(0)])).window(0, 1);
    let mut merger = case.merger(2, RowForm::Text).unwrap();
    let mut out = Vec::new();
    assert_eq!((merger.next(&mut out), merger.want()), (Ok(Step::NeedInput), Want::One(0)));
    merger.row(0, &case.columns.encode("1", RowForm::Text)).unwrap();
    assert_eq!((merger.next(&mut out), merger.want()), (Ok(Step::NeedInput), Want::One(1)));
    merger.row(1, &case.columns.encode("2", RowForm::Text)).unwrap();
    assert_eq!((merger.next(&mut out), out.as_slice()), (Ok(Step::Row), &b"\x011"[..]));
    assert_eq!((merger.next(&mut out), merger.want()), (Ok(Step::Finished), Want::Nothing));
    assert_eq!(merger.row(1, b"\x013"), Ok(()));
}

#[test]
fn binary_rows_lose_the_null_bits_of_hidden_columns() {
    // Six columns and two unused bits fill one byte; the seventh begins another.
    for visible in 0..8 {
        let columns: String = (0..8).map(|n| format!("c{n}:tiny ")).collect();
        let merge = Merge { hidden: 8 - visible, ..Merge::default() };
        let row = "null|2|null|4|null|6|null|null";
        let expected: Vec<&str> = row.split('|').take(usize::from(visible)).collect();
        if visible > 0 {
            Case::new(&columns, merge).check(row, &expected.join("|"));
        }
    }
}

#[test]
fn of_equal_rows_one_stays() {
    let merge = Merge { hidden: 1, ..distinct(&[weighed(0, 0), asc(1)]) };
    Case::new("name:text n:int w:bytes", merge)
        .check("a|1|A  b|1|B  b|2|B  ---  null|1|null  A|1|A  B|2|B  ---  null|1|null", "null|1  a|1  b|1  b|2");
}

#[test]
fn a_source_that_goes_back_is_an_error_where_groups_would_split() {
    let split = "1  3  2  ---  2";
    Case::new("id:int", distinct(&[asc(0)])).check_error(split, 1235, "max_sort_length");
    Case::new("id:int", fold(&[asc(0)], &[Aggregate::Any])).check_error(split, 1235, "max_sort_length");
    Case::new("id:int", by(&[asc(0)])).check(split, "1  2  3  2");
}

#[test]
fn aggregates_are_folded_by_group() {
    let columns = "city:text n:big total:dec2 least:int most:double w:bytes";
    let aggregates = [
        Aggregate::Any,
        Aggregate::Sum,
        Aggregate::Sum,
        Aggregate::Min(asc(3)),
        Aggregate::Max(asc(4)),
        Aggregate::Any,
    ];
    let merge = Merge { hidden: 1, ..fold(&[weighed(0, 0)], &aggregates) };
    let case = Case::new(columns, merge);
    case.check(
        "Bonn|2|1.50|-3|0.5|BONN  Köln|1|null|null|null|KOLN  ---  null|1|9.00|1|1|null  bonn|3|0.25|-5|0.25|BONN",
        "null|1|9.00|1|1  Bonn|5|1.75|-5|0.5  Köln|1|null|null|null",
    );
    case.check("", "");
    case.check("Köln|1|null|null|null|KOLN  ---  KÖLN|1|-1.00|null|-2.5|KOLN", "Köln|2|-1.00|null|-2.5");
}

#[test]
fn without_keys_all_rows_become_one() {
    let case = Case::new("n:big total:dec", fold(&[], &[Aggregate::Sum, Aggregate::Sum]));
    case.check("2|10  ---  0|null  ---  1|-3", "3|7");
    case.check("0|null  ---  0|null", "0|null");
    case.check("  ---  ", "");
}

#[test]
fn sums_are_exact_to_65_digits_and_no_further() {
    let case = Case::new("x:dec", fold(&[], &[Aggregate::Sum]));
    let nines = "9".repeat(65);
    case.check(&format!("{nines}  ---  -1"), &format!("{}8", "9".repeat(64)));
    case.check_error(&format!("{nines}  ---  1"), 1690, "DECIMAL");
    let case = Case::new("n:big", fold(&[], &[Aggregate::Sum]));
    case.check("9223372036854775806  ---  1", "9223372036854775807");
    case.check_error("9223372036854775807  ---  1", 1690, "BIGINT");
}

#[test]
fn sums_of_doubles_are_doubles() {
    let case = Case::new("x:double", fold(&[], &[Aggregate::Sum]));
    case.check("0.1  ---  0.2", "0.30000000000000004");
    case.check("1e15  ---  1", "1.000000000000001e15");
    case.check_error("1.7e308  ---  1.7e308", 1690, "DOUBLE");
}

#[test]
fn the_least_and_greatest_string_is_that_of_its_weight() {
    let min = |item, hidden| Aggregate::Min(SortKey { weight: Some(Cell::Hidden(hidden)), ..asc(item) });
    let max = |item, hidden| Aggregate::Max(SortKey { weight: Some(Cell::Hidden(hidden)), ..asc(item) });
    let merge = Merge { hidden: 2, ..fold(&[], &[min(0, 0), max(1, 1), Aggregate::Any, Aggregate::Any]) };
    Case::new("a:text b:text wa:bytes wb:bytes", merge)
        .check("b|b|B|B  ---  A|c|A|C  ---  a|C|A|C  ---  null|null|null|null", "A|c");
}

#[test]
fn the_winner_is_shown_with_all_that_belongs_to_it() {
    // As plans do it: the weight alone is compared, and goes the way of the value.
    let by_weight = SortKey { value: Cell::Hidden(0), weight: None, pad: None, desc: false };
    let max = Aggregate::Max(by_weight);
    let merge = Merge { hidden: 1, sort: [by_weight].into(), ..fold(&[asc(0)], &[Aggregate::Any, max.clone(), max]) };
    let case = Case::new("id:int name:text weight:bytes", merge);
    case.check("1|b|B  2|a|A  ---  1|C|C  2|A|A  3|null|null", "3|null  2|a  1|C");
    case.check_error("1|b|null", 1235, "max_allowed_packet");
}

#[test]
fn any_cell_is_one_that_is_not_null() {
    let case = Case::new("id:int name:text", fold(&[asc(0)], &[Aggregate::Any, Aggregate::Any]));
    case.check("1|null  2|null  3|a  ---  1|b  2|null  3|c  ---  1|d", "1|b  2|null  3|a");
}

#[test]
fn extremes_look_at_what_is_shown() {
    for (ty, sources, least, greatest) in [
        ("tiny", "-5  ---  7", "-5", "7"),
        ("date", "2024-01-01  ---  1999-01-01", "1999-01-01", "2024-01-01"),
        ("time", "-01:00:00  ---  -02:00:00", "-02:00:00", "-01:00:00"),
        ("bytes", "b  ---  ab", "ab", "b"),
        ("float", "1.5  ---  -2.5", "-2.5", "1.5"),
        ("dec2", "10.00  ---  9.00", "9.00", "10.00"),
    ] {
        Case::new(&format!("x:{ty}"), fold(&[], &[Aggregate::Min(asc(0))])).check(sources, least);
        Case::new(&format!("x:{ty}"), fold(&[], &[Aggregate::Max(asc(0))])).check(sources, greatest);
        Case::new(&format!("x:{ty}"), fold(&[], &[Aggregate::Max(asc(0))])).check("null  ---  null", "null");
    }
}

#[test]
fn bits_are_combined() {
    let case = Case::new("a:ubig o:ubig x:ubig", fold(&[], &[Aggregate::BitAnd, Aggregate::BitOr, Aggregate::BitXor]));
    case.check("6|6|6  ---  3|3|3  ---  18446744073709551615|0|0", "2|7|5");
    case.check("18446744073709551615|0|0  ---  18446744073709551615|0|0", "18446744073709551615|0|0");
    Case::new("a:bytes", fold(&[], &[Aggregate::BitAnd])).check_error("x", 1235, "cannot be computed with");
}

/// Columns: the average, then hidden SUM and COUNT.
fn average(ty: &str) -> Case {
    let average = Aggregate::Average { sum: Cell::Hidden(0), count: Cell::Hidden(1) };
    let merge = Merge { hidden: 2, ..fold(&[], &[average, Aggregate::Sum, Aggregate::Sum]) };
    let sum = if ty == "double" { "double" } else { "dec2" };
    Case::new(&format!("avg:{ty} sum:{sum} n:big"), merge)
}

#[test]
fn averages_are_computed_from_sums_and_counts() {
    average("dec6").check("9.000000|2.00|1  ---  9.000000|0.00|2", "0.666667");
    average("dec6").check("9.000000|-2.00|1  ---  9.000000|0.00|2", "-0.666667");
    average("dec6").check("null|null|0  ---  1.000000|1.00|1", "1.000000");
    average("dec6").check("null|null|0  ---  null|null|0", "null");
    average("double").check("9|1|1  ---  9|1|2", "0.6666666666666666");
    average("double").check("null|null|0", "null");
}

fn item(item: u16) -> Scalar {
    Scalar::Cell(Cell::Item(item))
}

fn number(index: u32) -> Scalar {
    Scalar::Slot(Slot::Literal { index, negative: false })
}

fn tenths(index: u16) -> Scalar {
    Scalar::Slot(Slot::Param { index, negative: false })
}

/// The expression over a sum, a count and an unsigned maximum, in a column of the given type.
fn computed(ty: &str, scalar: Scalar) -> Case {
    let aggregates = [Aggregate::Sum, Aggregate::Sum, Aggregate::Max(asc(2)), Aggregate::Compute(scalar)];
    Case::new(&format!("sum:dec2 n:big most:ubig x:{ty}"), fold(&[], &aggregates))
}

#[test]
fn expressions_are_computed_from_folded_cells() {
    let pair = |a, b| Box::new([a, b]);
    let sources = "1.50|2|7|0  ---  0.25|3|9|0";
    let x = |case: Case| case.answer(sources).unwrap()[0].rsplit('|').next().unwrap().to_owned();
    assert_eq!(x(computed("big", Scalar::Add(pair(item(1), number(1))))), "6");
    assert_eq!(x(computed("big", Scalar::Negate(Box::new(item(1))))), "-5");
    assert_eq!(x(computed("dec2", Scalar::Subtract(pair(item(0), item(1))))), "-3.25");
    assert_eq!(x(computed("dec6", Scalar::Multiply(pair(item(0), tenths(15))))), "2.625000");
    assert_eq!(x(computed("ubig", Scalar::Add(pair(item(2), item(1))))), "14");
    assert_eq!(x(computed("double", Scalar::Add(pair(item(0), item(1))))), "6.75");
    assert_eq!(x(computed("double2", Scalar::Add(pair(item(0), item(1))))), "6.75");
    assert_eq!(x(computed("double2", item(1))), "5.00");
}

#[test]
fn a_null_operand_leaves_the_cell_of_any_target() {
    let case = computed("dec2", Scalar::Add(Box::new([item(0), number(1)])));
    case.check("null|0|7|-1.00  ---  null|0|8|-1.00", "null|0|8|-1.00");
    case.check("null|0|7|null  ---  2.00|1|8|3.00", "2.00|1|8|3.00");
}

#[test]
fn a_result_outside_of_its_type_is_an_error() {
    let pair = |a, b| Box::new([a, b]);
    let most = "0.00|9223372036854775807|18446744073709551615|0";
    for scalar in [Scalar::Add(pair(item(1), number(1))), Scalar::Multiply(pair(item(1), number(2)))] {
        computed("big", scalar).check_error(most, 1690, "BIGINT");
    }
    computed("ubig", Scalar::Add(pair(item(2), number(1)))).check_error(most, 1690, "BIGINT UNSIGNED");
    computed("ubig", Scalar::Subtract(pair(number(1), item(2)))).check_error(most, 1690, "BIGINT UNSIGNED");
    // Inside of an expression too, though the whole would fit.
    let inner = Scalar::Add(pair(item(1), number(1)));
    computed("big", Scalar::Subtract(pair(inner, number(1)))).check_error(most, 1690, "BIGINT");
    // One unsigned operand makes the result unsigned, and gives it that range.
    let sum = Scalar::Add(pair(item(2), item(1)));
    computed("ubig", Scalar::Subtract(pair(sum, number(1))))
        .check("0.00|1|9223372036854775807|0", "0.00|1|9223372036854775807|9223372036854775807");
    // With NO_UNSIGNED_SUBTRACTION the server calls the result signed.
    computed("big", Scalar::Subtract(pair(number(1), item(2)))).check("0.00|0|3|-2", "0.00|0|3|-2");
}

/// HAVING over a count and a sum.
fn having(test: Test) -> Case {
    let aggregates = [Aggregate::Any, Aggregate::Sum, Aggregate::Sum];
    Case::new("id:int n:big sum:dec2", Merge { having: Some(test), ..fold(&[asc(0)], &aggregates) })
}

#[test]
fn having_keeps_what_is_true() {
    let groups = "1|1|1.50  2|2|null  3|5|-1.00  ---  1|1|0.50  3|5|0.00";
    let compare = |comparison, a, b| Test::Compare(comparison, a, b);
    let many = || compare(Comparison::Gt, item(1), number(2));
    let few = || compare(Comparison::Lt, item(1), number(9));
    let positive = || compare(Comparison::Ge, item(2), tenths(5));
    for (test, expected) in [
        (many(), "3|10|-1.00"),
        (compare(Comparison::Eq, item(1), number(2)), "1|2|2.00  2|2|null"),
        (compare(Comparison::Ne, item(2), number(2)), "3|10|-1.00"),
        (compare(Comparison::Lt, item(2), item(1)), "3|10|-1.00"),
        (compare(Comparison::Le, item(2), item(1)), "1|2|2.00  3|10|-1.00"),
        (positive(), "1|2|2.00"),
        (Test::Not(Box::new(positive())), "3|10|-1.00"),
        (Test::IsNull(item(2)), "2|2|null"),
        (Test::Not(Box::new(Test::IsNull(item(2)))), "1|2|2.00  3|10|-1.00"),
        (Test::And([positive(), many()].into()), ""),
        (Test::Or([positive(), many()].into()), "1|2|2.00  3|10|-1.00"),
        // NULL AND TRUE is not true, and neither is NOT (NULL OR FALSE).
        (Test::And([positive(), few()].into()), "1|2|2.00"),
        (Test::Not(Box::new(Test::Or([positive(), many()].into()))), ""),
        (Test::Or([positive(), Test::IsNull(item(2))].into()), "1|2|2.00  2|2|null"),
        (Test::Not(Box::new(Test::And([positive(), many()].into()))), "1|2|2.00  2|2|null  3|10|-1.00"),
        (Test::Cell(Cell::Item(2)), "1|2|2.00  3|10|-1.00"),
        (compare(Comparison::Eq, item(1), Scalar::Slot(Slot::Null)), ""),
    ] {
        having(test).check(groups, expected);
    }
}

#[test]
fn having_an_average_does_not_depend_on_its_rounding() {
    let average = Aggregate::Average { sum: Cell::Hidden(0), count: Cell::Hidden(1) };
    let above = |tenths_of: u16| Test::Compare(Comparison::Gt, item(0), tenths(tenths_of));
    let case = |test| {
        let merge =
            Merge { hidden: 2, having: Some(test), ..fold(&[], &[average.clone(), Aggregate::Sum, Aggregate::Sum]) };
        Case::new("avg:dec2 sum:dec2 n:big", merge)
    };
    // 2/3 is shown as 0.67, and is above 0.6 in any case.
    case(above(6)).check("0|2.00|3", "0.67");
    case(above(7)).check("0|2.00|3", "");
    // 0.002 is shown as 0.00: whether that is above 0 is decided by rounding.
    case(above(0)).check_error("0|0.02|10", 1235, "AVG");
    let merge = fold(&[], &[average.clone(), Aggregate::Sum, Aggregate::Sum, Aggregate::Compute(item(0))]);
    Case::new("avg:dec2 sum:dec2 n:big x:dec2", Merge { hidden: 3, ..merge }).check_error("0|1.00|1|0", 1235, "AVG");
}

#[test]
fn a_sort_holds_rows_and_gives_those_of_the_window() {
    let merge = Merge { sort: [desc(1), asc(0)].into(), ..fold(&[asc(0)], &[Aggregate::Any, Aggregate::Sum]) };
    let case = || Case::new("id:int n:big", merge.clone());
    let sources = "1|5  2|1  4|9  ---  1|1  3|6  4|1";
    case().check(sources, "4|10  1|6  3|6  2|1");
    case().window(1, 2).check(sources, "1|6  3|6");
    case().window(0, 1).check(sources, "4|10");
    case().window(4, 1).check(sources, "");
}

#[test]
fn what_cannot_be_compared_exactly_is_refused() {
    for (ty, message) in [("text", "weights"), ("enum", "no order"), ("json", "no order")] {
        Case::new(&format!("x:{ty}"), by(&[asc(0)])).check_error("a", 1235, message);
        Case::new(&format!("x:{ty}"), fold(&[], &[Aggregate::Min(asc(0))])).check_error("a", 1235, message);
    }
    for (ty, message) in [("float", "fewer digits"), ("double2", "fewer digits")] {
        let case = Case::new(&format!("x:{ty}"), by(&[asc(0)]));
        let error = case.merger(1, RowForm::Text).unwrap_err();
        assert!(error.errno == 1235 && error.message.contains(message) && error.message.contains("'x'"), "{error}");
        assert!(case.merger(1, RowForm::Binary).is_ok());
    }
    assert!(Case::new("x:double2", fold(&[], &[Aggregate::Sum])).merger(1, RowForm::Text).is_err());
    assert!(Case::new("x:text", fold(&[], &[Aggregate::Sum])).merger(1, RowForm::Binary).is_err());
}

#[test]
fn a_string_without_its_weight_is_refused() {
    let merge = Merge { hidden: 1, ..by(&[weighed(0, 0)]) };
    Case::new("name:text w:bytes", merge).check_error("a|A  b|null", 1235, "max_allowed_packet");
}

#[test]
fn plan_and_columns_must_agree() {
    for merge in [
        by(&[asc(1)]),
        Merge { hidden: 2, ..Merge::default() },
        by(&[SortKey { value: Cell::Hidden(0), weight: None, pad: None, desc: false }]),
        fold(&[], &[Aggregate::Any, Aggregate::Any]),
        Merge { combine: Combine::Distinct([asc(0)].into()), ..Merge::default() },
        Merge {
            order: [desc(0)].into(),
            ..fold(&[], &[Aggregate::Average { sum: Cell::Item(0), count: Cell::Item(0) }])
        },
    ] {
        Case::new("x:dec", merge).check_error("1", 1105, "other columns");
    }
    let weight = SortKey { weight: Some(Cell::Item(1)), ..asc(0) };
    Case::new("x:text w:int", by(&[weight])).check_error("1|1", 1105, "other columns");
    // The weight of any row is not that of the least value.
    let aggregates = [Aggregate::Min(weight), Aggregate::Any];
    Case::new("x:text w:bytes", Merge { sort: [weight].into(), ..fold(&[], &aggregates) }).check_error(
        "a|A",
        1105,
        "other columns",
    );
}

#[test]
fn malformed_rows_are_errors() {
    for (case, form, row) in [
        (Case::new("a:int b:int", by(&[asc(1)])), RowForm::Text, &b"\x011"[..]),
        (Case::new("a:int b:int", by(&[asc(1)])), RowForm::Text, b"\x011\x021"),
        (Case::new("a:int b:int", by(&[asc(1)])), RowForm::Text, b"\x011\x01x"),
        (Case::new("a:int b:int", by(&[asc(1)])), RowForm::Text, b"\x011\x012\x013"),
        (Case::new("a:int b:int", by(&[asc(1)])), RowForm::Text, b"\x011\xFF"),
        (Case::new("a:int", by(&[asc(0)])), RowForm::Binary, b""),
        (Case::new("a:int", by(&[asc(0)])), RowForm::Binary, b"\0\0\x01\0\0"),
        (Case::new("a:date", by(&[asc(0)])), RowForm::Binary, b"\0\0\x03\0\0\0"),
        (Case::new("a:dec", by(&[asc(0)])), RowForm::Binary, b"\0\0\x03abc"),
        (Case::new("a:dec", fold(&[], &[Aggregate::Sum])), RowForm::Text, b"\x03abc"),
    ] {
        let mut merger = case.merger(1, form).unwrap();
        merger.row(0, row).unwrap();
        let error = merger.next(&mut Vec::new()).unwrap_err();
        assert!(error.errno == 1835 && error.message.contains("malformed"), "{row:?} {error}");
    }
}

#[test]
fn rows_that_must_wait_are_bounded_in_bytes() {
    let case = Case { budget: 100, ..Case::new("id:int", by(&[asc(0)])) };
    let mut merger = case.merger(2, RowForm::Text).unwrap();
    let row = case.columns.encode("1", RowForm::Text);
    for _ in 0..16 {
        merger.row(1, &row).unwrap();
    }
    let error = merger.row(1, &row).unwrap_err();
    assert!(error.errno == 1235 && error.message.contains("100 bytes") && error.message.contains("LIMIT"), "{error}");
}

#[test]
fn a_sort_is_bounded_in_bytes_but_a_limit_lifts_the_bound() {
    let merge = Merge { sort: [desc(0)].into(), ..by(&[asc(0)]) };
    let sources = (0..2000).map(|n| n.to_string()).collect::<Vec<_>>().join("  ");
    let case = Case { budget: 50_000, ..Case::new("id:int", merge) };
    let run = |case: Case| case.run(&shards(&sources), RowForm::Text, &Arrival::Wanted);
    let error = run(case.clone()).err().unwrap();
    assert!(error.errno == 1235 && error.message.contains("50000 bytes"), "{error}");
    assert_eq!(run(case.window(2, 2)).unwrap(), rows("1997  1996"));
}
