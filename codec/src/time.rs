//! Times as SMPP writes them: `YYMMDDhhmmsstnnp`. SMPP 3.4 §7.1.1.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::octets::COctets;

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not 16 characters (or the 12 of a time that an SMSC reports).
    #[error("a time has 16 characters")]
    Length,
    /// A letter where a digit must be, or a direction that is not `+`, `-` or `R`.
    #[error("a time is digits and ends with +, - or R")]
    Digits,
    /// No such month, day, hour, minute, second or offset.
    #[error("no such date or time of day")]
    Range,
}

/// A time in a PDU: a moment, or a span from the SMSC's present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Time {
    /// A moment, §7.1.1.1.
    Absolute(AbsoluteTime),
    /// A span, §7.1.1.2.
    Relative(RelativeTime),
}

/// A moment in local time with its offset from UTC. Two digits of year reach from 1938 to 2037.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AbsoluteTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    tenth: u8,
    /// Local time minus UTC in quarters of an hour, -48 to 48.
    offset: i8,
}

/// A span, each part 0 to 99. The standard does not say how long a month is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RelativeTime {
    /// Years.
    pub years: u8,
    /// Months.
    pub months: u8,
    /// Days.
    pub days: u8,
    /// Hours.
    pub hours: u8,
    /// Minutes.
    pub minutes: u8,
    /// Seconds.
    pub seconds: u8,
}

const SECONDS_IN_DAY: i64 = 86_400;
const SECONDS_IN_QUARTER: i64 = 900;
/// Two digits from this on are of the last century (SMPP 5.0 §4.7.23.4).
const LAST_CENTURY: u8 = 38;
const FIRST_YEAR: u16 = 1938;
const LAST_YEAR: u16 = 2037;

impl Time {
    /// Reads a time field; `None` for the empty field, which means now or the default.
    pub fn of(field: &COctets<17>) -> Result<Option<Self>, TimeError> {
        if field.is_empty() {
            Ok(None)
        } else {
            Self::parse(field.as_bytes()).map(Some)
        }
    }

    fn parse(octets: &[u8]) -> Result<Self, TimeError> {
        let (date, tail) = octets.split_first_chunk::<12>().ok_or(TimeError::Length)?;
        let numbers = six_numbers(date)?;
        let absolute =
            |tenth, offset| AbsoluteTime::checked(numbers, tenth, offset).map(Self::Absolute);
        match tail {
            [] => absolute(0, 0),
            [tenth, high, low, direction] => {
                let tenth = digit(*tenth)?;
                let offset = i8::try_from(number(*high, *low)?).map_err(|_| TimeError::Range)?;
                match direction {
                    b'+' => absolute(tenth, offset),
                    b'-' => absolute(tenth, offset.saturating_neg()),
                    b'R' => Ok(Self::Relative(RelativeTime::of(numbers))),
                    _ => Err(TimeError::Digits),
                }
            }
            _ => Err(TimeError::Length),
        }
    }

    /// The moment in seconds since 1970 UTC, for a field that was read at `now`.
    #[must_use]
    pub fn unix(&self, now: i64) -> i64 {
        match self {
            Self::Absolute(time) => time.unix(),
            Self::Relative(span) => {
                let seconds = i64::try_from(span.duration().as_secs()).unwrap_or(i64::MAX);
                now.saturating_add(seconds)
            }
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text.as_bytes())
    }
}

fn six_numbers(date: &[u8; 12]) -> Result<[u8; 6], TimeError> {
    let mut numbers = [0; 6];
    let (pairs, _) = date.as_chunks::<2>();
    for (place, [high, low]) in numbers.iter_mut().zip(pairs) {
        *place = number(*high, *low)?;
    }
    Ok(numbers)
}

fn number(high: u8, low: u8) -> Result<u8, TimeError> {
    Ok(digit(high)?.saturating_mul(10).saturating_add(digit(low)?))
}

fn digit(octet: u8) -> Result<u8, TimeError> {
    match octet {
        b'0'..=b'9' => Ok(octet.saturating_sub(b'0')),
        _ => Err(TimeError::Digits),
    }
}

fn full_year(two_digits: u8) -> u16 {
    let start = if two_digits < LAST_CENTURY {
        2000
    } else {
        1900
    };
    u16::from(two_digits).saturating_add(start)
}

