//! Checkpoints that are written beside the work, and which of them stay.

use std::sync::Arc;

use trainer::checkpoint::{self, Snapshot, Standing};
use trainer::comm::Solo;
use trainer::cpu::Cpu;
use trainer::data::Data;
use trainer::learner::Learner;
use trainer::model::Model;
use trainer::origin::Origin;
use trainer::weights::start;

use corpus::store::Store;

use crate::place::Place;

const EACH: [&str; 3] = ["checkpoint.every=1", "checkpoint.keep_every=1", "steps=12"];

/// The same run step by step, which writes each checkpoint before the next step begins.
fn one_after_another(place: &Place, output: &str, end: u64) {
    let set: Vec<String> = EACH.iter().map(|set| (*set).to_owned()).collect();
    let mut plan = trainer::pretrain::plan_of(&place.path("run.yaml"), &set).unwrap();
    plan.spec.data.from = trainer::data::Folders::One(place.path("corpus"));
    let config = &plan.spec.model.config;
    let data = Data::open(&plan.spec.data, plan.spec.seed, plan.time, config.vocab_size).unwrap();
    let origin = Origin::of(&plan, &data).unwrap();
    let cpu: Cpu<f32> = Cpu::new(1).unwrap();
    let weights = start(config, plan.spec.seed);
    let mut learner = Learner::new(Model::new(&cpu, config), &weights, &plan, Box::new(Solo)).unwrap();
    let store = Arc::new(Store::create(place.path(output)).unwrap());
    for step in 1..=end {
        let sequences = data.sequences((step - 1) * plan.batch, step * plan.batch).unwrap();
        learner.learn(&sequences, plan.rate_at(step), &plan, &|| false).unwrap();
        let (past, moments, weights) = (learner.past.clone(), learner.moments().unwrap(), learner.weights_on_host());
        let (config, origin, standing) = (config.clone(), origin.clone(), Standing::Good);
        checkpoint::save(&store, &Snapshot { step, past, config, weights, moments, origin, standing }).unwrap();
    }
}

/// Whether the numbers of some steps are the same in two runs.
fn same(place: &Place, one: &str, other: &str, steps: impl Iterator<Item = u64>) {
    for step in steps {
        assert!(place.numbers(one, step) == place.numbers(other, step), "step {step}");
    }
}

#[test]
fn what_is_written_beside_the_work_is_what_was_there_when_it_was_due() {
    let place = Place::new();
    one_after_another(&place, "right", 12);
    let set: String = EACH.iter().map(|set| format!(" --set {set}")).collect();
    // Slow enough that the next is due before one is written, and waits for it.
    let run = format!("pretrain run.yaml --output slow{set}");
    let ended = place.command(&run).env("REDPAJAMA_SLOW_COMMITS", "8").output().unwrap();
    assert!(ended.status.success());
    same(&place, "slow", "right", 1..=12);
    assert_eq!(checkpoint::steps(&place.path("slow")).unwrap(), (1..=12).collect::<Vec<u64>>());
}

#[test]
fn killed_while_one_is_written_it_goes_on_from_the_one_before() {
    let place = Place::new();
    one_after_another(&place, "right", 12);
    let set: String = EACH.iter().map(|set| format!(" --set {set}")).collect();
    let run = format!("pretrain run.yaml --output run{set}");
    one_after_another(&place, "run", 3);
    // It is held when step 4 is done, begun when step 5 is, and takes seconds; then the process is killed.
    let mut slow = place.command(&format!("{run} --set checkpoint.every=4"));
    slow.env("REDPAJAMA_SLOW_COMMITS", "200");
    assert_eq!(Place::signalled(slow, 6, "-KILL"), None);
    let left = place.path("run/checkpoints/step-000000004");
    let aside = std::fs::read_dir(place.path("run/.aside")).unwrap().count();
    assert!(!left.join("state.json").exists() && (aside > 0 || left.exists()), "{aside}");
    let (_, said) = place.fine(&run);
    assert!(said.contains("going on after step 3"), "{said}");
    same(&place, "run", "right", 4..=12);
    assert!(!place.path("run/.aside").exists());
}

#[test]
fn the_last_stay_and_so_does_every_nth_through_kills() {
    let place = Place::new();
    let options = " --set checkpoint.every=1 --set checkpoint.keep=2 --set checkpoint.keep_every=5";
    let run = format!("pretrain run.yaml --output run{options}");
    let steps = || checkpoint::steps(&place.path("run")).unwrap();
    for (step, signal) in [(6, "-TERM"), (12, "-KILL"), (16, "-USR1")] {
        place.until("run", "run.yaml", step, signal, options);
        let left = steps();
        // Between a write and the removal of what is older there may be one more.
        let last = *left.last().unwrap();
        assert!(left.iter().filter(|step| !step.is_multiple_of(5)).count() <= 3, "{left:?}");
        assert!((5..last).step_by(5).all(|step| left.contains(&step)), "{left:?}");
    }
    place.fine(&run);
    assert_eq!(steps(), [5, 10, 15, 19, 20]);
}
