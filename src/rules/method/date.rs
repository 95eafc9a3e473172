//! `date`: one part for each day, week, month, quarter or year, in a fixed range of time or over and over again.

use std::ops::Bound;

use crate::rules::shards::Shards;
use crate::value::Key;
use crate::value::moment::Moment;

/// The length of time that has one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Day,
    /// Seven days, from Monday on.
    Week,
    /// A month.
    Month,
    /// Three months, from January, April, July or October on.
    Quarter,
    /// A year.
    Year,
}

/// Periods of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub(crate) period: Period,
    pub(crate) span: DateSpan,
}

/// Which periods there are; all counted by [`Period::number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateSpan {
    /// From the first one to before the last one; what lies outside is in the part at that end, if that is open.
    Fixed {
        /// The first period.
        first: i64,
        /// The one behind the last.
        end: i64,
        /// Earlier moments are in the first part.
        open_below: bool,
        /// Later ones in the last part.
        open_above: bool,
    },
    /// All of them: number n is in part n modulo this.
    Recurring(u32),
}

impl Period {
    /// How many periods lie between a moment and 1970-01-01 (a week: Monday 1969-12-29); years and months since year 0.
    pub fn number(self, moment: Moment) -> i64 {
        let (year, month, _) = moment.calendar();
        let (year, month) = (i64::from(year), i64::from(month) - 1);
        match self {
            Period::Day => moment.day_number(),
            Period::Week => (moment.day_number() + 3).div_euclid(7),
            Period::Month => year * 12 + month,
            Period::Quarter => year * 4 + month / 3,
            Period::Year => year,
        }
    }

    /// Whether a day is the first of a period.
    pub fn begins(self, day: Moment) -> bool {
        match self {
            Period::Day => true,
            Period::Week => (day.day_number() + 3).rem_euclid(7) == 0,
            Period::Month => day.day == 1,
            Period::Quarter => day.day == 1 && day.month % 3 == 1,
            Period::Year => (day.month, day.day) == (1, 1),
        }
    }
}

impl Dates {
    /// How many parts there are.
    pub(crate) fn parts(&self) -> u32 {
        match self.span {
            DateSpan::Fixed { first, end, .. } => (end - first) as u32,
            DateSpan::Recurring(parts) => parts,
        }
    }

    /// The part of a key; none if it lies outside or is no date. NULL is as early as can be.
    pub(crate) fn route(&self, key: &Key) -> Option<u32> {
        match key {
            Key::Null => self.part(self.period.number(Moment::default())),
            Key::Moment(moment) => self.part(self.period.number(*moment)),
            _ => None,
        }
    }

    /// The parts that keys in a range can be in.
    pub(crate) fn route_range(&self, low: Bound<&Key>, high: Bound<&Key>) -> Shards {
        let number = |bound: Bound<&Key>, open: i64| match bound {
            Bound::Unbounded => Some(open),
            Bound::Included(Key::Moment(moment)) | Bound::Excluded(Key::Moment(moment)) => {
                Some(self.period.number(*moment))
            }
            _ => None,
        };
        // Before the first moment of a period lies the period before it.
        let excluded = matches!(high, Bound::Excluded(Key::Moment(moment))
            if self.period.begins(*moment) && moment.is_calendar_day() && moment.is_midnight());
        let (Some(start), Some(end)) = (number(low, i64::MIN), number(high, i64::MAX)) else {
            return Shards::all(self.parts());
        };
        let end = end - i64::from(excluded);
        if start > end {
            return Shards::none();
        }
        match self.span {
            DateSpan::Fixed { first, end: behind, open_below, open_above } => {
                let last = behind - 1;
                if (start > last && !open_above) || (end < first && !open_below) {
                    return Shards::none();
                }
                let (low, high) = (start.clamp(first, last), end.clamp(first, last));
                Shards::span((low - first) as u32, (high - first + 1) as u32)
            }
            DateSpan::Recurring(parts) if end.saturating_sub(start) >= i64::from(parts) - 1 => Shards::all(parts),
            DateSpan::Recurring(_) => (start..=end).filter_map(|number| self.part(number)).collect(),
        }
    }

