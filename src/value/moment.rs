//! DATE and DATETIME as MySQL stores them: the parts as written, zero dates and days like 30 February included.
//! It knows no time zone, hence no TIMESTAMP.

/// A date with a time of day. The order of the fields is MySQL's order of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12; 0 in dates like `2024-00-00`.
    pub month: u8,
    /// 0 to 31; 0 likewise.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
}

impl Moment {
    /// Midnight of a day.
    pub fn date(year: u16, month: u8, day: u8) -> Moment {
        Moment { year, month, day, ..Moment::default() }
    }

    /// `YYYY-MM-DD`, or `YYYY-MM-DD hh:mm:ss` with up to six digits of a second: the form MySQL itself prints.
    /// The many other forms that MySQL reads are none here.
    pub fn parse(text: &[u8]) -> Option<Moment> {
        let (date, time) = match text.len() {
            10 => (text, None),
            19.. if text[10] == b' ' => (&text[..10], Some(&text[11..])),
            _ => return None,
        };
        let (year, month, day) = match date {
            [y @ .., b'-', m1, m2, b'-', d1, d2] => (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?),
            _ => return None,
        };
        let mut moment = Moment::date(year as u16, month as u8, day as u8);
        if let Some([h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..]) = time {
            moment.hour = number(&[*h1, *h2])? as u8;
            moment.minute = number(&[*m1, *m2])? as u8;
            moment.second = number(&[*s1, *s2])? as u8;
            moment.micros = match rest {
                [] => 0,
                [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
                    number(digits)? * 10u32.pow(6 - digits.len() as u32)
                }
                _ => return None,
            };
        } else if time.is_some() {
            return None;
        }
        moment.is_possible().then_some(moment)
    }

    /// Whether MySQL could store it with the most lenient sql_mode.
    pub fn is_possible(self) -> bool {
        self.year <= 9999
            && self.month <= 12
            && self.day <= 31
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 59
            && self.micros <= 999_999
    }

    /// Whether it is a day that the calendar has: then no sql_mode changes its meaning.
    pub fn is_calendar_day(self) -> bool {
        self.month >= 1 && self.day >= 1 && self.day <= days_in_month(i32::from(self.year), self.month)
    }

    /// Whether its time of day is 00:00:00.
    pub fn is_midnight(self) -> bool {
        (self.hour, self.minute, self.second, self.micros) == (0, 0, 0, 0)
    }

    /// Whether `fsp` digits of a second's fraction are enough for it.
    pub fn fits(self, fsp: u8) -> bool {
        self.micros.is_multiple_of(10u32.pow(6 - u32::from(fsp).min(6)))
    }

    /// Year (-1 to 9999), month and day of the nearest day of the calendar: 30 February is the last of February,
    /// `2024-02-00` the last of January, `2024-00-00` the last of 2023. A later moment never has an earlier day.
    pub fn calendar(self) -> (i32, u8, u8) {
        let year = i32::from(self.year);
        match (self.month, self.day) {
            (0, _) | (1, 0) => (year - 1, 12, 31),
            (month, 0) => (year, month - 1, days_in_month(year, month - 1)),
            (month, day) => (year, month, day.min(days_in_month(year, month))),
        }
    }

    /// Days since 1970-01-01 (negative before) of the [`calendar`](Moment::calendar) day.
    pub fn day_number(self) -> i64 {
        let (year, month, day) = self.calendar();
        // Years begin in March, so that the leap day is the last.
        let year = i64::from(year) - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Appends `YYYY-MM-DD`, with ` hh:mm:ss` if it is not midnight, with `.ffffff` if there is a fraction.
    pub fn write(self, out: &mut Vec<u8>) {
        digits(u32::from(self.year), 4, out);
        for part in [self.month, self.day] {
            out.push(b'-');
            digits(u32::from(part), 2, out);
        }
        if self.is_midnight() {
            return;
        }
        for (mark, part) in [(b' ', self.hour), (b':', self.minute), (b':', self.second)] {
            out.push(mark);
            digits(u32::from(part), 2, out);
        }
        if self.micros != 0 {
            out.push(b'.');
            digits(self.micros, 6, out);
        }
    }
}

/// How many days a month has; the month is 1 to 12.
pub fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn digits(value: u32, width: u32, out: &mut Vec<u8>) {
    out.extend((0..width).rev().map(|place| b'0' + (value / 10u32.pow(place) % 10) as u8));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let moment = Moment::parse(text.as_bytes())?;
        let mut out = Vec::new();
        moment.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_form_that_mysql_prints() {
        for text in [
            "2024-02-29",
            "0000-00-00",
            "2024-00-00",
            "2023-02-30",
            "2024-01-01 00:00:01",
            "2024-01-01 23:59:59.000001",
        ] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        assert_eq!(shown("2024-01-01 00:00:00").as_deref(), Some("2024-01-01"));
        assert_eq!(shown("2024-01-01 10:00:00.5").as_deref(), Some("2024-01-01 10:00:00.500000"));
        for text in [
            "2024-1-1",
            "24-01-01",
            "20240101",
            "2024-13-01",
            "2024-01-32",
            "2024-01-01T00:00:00",
            "2024-01-01 24:00:00",
            "2024-01-01 00:00:00.1234567",
            "2024-01-01 00:00:00+00:00",
            "2024-01-01 10:00",
            "2024-01-01 ",
            "",
            "２０２４-01",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_numbered_without_gaps() {
        assert_eq!(Moment::date(1970, 1, 1).day_number(), 0);
        assert_eq!(Moment::date(2000, 3, 1).day_number(), 11_017);
        assert_eq!(Moment::date(0, 1, 1).day_number(), -719_528);
        let mut expected = -719_528;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(i32::from(year), month) {
                    assert_eq!(Moment::date(year, month, day).day_number(), expected);
                    expected += 1;
                }
            }
        }
        assert_eq!(Moment::date(2023, 2, 30).day_number(), Moment::date(2023, 2, 28).day_number());
        assert_eq!(Moment::date(2023, 3, 0).day_number(), Moment::date(2023, 2, 28).day_number());
        assert_eq!(Moment::date(2023, 0, 7).day_number(), Moment::date(2022, 12, 31).day_number());
    }
}
