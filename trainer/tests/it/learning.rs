//! Learning beside PyTorch, and learning in pieces.

use serde_json::Value;
use trainer::comm::Solo;
use trainer::cpu::Cpu;
use trainer::data::Sequences;
use trainer::device::Precision;
use trainer::learner::{Learner, Skip};
use trainer::model::Model;
use trainer::spec::{RunPlan, RunSpec};

use crate::support::{config, fixture, given, weights};

fn plan(micro: u64) -> RunPlan {
    plan_with(micro, "")
}

fn plan_with(micro: u64, more: &str) -> RunPlan {
    let text = format!(
        "model: pythia-14m\nsequence: 66\nbatch: 2\nmicro: {micro}\nsteps: 50\ndata: {{ documents: false }}\n\
         optimizer: {{ rate: 1e-2 }}\nschedule: {{ warmup: 0.1 }}\n{more}"
    );
    trainer::yaml::read::<RunSpec>("run.yaml", &text, &[]).unwrap().plan().unwrap()
}

fn sequences() -> Sequences {
    let given = given();
    let counts = vec![true; given.tokens.len()];
    let (tokens, targets, starts) = (given.tokens, given.targets, given.starts);
    Sequences { tokens, targets, starts, counts, slices: vec![0, 1] }
}

#[test]
fn fifty_steps_are_pytorch_s() {
    let said: Value = serde_json::from_slice(&std::fs::read(fixture("curve.json")).unwrap()).unwrap();
    let config = config(true, "tanh");
    let cpu: Cpu<f64> = Cpu::new(2).unwrap();
    // In one pass or in two: the sums differ by their order alone.
    for micro in [1, 2] {
        let plan = plan(micro);
        let mut learner = Learner::new(Model::new(&cpu, &config), &weights(&config), &plan, Box::new(Solo)).unwrap();
        for step in 0..50 {
            let learned = learner.learn(&sequences(), plan.rate_at(step as u64 + 1), &plan, &|| false).unwrap();
            for (name, got) in [("losses", learned.loss), ("norms", learned.norm)] {
                let right = said[name][step].as_f64().unwrap();
                assert!((got / right - 1.0).abs() < 1e-9, "step {step}: {name} {got}, PyTorch's {right}");
            }
            assert_eq!(learned.slices.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [66, 66]);
        }
    }
}

#[test]
fn fifty_steps_in_sixteen_bits_stay_near_pytorch_s() {
    let said: Value = serde_json::from_slice(&std::fs::read(fixture("curve.json")).unwrap()).unwrap();
    let losses: Vec<f64> = said["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    let config = config(true, "tanh");
    // Of the way that the loss goes, as a share: eight half units in the last place.
    for (precision, bound) in [(Precision::Bf16, 8.0 / 512.0), (Precision::Fp16, 8.0 / 4096.0)] {
        let plan = plan_with(1, &format!("precision: {}", precision.name()));
        let cpu: Cpu<f32> = Cpu::rounding(2, precision).unwrap();
        let mut learner = Learner::new(Model::new(&cpu, &config), &weights(&config), &plan, Box::new(Solo)).unwrap();
        let mut worst = 0.0f64;
        for (step, right) in losses.iter().enumerate() {
            let learned = learner.learn(&sequences(), plan.rate_at(step as u64 + 1), &plan, &|| false).unwrap();
            assert_eq!(learned.skip, None, "step {step}");
            worst = worst.max((learned.loss - right).abs());
        }
        println!("{}: {worst:.1e} from PyTorch in f64, of a fall by {:.2}", precision.name(), losses[0] - losses[49]);
        assert!(worst < bound * (losses[0] - losses[49]), "{precision:?}: {worst}");
        assert!(worst > 1e-6, "{precision:?}: nothing was rounded");
    }
}

#[test]
fn a_loss_that_is_scaled_too_far_is_skipped_until_it_is_not() {
    let config = config(true, "tanh");
    let cpu: Cpu<f32> = Cpu::rounding(2, Precision::Fp16).unwrap();
    let plan = plan_with(1, "precision: fp16\nscaling: { start: 33554432, interval: 4 }\nguard: { abort: 1 }");
    let mut learner = Learner::new(Model::new(&cpu, &config), &weights(&config), &plan, Box::new(Solo)).unwrap();
    let before = learner.weights_on_host();
    let mut scale = 33_554_432.0;
    // The weights hardly change, so that what was too much stays so.
    while let learned = learner.learn(&sequences(), 1e-6, &plan, &|| false).unwrap()
        && learned.skip.is_some()
    {
        assert_eq!((learned.skip, learned.scale), (Some(Skip::Overflow), Some(scale)));
        assert!(before.iter().eq(learner.weights_on_host().iter()) && learner.past.updates == 0);
        scale /= 2.0;
        assert!(scale > 1.0, "no scale is small enough");
    }
    // What overflows is counted apart: it is no fault of the batch, and does not end the run.
    let past = &learner.past;
    assert!(past.overflowed >= 2 && past.skipped == past.overflowed && past.in_a_row == 0 && past.updates == 1);
    assert!(before.head != learner.weights_on_host().head);
    // Three steps more and it grows to what was too much: skipped again, halved again.
    let scales: Vec<_> = (0..5)
        .map(|_| {
            let learned = learner.learn(&sequences(), 1e-6, &plan, &|| false).unwrap();
            (learned.scale.unwrap() / scale, learned.skip.is_some())
        })
        .collect();
    assert_eq!(scales, [(1.0, false), (1.0, false), (1.0, false), (2.0, true), (1.0, false)]);
}

#[test]
fn a_step_without_a_number_changes_nothing_and_is_counted() {
    let config = config(false, "erf");
    let cpu: Cpu<f32> = Cpu::new(1).unwrap();
    let plan = plan(1);
    let mut learner = Learner::new(Model::new(&cpu, &config), &weights(&config), &plan, Box::new(Solo)).unwrap();
    learner.learn(&sequences(), 1e-2, &plan, &|| false).unwrap();
    let before = (learner.weights_on_host(), learner.moments().unwrap());
    let whole = learner.weights.head[5];
    learner.weights.head[5] = f32::NAN;
    assert!(learner.learn(&sequences(), 1e-2, &plan, &|| false).unwrap().skip.is_some());
    learner.weights.head[5] = whole;
    let masked = Sequences { counts: vec![false; 132], ..sequences() };
    assert!(learner.learn(&masked, 1e-2, &plan, &|| false).unwrap().skip.is_some());
    assert_eq!((learner.past.updates, learner.past.skipped, learner.past.in_a_row), (1, 2, 2));
    let after = (learner.weights_on_host(), learner.moments().unwrap());
    assert!(before.0.iter().eq(after.0.iter()) && before.1 == after.1);
    assert!(learner.learn(&sequences(), 1e-2, &plan, &|| false).unwrap().skip.is_none());
    assert_eq!(learner.past.in_a_row, 0);
}
