//! Durations as decimal numbers, in whole-number arithmetic: what `std` prints floating-point numbers with is 18 KiB of
//! program, which nothing else here needs.

use std::fmt;
use std::time::Duration;

/// A number of seconds: with as many places as the format asks for, else with as many as it has.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

/// A number of milliseconds, likewise.
#[derive(Clone, Copy)]
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.as_nanos(), 9)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.as_nanos(), 6)
    }
}

/// Writes `nanos` divided by ten to the power of `exponent`, rounded to the nearest.
fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: u128, exponent: u32) -> fmt::Result {
    let asked = f.precision().and_then(|places| u32::try_from(places).ok());
    let places = asked.unwrap_or(exponent).min(exponent);
    let dropped = 10_u128.pow(exponent - places);
    let rounded = (nanos + dropped / 2) / dropped;
    let scale = 10_u128.pow(places);
    let (whole, mut rest) = (rounded / scale, rounded % scale);
    let mut width = places as usize;
    while asked.is_none() && width > 0 && rest % 10 == 0 {
        rest /= 10;
        width -= 1;
    }
    if width == 0 {
        return write!(f, "{whole}");
    }
    write!(f, "{whole}.{rest:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_places_that_are_asked_for_and_is_rounded_to_the_nearest() {
        let length = Duration::from_micros(1_049_600);
        assert_eq!(format!("{:.0}", Seconds(length)), "1");
        assert_eq!(format!("{:.1}", Seconds(length)), "1.0");
        assert_eq!(format!("{:.3}", Seconds(length)), "1.050");
        assert_eq!(format!("{:.3}", Millis(length)), "1049.600");
        assert_eq!(format!("{:.0}", Seconds(Duration::from_millis(1500))), "2");
        assert_eq!(
            format!("{:.1}", Seconds(Duration::from_millis(9999))),
            "10.0"
        );
    }

    #[test]
    fn without_a_wish_it_has_as_many_places_as_it_needs() {
        assert_eq!(Seconds(Duration::from_secs(300)).to_string(), "300");
        assert_eq!(Seconds(Duration::from_millis(500)).to_string(), "0.5");
        assert_eq!(Seconds(Duration::from_nanos(1)).to_string(), "0.000000001");
        assert_eq!(Millis(Duration::from_micros(20)).to_string(), "0.02");
        assert_eq!(Seconds(Duration::ZERO).to_string(), "0");
    }

    #[test]
    fn the_longest_duration_prints() {
        let text = Millis(Duration::MAX).to_string();
        assert_eq!(text, "18446744073709551615999.999999");
    }
}
