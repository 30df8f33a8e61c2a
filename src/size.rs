//! Sizes as people write them: `64M`, `8G`, `1.5GiB`, `4096`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of bytes. `K`, `M`, `G` and `T` are powers of 1024, with or without `iB` or `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(extend("type" = ["integer", "string"]))]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("`{text}` is not a size such as 64M, 8G or 4096");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text[digits.len()..].trim_end_matches(['B', 'b']).trim_end_matches('i').to_ascii_uppercase();
        let shift = match unit.as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(wrong()),
        };
        let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
        let bytes = number * (1u64 << shift) as f64;
        if !(0.0..1e18).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Size(bytes as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let size = (1u64 << shift) as f64;
            if bytes >= size {
                let decimals = usize::from(bytes / size < 100.0 && !self.0.is_multiple_of(1 << shift));
                return write!(f, "{:.decimals$} {unit}", bytes / size);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        // A scalar of YAML is a string before it is a number.
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[test]
fn sizes_are_what_people_mean() {
    for (text, bytes) in [("4096", 4096), ("64M", 64 << 20), ("1.5GiB", 3 << 29), ("2 kb", 2048), ("0", 0)] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "M", "-1", "3X", "1e30"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
    assert_eq!(Size(64 << 20).to_string(), "64 MiB");
    assert_eq!(Size(1536).to_string(), "1.5 KiB");
}