    fn part(&self, number: i64) -> Option<u32> {
        match self.span {
            DateSpan::Recurring(parts) => Some(number.rem_euclid(i64::from(parts)) as u32),
            DateSpan::Fixed { first, open_below: true, .. } if number < first => Some(0),
            DateSpan::Fixed { first, end, open_above: true, .. } if number >= end => Some((end - first - 1) as u32),
            DateSpan::Fixed { first, end, .. } => (first..end).contains(&number).then_some((number - first) as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key {
        Key::Moment(Moment::parse(text.as_bytes()).unwrap())
    }

    fn fixed(period: Period, from: &str, to: &str, open: bool) -> Dates {
        let number = |text: &str| period.number(Moment::parse(text.as_bytes()).unwrap());
        let span = DateSpan::Fixed { first: number(from), end: number(to), open_below: open, open_above: open };
        Dates { period, span }
    }

    /// Frozen: these decide where data lies.
    #[test]
    fn vectors() {
        let months = fixed(Period::Month, "2024-01-01", "2025-01-01", false);
        assert_eq!(months.parts(), 12);
        for (text, part) in [
            ("2023-12-31 23:59:59.999999", None),
            ("2024-01-01", Some(0)),
            ("2024-02-29 12:00:00", Some(1)),
            ("2024-12-31 23:59:59", Some(11)),
            ("2025-01-01", None),
            ("0000-00-00", None),
        ] {
            assert_eq!(months.route(&key(text)), part, "{text}");
        }
        let open = fixed(Period::Quarter, "2024-01-01", "2025-01-01", true);
        assert_eq!(open.route(&key("1999-01-01")), Some(0));
        assert_eq!(open.route(&key("2024-07-01")), Some(2));
        assert_eq!(open.route(&key("2031-01-01")), Some(3));
        assert_eq!(open.route(&Key::Null), Some(0));
        for (period, parts, text, part) in [
            (Period::Day, 366, "1970-01-01", 0),
            (Period::Day, 7, "2024-02-29", 0),
            (Period::Week, 53, "1969-12-29", 0),
            (Period::Week, 53, "2024-02-29", 17),
            (Period::Month, 12, "2024-01-31", 0),
            (Period::Month, 12, "2031-12-01", 11),
            (Period::Quarter, 4, "2024-04-01", 1),
            (Period::Year, 10, "2024-01-01", 4),
        ] {
            let dates = Dates { period, span: DateSpan::Recurring(parts) };
            assert_eq!(dates.route(&key(text)), Some(part), "{period:?} {text}");
        }
    }

    #[test]
    fn ranges_end_where_a_period_begins() {
        let months = fixed(Period::Month, "2024-01-01", "2025-01-01", false);
        let (low, high) = (key("2024-03-01"), key("2024-05-01"));
        assert_eq!(months.route_range(Bound::Included(&low), Bound::Excluded(&high)).to_string(), "2-3");
        assert_eq!(months.route_range(Bound::Included(&low), Bound::Included(&high)).to_string(), "2-4");
        assert_eq!(months.route_range(Bound::Unbounded, Bound::Excluded(&low)).to_string(), "0-1");
        assert_eq!(months.route_range(Bound::Included(&high), Bound::Unbounded).to_string(), "4-11");
        assert_eq!(months.route_range(Bound::Included(&high), Bound::Included(&low)), Shards::none());
        let late = key("2030-01-01");
        assert_eq!(months.route_range(Bound::Included(&late), Bound::Unbounded), Shards::none());
    }

    fn any_moment() -> impl Strategy<Value = Moment> {
        (2022u16..2027, 0u8..=12, 0u8..=31, 0u8..24)
            .prop_map(|(year, month, day, hour)| Moment { hour: hour % 3, ..Moment::date(year, month, day) })
    }

    proptest! {
        #[test]
        fn a_range_has_the_parts_of_its_keys(
            period in prop::sample::select(vec![Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year]),
            recurring: bool, open: (bool, bool), exclude: (bool, bool), low in any_moment(), high in any_moment(),
            inside in prop::collection::vec(any_moment(), 50),
        ) {
            let first = period.number(Moment::date(2024, 1, 1));
            let end = period.number(Moment::date(2025, 1, 6));
            let span = if recurring { DateSpan::Recurring(5) } else {
                DateSpan::Fixed { first, end: end.max(first + 1), open_below: open.0, open_above: open.1 }
            };
            let dates = Dates { period, span };
            let (low_key, high_key) = (Key::Moment(low), Key::Moment(high));
            let low_bound = if exclude.0 { Bound::Excluded(&low_key) } else { Bound::Included(&low_key) };
            let high_bound = if exclude.1 { Bound::Excluded(&high_key) } else { Bound::Included(&high_key) };
            let found = dates.route_range(low_bound, high_bound);
            for moment in inside.into_iter().chain([low, high]) {
                let in_range = (moment > low || (moment == low && !exclude.0)) && (moment < high || (moment == high && !exclude.1));
                if let (true, Some(part)) = (in_range, dates.route(&Key::Moment(moment))) {
                    prop_assert!(found.contains(part), "{:?} is in part {}, not in {}", moment, part, found);
                }
            }
        }
    }
}
