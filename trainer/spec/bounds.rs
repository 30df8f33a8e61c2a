//! Where numbers of a configuration must lie: said where one does not, and on the page of all keys.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Of [`share`].
pub const SHARE: &str = "from 0, below 1";
/// Of [`positive`].
pub const POSITIVE: &str = "above 0";
/// Of [`from_nothing`].
pub const FROM_NOTHING: &str = "from 0";
/// Of [`shrinks`].
pub const SHRINKS: &str = "above 0, below 1";
/// Of [`scale`].
pub const SCALE: &str = "above 0, at most 2^60";

/// The highest that a scale grows to: far beyond what any gradient needs, and within `f32`.
pub const HIGHEST_SCALE: f64 = (1u64 << 60) as f64;

fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    good: impl FnOnce(f64) -> bool,
    wrong: &str,
    lies: &str,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if good(value) {
        return Ok(value);
    }
    let wrong = if value.is_finite() { wrong } else { "is no finite number" };
    Err(D::Error::custom(format!("{value} {wrong}: it is {lies}")))
}

/// A part of a whole, which is never all of it.
pub fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |value| (0.0..1.0).contains(&value), "is no share", SHARE)
}

/// A number above 0.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |value| value > 0.0 && value.is_finite(), "is too small", POSITIVE)
}

/// A number above 0, where there is one.
pub fn maybe_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

/// A number from 0.
pub fn from_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |value| value >= 0.0 && value.is_finite(), "cannot be", FROM_NOTHING)
}

/// What a scale is multiplied with to become smaller.
pub fn shrinks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |value| value > 0.0 && value < 1.0, "does not shrink a scale", SHRINKS)
}

/// The scale of a loss.
pub fn scale<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |value| value > 0.0 && value <= HIGHEST_SCALE, "is no scale", SCALE)
}