impl AbsoluteTime {
    fn checked(numbers: [u8; 6], tenth: u8, offset: i8) -> Result<Self, TimeError> {
        let [two_digits, month, day, hour, minute, second] = numbers;
        let year = full_year(two_digits);
        let is_time = (FIRST_YEAR..=LAST_YEAR).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && (hour <= 23 && minute <= 59 && second <= 59)
            && (-48..=48).contains(&offset);
        if is_time {
            Ok(Self {
                year,
                month,
                day,
                hour,
                minute,
                second,
                tenth,
                offset,
            })
        } else {
            Err(TimeError::Range)
        }
    }

    /// The moment in UTC, `seconds` after 1970 began; `None` outside 1938 to 2037.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Option<Self> {
        let (year, day_of_year) = year_of(seconds.div_euclid(SECONDS_IN_DAY))?;
        let (month, day) = month_of(year, day_of_year)?;
        let second_of_day = seconds.rem_euclid(SECONDS_IN_DAY);
        let hour = u8::try_from(second_of_day.div_euclid(3600)).ok()?;
        let minute = u8::try_from(second_of_day.div_euclid(60).rem_euclid(60)).ok()?;
        let second = u8::try_from(second_of_day.rem_euclid(60)).ok()?;
        let two_digits = u8::try_from(year.rem_euclid(100)).ok()?;
        Self::checked([two_digits, month, day, hour, minute, second], 0, 0).ok()
    }

    /// Seconds since 1970 began in UTC; tenths are dropped.
    #[must_use]
    pub fn unix(&self) -> i64 {
        let days = days_before_year(self.year)
            .saturating_add(
                (1..self.month)
                    .map(|m| days(days_in_month(self.year, m)))
                    .sum(),
            )
            .saturating_add(days(self.day).saturating_sub(1));
        [
            days.saturating_mul(SECONDS_IN_DAY),
            i64::from(self.hour).saturating_mul(3600),
            i64::from(self.minute).saturating_mul(60),
            i64::from(self.second),
            i64::from(self.offset)
                .saturating_mul(SECONDS_IN_QUARTER)
                .saturating_neg(),
        ]
        .iter()
        .sum()
    }

    /// The `YYMMDDhhmm` of receipts (Appendix B), in the local time that this is in.
    #[must_use]
    pub fn receipt_date(&self) -> String {
        let Self {
            month,
            day,
            hour,
            minute,
            ..
        } = self;
        format!(
            "{:02}{month:02}{day:02}{hour:02}{minute:02}",
            self.year.rem_euclid(100)
        )
    }

    /// Reads the date of a receipt: `YYMMDDhhmm`, with seconds, with four digits of year, or with
    /// both, in local time taken as UTC. Twelve digits that begin with 20 have the long year.
    #[must_use]
    pub fn from_receipt_date(text: &str) -> Option<Self> {
        let long_year = text.len() == 14 || (text.len() == 12 && text.starts_with("20"));
        let date = if long_year { text.get(2..)? } else { text };
        let padded = if date.len() == 10 {
            format!("{date}00")
        } else {
            date.to_owned()
        };
        match padded.parse() {
            Ok(Time::Absolute(time)) if padded.len() == 12 => Some(time),
            _ => None,
        }
    }

    /// This time as a field.
    #[must_use]
    pub fn field(&self) -> COctets<17> {
        COctets::try_from(self.to_string().as_str()).unwrap_or_default()
    }
}

impl fmt::Display for AbsoluteTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            second,
            tenth,
            offset,
            ..
        } = self;
        let direction = if *offset < 0 { '-' } else { '+' };
        let quarters = offset.unsigned_abs();
        write!(
            f,
            "{}{second:02}{tenth}{quarters:02}{direction}",
            self.receipt_date()
        )
    }
}

impl RelativeTime {
    fn of([years, months, days, hours, minutes, seconds]: [u8; 6]) -> Self {
        Self {
            years,
            months,
            days,
            hours,
            minutes,
            seconds,
        }
    }

    /// The span, rounded up to a second, 99 days and 99 hours at most, in days and less: they mean
    /// the same everywhere.
    #[must_use]
    pub fn from_duration(span: Duration) -> Self {
        let round_up = u64::from(span.subsec_nanos() > 0);
        let seconds = span.as_secs().saturating_add(round_up);
        let part = |count: u64| u8::try_from(count).unwrap_or(u8::MAX).min(99);
        let days = seconds.div_euclid(86_400);
        if days > 99 {
            return Self {
                days: 99,
                hours: 99,
                ..Self::default()
            };
        }
        Self {
            days: part(days),
            hours: part(seconds.div_euclid(3600).rem_euclid(24)),
            minutes: part(seconds.div_euclid(60).rem_euclid(60)),
            seconds: part(seconds.rem_euclid(60)),
            ..Self::default()
        }
    }

