//! Times as people write them, and how long something takes that takes its time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sim::dice::Dice;
use crate::sim::written::{self, Written};

/// The longest that can be asked for: one day.
const MAX: Duration = Duration::from_hours(24);

/// A time of one day at most: `20ms`, `2s`, `1.5s`, `1m`, `1h`, or a number of milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub(crate) Duration);

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// No number, or none of the units.
    #[error("write a time as 500ms, 1.5s, 1m or 1h")]
    Unwritten,
    /// More than a day.
    #[error("a time is at most one day")]
    TooLong,
}

impl Span {
    /// The time itself.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    fn checked(seconds: f64) -> Result<Self, SpanError> {
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| SpanError::Unwritten)?;
        if span > MAX {
            return Err(SpanError::TooLong);
        }
        Ok(Self(span))
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        let unit = text.find(|char: char| char.is_ascii_alphabetic());
        let (number, unit) = unit
            .and_then(|at| text.split_at_checked(at))
            .ok_or(SpanError::Unwritten)?;
        let number: f64 = number.trim().parse().map_err(|_| SpanError::Unwritten)?;
        let seconds = match unit {
            "ms" => number / 1_000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3_600.0,
            _ => return Err(SpanError::Unwritten),
        };
        Self::checked(seconds)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_micros().is_multiple_of(1_000) {
            write!(f, "{}ms", self.0.as_millis())
        } else {
            write!(f, "{}ms", self.0.as_secs_f64() * 1_000.0)
        }
    }
}

impl Written for Span {
    const WAYS: &'static str = "a time as \"500ms\", \"1.5s\", \"1m\" or \"1h\", or milliseconds";

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        word.parse().map_err(E::custom)
    }

    fn from_number<E: Error>(number: u64) -> Result<Self, E> {
        let span = Duration::from_millis(number);
        if span > MAX {
            return Err(E::custom(SpanError::TooLong));
        }
        Ok(Self(span))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How long something takes: always the same, or drawn anew each time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Latency {
    /// Always this.
    Fixed(Span),
    /// Drawn.
    Drawn(Distribution),
}

/// Where a latency is drawn from. What would be below 0 is 0, what would be over a day is a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Distribution {
    /// Anything between two times, each as likely as the other.
    Uniform {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// The bell curve.
    Normal {
        /// Its middle.
        mean: Span,
        /// Its standard deviation.
        deviation: Span,
    },
    /// Short ones often, long ones seldom, as of independent events.
    Exponential {
        /// The mean.
        mean: Span,
    },
}

impl Written for Latency {
    const WAYS: &'static str = "a time as \"500ms\", or one that is drawn as \
        { uniform = { min = \"5ms\", max = \"20ms\" } }";

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        Span::from_word(word).map(Self::Fixed)
    }

    fn from_number<E: Error>(number: u64) -> Result<Self, E> {
        Span::from_number(number).map(Self::Fixed)
    }

    fn from_table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        let drawn = Distribution::deserialize(MapAccessDeserializer::new(table))?;
        match drawn {
            Distribution::Uniform { min, max } if min > max => {
                Err(A::Error::custom("`min` is at most `max`"))
            }
            drawn => Ok(Self::Drawn(drawn)),
        }
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

impl Latency {
    /// The next one.
    pub(crate) fn draw(&self, dice: &mut Dice) -> Duration {
        match self {
            Self::Fixed(span) => span.0,
            Self::Drawn(distribution) => distribution.draw(dice),
        }
    }
}

impl Distribution {
    fn draw(&self, dice: &mut Dice) -> Duration {
        let seconds = match self {
            Self::Uniform { min, max } => {
                let width = max.0.saturating_sub(min.0).as_secs_f64();
                width.mul_add(dice.fraction(), min.0.as_secs_f64())
            }
            Self::Normal { mean, deviation } => {
                let bell = dice.bell();
                deviation
                    .0
                    .as_secs_f64()
                    .mul_add(bell, mean.0.as_secs_f64())
            }
            Self::Exponential { mean } => -mean.0.as_secs_f64() * (1.0 - dice.fraction()).ln(),
        };
        Duration::try_from_secs_f64(seconds.clamp(0.0, MAX.as_secs_f64())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(json: &str) -> Latency {
        serde_json::from_str(json).unwrap()
    }

    fn mean(latency: Latency) -> f64 {
        let mut dice = Dice::new(1);
        let total: Duration = (0..20_000).map(|_| latency.draw(&mut dice)).sum();
        total.as_secs_f64() / 20_000.0
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2s", 2_000),
            ("1m", 60_000),
            ("24h", 86_400_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for wrong in ["", "5", "s", "-1s", "5d", "NaNs", "25h"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_alone_is_milliseconds() {
        assert_eq!(
            latency("20"),
            Latency::Fixed(Span(Duration::from_millis(20)))
        );
    }

    #[test]
    fn each_distribution_has_its_mean_and_its_bounds() {
        let uniform = latency(r#"{"uniform": {"min": "10ms", "max": "30ms"}}"#);
        assert!((mean(uniform) - 0.020).abs() < 0.001);
        let mut dice = Dice::new(2);
        for _ in 0..1_000 {
            let drawn = uniform.draw(&mut dice);
            assert!((10..=30).contains(&drawn.as_millis()), "{drawn:?}");
        }
        let normal = latency(r#"{"normal": {"mean": "20ms", "deviation": "5ms"}}"#);
        assert!((mean(normal) - 0.020).abs() < 0.001);
        let exponential = latency(r#"{"exponential": {"mean": "20ms"}}"#);
        assert!((mean(exponential) - 0.020).abs() < 0.001);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let normal = latency(r#"{"normal": {"mean": "20ms", "deviation": "5ms"}}"#);
        let row = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| normal.draw(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }

    #[test]
    fn a_latency_that_makes_no_sense_is_refused() {
        for (wrong, mend) in [
            (r#""soon""#, "write a time as 500ms"),
            (
                "true",
                "expected a time as \"500ms\", or one that is drawn as",
            ),
            ("-5", "a time as"),
            ("86400001", "at most one day"),
            (r#"{"uniform": {"min": 1}}"#, "missing field `max`"),
            (
                r#"{"uniform": {"min": "9ms", "max": "1ms"}}"#,
                "`min` is at most `max`",
            ),
            (r#"{"even": {}}"#, "expected one of `uniform`"),
        ] {
            let told = serde_json::from_str::<Latency>(wrong).unwrap_err();
            assert!(told.to_string().contains(mend), "{wrong}: {told}");
        }
    }
}
