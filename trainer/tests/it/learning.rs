//! Learning beside PyTorch, and learning in pieces.

use serde_json::Value;
use trainer::comm::Solo;
use trainer::cpu::Cpu;
use trainer::data::Sequences;
use trainer::learner::Learner;
use trainer::model::Model;
use trainer::spec::{RunPlan, RunSpec};

use crate::support::{config, fixture, given, weights};

fn plan(micro: u64) -> RunPlan {
    let text = format!(
        "model: pythia-14m\nsequence: 66\nbatch: 2\nmicro: {micro}\nsteps: 50\ndata: {{ documents: false }}\n\
         optimizer: {{ rate: 1e-2 }}\nschedule: {{ warmup: 0.1 }}\n"
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