    /// The span, a year as 365 days and a month as 30.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let parts = [
            (self.years, 365 * 86_400),
            (self.months, 30 * 86_400),
            (self.days, 86_400),
            (self.hours, 3600),
            (self.minutes, 60),
            (self.seconds, 1),
        ];
        let seconds = parts
            .iter()
            .map(|(count, unit)| u64::from(*count).saturating_mul(*unit));
        Duration::from_secs(seconds.sum())
    }

    /// This span as a field.
    #[must_use]
    pub fn field(&self) -> COctets<17> {
        COctets::try_from(self.to_string().as_str()).unwrap_or_default()
    }
}

impl fmt::Display for RelativeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.years,
            self.months,
            self.days,
            self.hours,
            self.minutes,
            self.seconds,
        ];
        for part in parts {
            write!(f, "{:02}", part.min(99))?;
        }
        f.write_str("000R")
    }
}

// === the calendar ===

fn days(count: u8) -> i64 {
    i64::from(count)
}

/// The only turn of a century from 1938 to 2037, that of 2000, is a leap year as any fourth.
const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4)
}

/// The days of four years, the first of which is a leap year.
const DAYS_IN_FOUR_YEARS: i64 = 1461;
/// From the start of 1936, which is a leap year, to the start of 1970.
const DAYS_FROM_1936: i64 = 12_419;

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the start of 1970 to the start of the year.
fn days_before_year(year: u16) -> i64 {
    let years = i64::from(year).saturating_sub(1936);
    // A leap year counts from its end on.
    let leap_years = years.saturating_add(3).div_euclid(4);
    years
        .saturating_mul(365)
        .saturating_add(leap_years)
        .saturating_sub(DAYS_FROM_1936)
}

/// The year that a day since 1970 is in, and the day in it from 0.
fn year_of(day: i64) -> Option<(u16, i64)> {
    let day = day.saturating_add(DAYS_FROM_1936);
    let day_of_four = day.rem_euclid(DAYS_IN_FOUR_YEARS);
    let year_of_four = day_of_four.saturating_sub(1).max(0).div_euclid(365);
    let years = day.div_euclid(DAYS_IN_FOUR_YEARS).saturating_mul(4);
    let year = years.saturating_add(year_of_four).saturating_add(1936);
    let year = u16::try_from(year).ok()?;
    let is_known = (FIRST_YEAR..=LAST_YEAR).contains(&year);
    let before = days_before_year(year).saturating_add(DAYS_FROM_1936);
    is_known.then(|| (year, day.saturating_sub(before)))
}

