//! Durations written as text: `"5s"`, `"250ms"`, `"1h 30min"`.
//!
//! The rule it keeps: what has no unit or two meanings is refused, with the spelling that works. It knows no tokens.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a sum of numbers with units, and says what is wrong if it cannot.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("empty duration; write for example \"5s\" or \"250ms\"".to_owned());
    }
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.' && c != '_');
        let (unit, after) = split_where(after.trim_start(), |c| !c.is_alphabetic());
        nanos = part(text, number, unit)?
            .checked_add(nanos)
            .ok_or_else(|| too_long(text))?;
        rest = after.trim_start();
    }
    Ok(Duration::from_nanos(nanos))
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// One number with its unit, in nanoseconds.
fn part(text: &str, number: &str, unit: &str) -> Result<u64, String> {
    if number.is_empty() {
        return Err(format!(
            "`{text}` is no duration; write a number and a unit, for example \"5s\" or \"250ms\""
        ));
    }
    let nanos = unit_nanos(number, unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| {
        let digits = part.replace('_', "");
        let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        valid
            .then_some(digits)
            .ok_or_else(|| format!("`{number}` is no number; write for example \"1.5{unit}\""))
    };
    let whole: u64 = digits(whole)?.parse().map_err(|_| too_long(text))?;
    let whole = whole.checked_mul(nanos).ok_or_else(|| too_long(text))?;
    whole
        .checked_add(fraction_nanos(&digits(fraction)?, nanos))
        .ok_or_else(|| too_long(text))
}

fn unit_nanos(number: &str, unit: &str) -> Result<u64, String> {
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, nanos)) => Ok(*nanos),
        None if unit.is_empty() => Err(format!(
            "`{number}` has no unit; write for example \"{number}s\" or \"{number}ms\""
        )),
        None if unit == "m" => Err(format!(
            "`m` has two meanings; write \"{number}min\" or \"{number}ms\""
        )),
        None => Err(format!(
            "unknown unit `{unit}`; there are `ns`, `us`, `ms`, `s`, `min`, `h`"
        )),
    }
}

/// `0.digits` of a unit, rounded down; digits below a nanosecond do not count.
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let mut scale = unit;
    let mut nanos = 0;
    for digit in digits.bytes() {
        nanos += scale * u64::from(digit - b'0') / 10;
        scale /= 10;
    }
    nanos
}

fn too_long(text: &str) -> String {
    format!("`{text}` is too long; use `Duration::MAX` for no limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_durations() {
        let cases = [
            ("5s", Duration::from_secs(5)),
            ("250ms", Duration::from_millis(250)),
            ("2min", Duration::from_secs(120)),
            ("1h 30min", Duration::from_secs(5400)),
            ("1h30min", Duration::from_secs(5400)),
            ("1.5 s", Duration::from_millis(1500)),
            ("0.25min", Duration::from_secs(15)),
            ("1_000us", Duration::from_millis(1)),
            ("7µs", Duration::from_micros(7)),
            ("3ns", Duration::from_nanos(3)),
            ("0s", Duration::ZERO),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_remedy() {
        let cases = [
            ("", "empty duration"),
            ("5", "\"5s\""),
            ("soon", "is no duration"),
            ("5m", "\"5min\" or \"5ms\""),
            ("5 days", "unknown unit `days`"),
            ("1.2.3s", "is no number"),
            ("5s!", "is no duration"),
            ("99999999999h", "too long"),
            ("99999999999999999999999s", "too long"),
        ];
        for (text, expected) in cases {
            let message = parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
