//! Axes: where a value lies, and which round numbers are marked.

/// Above so many times the lowest value, the highest one is told by its power of ten.
const STEEP: f64 = 20.0;

/// An axis between two values.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    /// Whether equal lengths are equal ratios.
    pub powers: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// From 0 to a value, with so many steps at most.
    pub fn up_to(high: f64, most: f64) -> Scale {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = step(high, most);
        let ticks = (0..).map(|at| f64::from(at) * step).take_while(|tick| *tick <= high * (1.0 + 1e-9));
        Scale { low: 0.0, high, powers: false, ticks: ticks.map(|tick| (tick, short(tick, step))).collect() }
    }

    /// Whether what lies between two values is told by powers of ten alone.
    pub fn is_steep(low: f64, high: f64) -> bool {
        low > 0.0 && high > STEEP * low
    }

    /// From one round number to another around two values, with so many steps at most.
    pub fn around(low: f64, high: f64, most: f64) -> Scale {
        // A curve that is flat is in the middle.
        let (middle, least) = (low / 2.0 + high / 2.0, 5e-3 * high.abs().max(1.0));
        let (low, high) = (low.min(middle - least), high.max(middle + least));
        // One step is for what rounding adds at both ends.
        let step = step(high - low, most - 1.0);
        // What is round but for its last bits lies on a tick.
        let (first, last) = (libm::floor(low / step + 1e-6), libm::ceil(high / step - 1e-6));
        let count = (last - first) as u32;
        let ticks: Vec<_> = (0..=count).map(|at| (first + f64::from(at)) * step).map(|t| (t, short(t, step))).collect();
        Scale { low: first * step, high: (first + f64::from(count)) * step, powers: false, ticks }
    }

    /// The same by ratios, of values above 0: 1, 2, 5, 10 or powers of ten alone.
    pub fn powers(low: f64, high: f64, most: f64) -> Scale {
        // A curve that is flat is in the middle.
        let (low, high) = if high < 1.01 * low { (low / 1.01, high * 1.01) } else { (low, high) };
        let (first, last) = (libm::floor(libm::log10(low)) as i32, libm::ceil(libm::log10(high)) as i32);
        let power = |exponent: i32| libm::pow(10.0, f64::from(exponent));
        let all: Vec<f64> = (first..=last).flat_map(|at| [1.0, 2.0, 5.0].map(|by| by * power(at))).collect();
        let below = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
        let above = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1);
        let mut ticks = all[below..=above].to_vec();
        let mut apart = 1;
        while ticks.len() as f64 > most + 1.0 {
            ticks = (first..=last).filter(|at| (at - first) % apart == 0).map(power).collect();
            apart += 1;
        }
        let (low, high) = (low.min(ticks[0]), high.max(ticks[ticks.len() - 1]));
        Scale { low, high, powers: true, ticks: ticks.into_iter().map(|tick| (tick, short(tick, tick))).collect() }
    }

    /// How far along the axis a value lies, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        match self.powers {
            false => (value - self.low) / (self.high - self.low),
            true => libm::log(value / self.low) / libm::log(self.high / self.low),
        }
    }

    /// What is marked, with its words.
    pub fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }
}

/// The least of 1, 2 and 5 times a power of ten of which so many at most cover a span.
fn step(span: f64, most: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(span / most)));
    let step = [1.0, 2.0, 5.0].into_iter().map(|by| by * power).find(|step| span / step <= most);
    step.unwrap_or(10.0 * power)
}

/// `12.5 M`, `3.20`: as many digits as tell a tick from the next.
fn short(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e15 || step < 1e-6 {
        return format!("{value:.0e}");
    }
    let (size, unit) = [(1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")]
        .into_iter()
        .find(|(size, _)| value.abs() >= size * (1.0 - 1e-9))
        .unwrap_or((1.0, ""));
    let digits = (-libm::floor(libm::log10(step / size) + 1e-9)).clamp(0.0, 9.0) as usize;
    format!("{:.digits$}{unit}", value / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scale: &Scale) -> String {
        scale.ticks().iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        for (low, high, ticks) in [
            (2.31, 6.93, "2 | 3 | 4 | 5 | 6 | 7"),
            (2.3, 2.36, "2.30 | 2.31 | 2.32 | 2.33 | 2.34 | 2.35 | 2.36"),
            (3.0, 3.0, "2.985 | 2.990 | 2.995 | 3.000 | 3.005 | 3.010 | 3.015"),
            (0.4, 90.0, "0.2 | 0.5 | 1 | 2 | 5 | 10 | 20 | 50 | 100"),
            (2.0, 1e5, "1 | 10 | 100 | 1 k | 10 k | 100 k"),
            (2.0, 3e38, "1 | 100 k | 10 B | 1e15 | 1e20 | 1e25 | 1e30 | 1e35"),
            (-4.0, 900.0, "-200 | 0 | 200 | 400 | 600 | 800 | 1.0 k"),
        ] {
            let steep = Scale::is_steep(low, high);
            let scale = if steep { Scale::powers(low, high, 8.0) } else { Scale::around(low, high, 8.0) };
            assert_eq!(words(&scale), ticks, "{low} {high}");
            assert!(scale.share(low) > -1e-6 && scale.share(high) < 1.0 + 1e-6, "{low} {high}");
        }
        // Beside one that needs powers of ten, others have them too.
        for (low, high, ticks) in [
            (2.3, 6.9, "2 | 5 | 10"),
            (3.0, 3.0, "2 | 5"),
            (2.0, 2.0, "1 | 2 | 5"),
            (0.01, 0.01, "0.005 | 0.01 | 0.02"),
        ] {
            let scale = Scale::powers(low, high, 8.0);
            assert_eq!(words(&scale), ticks, "{low} {high}");
            assert!(scale.share(low) > 0.0 && scale.share(high) < 1.0, "{low} {high}");
        }
        assert_eq!(words(&Scale::up_to(307_200.0, 6.0)), "0 | 100 k | 200 k | 300 k");
        assert_eq!(words(&Scale::up_to(2e6, 6.0)), "0 | 500 k | 1.0 M | 1.5 M | 2.0 M");
        assert_eq!(words(&Scale::up_to(0.0, 6.0)), "0 | 0.2 | 0.4 | 0.6 | 0.8 | 1.0");
    }
}