/// The month that a day of a year is in, and the day in it from 1.
fn month_of(year: u16, day_of_year: i64) -> Option<(u8, u8)> {
    let mut rest = day_of_year;
    for month in 1..=12 {
        let length = days(days_in_month(year, month));
        if rest < length {
            return Some((month, u8::try_from(rest.saturating_add(1)).ok()?));
        }
        rest = rest.saturating_sub(length);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absolute(text: &str) -> AbsoluteTime {
        match text.parse() {
            Ok(Time::Absolute(time)) => time,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn absolute_times_keep_tenths_and_offset() {
        for text in ["260228235959904+", "991231000000048-", "240229120000000+"] {
            assert_eq!(absolute(text).to_string(), text);
        }
    }

    #[test]
    fn an_offset_is_how_far_local_time_is_ahead_of_utc() {
        // Checked with date(1): 2026-02-28T12:00:00+01:00.
        assert_eq!(absolute("260228120000004+").unix(), 1_772_276_400);
        assert_eq!(absolute("260228120000000+").unix(), 1_772_280_000);
        assert_eq!(absolute("260228120000004-").unix(), 1_772_283_600);
    }

    #[test]
    fn two_digits_of_year_reach_from_1938_to_2037() {
        assert_eq!(absolute("380101000000000+").year, 1938);
        assert_eq!(absolute("371231235959000+").year, 2037);
        assert_eq!(
            AbsoluteTime::from_unix(absolute("371231235959000+").unix() + 1),
            None
        );
    }

    #[test]
    fn unix_seconds_round_trip() {
        for seconds in [
            0,
            -1,
            951_782_399,
            951_782_400,
            1_772_280_000,
            -1_009_843_200,
        ] {
            assert_eq!(AbsoluteTime::from_unix(seconds).unwrap().unix(), seconds);
        }
        assert_eq!(
            AbsoluteTime::from_unix(0).unwrap().to_string(),
            "700101000000000+"
        );
    }

    #[test]
    fn each_day_of_a_hundred_years_follows_the_one_before() {
        let first = absolute("380101000000000+")
            .unix()
            .div_euclid(SECONDS_IN_DAY);
        let last = absolute("371231000000000+")
            .unix()
            .div_euclid(SECONDS_IN_DAY);
        assert_eq!((first, last), (-11_688, 24_836), "as date(1) has it");
        let midnight = |day: i64| AbsoluteTime::from_unix(day * SECONDS_IN_DAY);
        assert_eq!((midnight(first - 1), midnight(last + 1)), (None, None));
        for day in first..last {
            let (today, tomorrow) = (midnight(day).unwrap(), midnight(day + 1).unwrap());
            let AbsoluteTime { year, month, .. } = today;
            let follows = if today.day < days_in_month(year, month) {
                (year, month, today.day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            assert_eq!((tomorrow.year, tomorrow.month, tomorrow.day), follows);
            assert_eq!(today.unix(), day * SECONDS_IN_DAY);
        }
        for year in [1938, 1999, 2000, 2001, 2004, 2037] {
            assert_eq!(days_in_month(year, 2), if year % 4 == 0 { 29 } else { 28 });
        }
    }

    #[test]
    fn the_standards_example_of_a_span_is_read_and_written() {
        let span = RelativeTime {
            years: 2,
            months: 6,
            days: 10,
            hours: 23,
            minutes: 34,
            seconds: 29,
        };
        assert_eq!("020610233429000R".parse(), Ok(Time::Relative(span)));
        assert_eq!(span.to_string(), "020610233429000R");
    }

    #[test]
    fn a_span_of_time_is_written_in_days_and_less() {
        let span = RelativeTime::from_duration(Duration::from_millis(90_061_500));
        assert_eq!(span.to_string(), "000001010102000R");
        assert_eq!(span.duration(), Duration::from_secs(90_062));
        let longest = RelativeTime::from_duration(Duration::MAX);
        assert_eq!(longest.to_string(), "000099990000000R");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        let refused = |text: &str| text.parse::<Time>().unwrap_err();
        assert_eq!(refused(""), TimeError::Length);
        assert_eq!(refused("2602281200"), TimeError::Length);
        assert_eq!(refused("260228120000000++"), TimeError::Length);
        assert_eq!(refused("2602281200x0000+"), TimeError::Digits);
        assert_eq!(refused("260228120000000Z"), TimeError::Digits);
        assert_eq!(refused("260229120000000+"), TimeError::Range);
        assert_eq!(refused("261328120000000+"), TimeError::Range);
        assert_eq!(refused("260228240000000+"), TimeError::Range);
        assert_eq!(refused("260228120000049+"), TimeError::Range);
    }

    #[test]
    fn an_empty_field_is_no_time_and_a_reported_one_has_no_offset() {
        assert_eq!(Time::of(&COctets::EMPTY), Ok(None));
        let reported = COctets::try_from("260228120000").unwrap();
        let time = Time::of(&reported).unwrap().unwrap();
        assert_eq!(time.unix(0), 1_772_280_000);
        assert_eq!(
            absolute("260228120000000+").field().as_str(),
            Some("260228120000000+")
        );
    }

    #[test]
    fn a_span_counts_from_now() {
        let time: Time = "000000000130000R".parse().unwrap();
        assert_eq!(time.unix(1000), 1090);
    }

    #[test]
    fn receipt_dates_come_in_four_lengths() {
        let expected = Some(absolute("260228123400000+"));
        for text in [
            "2602281234",
            "260228123400",
            "202602281234",
            "20260228123400",
        ] {
            assert_eq!(AbsoluteTime::from_receipt_date(text), expected, "{text}");
        }
        assert_eq!(absolute("260228123400000+").receipt_date(), "2602281234");
        for text in [
            "",
            "0",
            "26-02-28 12",
            "260228123400000+",
            "000001010102000R",
        ] {
            assert_eq!(AbsoluteTime::from_receipt_date(text), None, "{text}");
        }
    }
}
