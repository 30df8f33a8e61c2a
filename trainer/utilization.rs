//! How much of what a machine could compute goes into training, and by which count.
//!
//! PaLM's report (appendix B) and MosaicML's tables count `6 N + 12 L T d` operations a token: every
//! weight, and attention to all of the sequence. A model does less: the embedding is looked up, not
//! multiplied, and half of attention is masked. *Useful* counts the rest alone. A utilization (MFU) is
//! operations a second as a share of the machine's peak; this module says both, and where the peak is from.

use crate::config::Config;
use crate::cpu::{Cpu, Float};
use crate::report::flop;
use crate::spec::RunPlan;

/// How operations are counted where nothing else is said.
pub const CONVENTION: &str = "6N + 12LTd";
/// How useful ones are.
pub const USEFUL: &str = "6(N - Vd) + 6LTd";

/// What a step of the CPU reaches of the peak, in useful operations: `plan` reckons time with it.
// Measured with `bench`: 0.55 to 0.69 with pythia-14m, -31m and -70m, on one and two threads.
pub const REACHED: f64 = 0.6;

/// Floating-point operations of a token, forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// By the convention.
    pub counted: f64,
    /// Those that a model needs.
    pub useful: f64,
}

impl Operations {
    /// Of a model's tokens in sequences of so many.
    pub fn of(config: &Config, time: usize) -> Operations {
        let parameters = config.parameters() as f64;
        let looked_up = config.vocab_size as f64 * config.hidden_size as f64;
        let attention = 12.0 * config.num_hidden_layers as f64 * time as f64 * config.hidden_size as f64;
        Operations { counted: 6.0 * parameters + attention, useful: 6.0 * (parameters - looked_up) + attention / 2.0 }
    }
}

/// The most operations a second that a machine could do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// So many.
    pub flops: f64,
    /// Whether it was measured; otherwise the configuration gave it.
    pub measured: bool,
}

/// What a speed is of a peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// By the convention.
    pub counted: f64,
    /// In useful operations.
    pub useful: f64,
}

impl Peak {
    /// What the configuration gives, or a product of matrices on this device reaches, times the processes
    /// that share the work.
    pub fn of<F: Float>(plan: &RunPlan, device: &Cpu<F>, processes: usize) -> Peak {
        match plan.spec.peak_flops {
            Some(flops) => Peak { flops, measured: false },
            None => Peak { flops: device.peak() * processes as f64, measured: true },
        }
    }

    /// What so many tokens a second are of it.
    pub fn utilization(&self, operations: Operations, tokens_a_second: f64) -> Utilization {
        let share = |operations: f64| operations * tokens_a_second / self.flops;
        Utilization { counted: share(operations.counted), useful: share(operations.useful) }
    }

    /// Seconds that so many tokens would take.
    pub fn seconds(&self, operations: Operations, tokens: f64) -> f64 {
        operations.useful * tokens / (self.flops * REACHED)
    }

    /// It, and how its shares are counted.
    pub fn told(&self) -> String {
        let from = if self.measured { "measured, of products of matrices" } else { "given by `peak_flops`" };
        format!("{}/s ({from}); MFU counts {CONVENTION} operations a token, useful {USEFUL}", flop(self.flops))
    }
}

impl Utilization {
    /// Both, for people.
    pub fn told(&self) -> String {
        format!("MFU {:.1} % (useful {:.1} %)", 100.0 * self.counted, 100.0 * self.useful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    #[test]
    fn operations_are_those_of_published_tables() {
        // By hand: 6 · 2,775,864,320 + 12 · 32 · 2048 · 2560 are 18.67 billion.
        let operations = Operations::of(&Preset::find("incite-3b").unwrap().config(), 2048);
        assert_eq!(operations.counted, 6.0 * 2_775_864_320.0 + 12.0 * 32.0 * 2048.0 * 2560.0);
        assert_eq!(operations.useful, 6.0 * (2_775_864_320.0 - 50_432.0 * 2560.0) + 6.0 * 32.0 * 2048.0 * 2560.0);
        // MosaicML: its 3B model, 2.652 B weights, at 24,142 tokens/s on an H100 of 989 TFLOP/s: 43.7 %.
        let peak = Peak { flops: 989e12, measured: false };
        let mosaic = 6.0 * 2.652e9 + 12.0 * 32.0 * 2048.0 * 2560.0;
        let used = peak.utilization(Operations { counted: mosaic, useful: mosaic / 2.0 }, 24_142.0);
        assert!((used.counted - 0.437).abs() < 1e-3 && used.useful * 2.0 == used.counted, "{used:?}");
    }

    #[test]
    fn a_peak_is_measured_or_given() {
        let plan =
            |text: &str| crate::yaml::read::<crate::spec::RunSpec>("run.yaml", text, &[]).unwrap().plan().unwrap();
        let device: Cpu<f32> = Cpu::new(1).unwrap();
        let given = Peak::of(&plan("model: pythia-14m\npeak_flops: 9.89e14"), &device, 4);
        assert_eq!((given.flops, given.measured), (9.89e14, false));
        let measured = Peak::of(&plan("model: pythia-14m"), &device, 1);
        assert!(measured.measured && measured.flops > 1e6 && measured.told().contains("measured"), "{measured:?}");
    }
}
