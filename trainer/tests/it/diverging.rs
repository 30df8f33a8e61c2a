//! Weights that go bad: what they must not take the place of, and what a run goes on from.

use serde_json::Value;

use crate::place::{Place, read};

/// A rate at which one step breaks the weights: numbers they still are, and their loss is none.
const BREAKS: &str = " --set optimizer.rate=1e30 --set guard.abort=6";

fn standing(place: &Place, run: &str, step: u64) -> Value {
    let state = read(&place.path(run).join(format!("checkpoints/step-{step:09}/state.json")));
    serde_json::from_slice::<Value>(&state).unwrap()["standing"].clone()
}

fn steps(place: &Place, run: &str) -> Vec<u64> {
    trainer::checkpoint::steps(&place.path(run)).unwrap()
}

#[test]
fn weights_that_give_no_number_do_not_take_the_place_of_good_ones() {
    let place = Place::new();
    let run = "pretrain run.yaml --output run --set checkpoint.every=1 --set checkpoint.keep=1";
    place.fine(&format!("{run} --set steps=8"));
    let good = place.numbers("run", 8);
    assert_eq!((steps(&place, "run"), standing(&place, "run", 8)), (vec![7, 8], Value::Null));
    // From here on a step that passes breaks the weights, and all after it are skipped.
    for processes in ["", " --processes 2 --threads 1"] {
        let diverging = format!("{run} --set steps=40{BREAKS}{processes}");
        place.fails(
            &diverging,
            1,
            "6 steps in a row were skipped, up to step 15\nhint: the last checkpoint is of step 8: ",
        );
        assert_eq!((steps(&place, "run"), standing(&place, "run", 8)), (vec![7, 8], "good".into()));
        assert!(place.numbers("run", 8) == good);
    }
    // With other numbers it goes on as if nothing had been.
    place.fine(run);
    let whole = run.replace("--output run", "--output whole");
    place.fine(&format!("{whole} --set steps=8"));
    place.fine(&whole);
    assert!(place.checkpoint("run", 20) == place.checkpoint("whole", 20));
}

#[test]
fn a_checkpoint_after_which_all_steps_are_skipped_is_passed_over() {
    let place = Place::new();
    // Without held-out windows nothing shows that the last step was one too many.
    let run = "pretrain run.yaml --output run --set data.validation=0";
    place.fine(&format!("{run} --set steps=8"));
    place.fine(&format!("{run} --set steps=9{BREAKS}"));
    assert_eq!((steps(&place, "run"), standing(&place, "run", 9)), (vec![4, 8, 9], Value::Null));
    let bad = place.numbers("run", 9);
    let more = format!("{run} --set steps=40 --set guard.abort=6");
    let hint = "up to step 15\nhint: the checkpoint of step 9 will be passed over for the one before: lower";
    place.fails(&format!("{more} --processes 2 --threads 1"), 1, hint);
    let why = "6 steps in a row were skipped with its weights";
    assert_eq!(standing(&place, "run", 9), serde_json::json!({ "bad": why }));
    assert!(place.numbers("run", 9) == bad);
    // Who asks for it gets it.
    place.fails(&format!("{more} --set checkpoint.bad=true"), 1, "going on after step 9\n");
    // Nobody else does: neither a run nor who looks for its model.
    let (out, _) = place.fine("generate run --ids 1 --tokens 4");
    assert_eq!(place.fine("generate run/checkpoints/step-000000008 --ids 1 --tokens 4").0, out);
    let (_, said) = place.fine(run);
    let passed = format!("warning: the checkpoint of step 9 is passed over: {why}\ngoing on after step 8\n");
    assert!(said.contains(&passed), "{said}");
    // It is as if the bad step had never been, and what was bad is gone.
    let whole = run.replace("--output run", "--output whole");
    place.fine(&format!("{whole} --set steps=8"));
    place.fine(&whole);
    assert!(place.checkpoint("run", 20) == place.checkpoint("whole", 20));
    assert_eq!(steps(&place, "run"), [12, 16, 20]);
}

#[test]
fn a_run_whose_weights_were_bad_from_the_beginning_says_so() {
    let place = Place::new();
    let run = "pretrain run.yaml --output run --set data.validation=0 --set guard.abort=6";
    place.fine(&format!("{run} --set steps=1{BREAKS}"));
    place.fails(&format!("{run} --set steps=40"), 1, "the checkpoint of step 1 will be passed over");
    let words = "of the checkpoint of step 1 it is known that 6 steps in a row were skipped with its weights\n\
                 hint: no checkpoint has weights to go on from";
    place.fails(run, 64, words);
}

#[test]
fn a_run_does_not_end_with_weights_whose_loss_is_no_number() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run --set steps=8");
    place.fine(&format!("pretrain run.yaml --output run --set steps=9{BREAKS}"));
    let (_, said) = place.fine("pretrain run.yaml --output run");
    let passed =
        "the checkpoint of step 9 is passed over: its loss on held-out windows is no number\ngoing on after step 8";
    assert!(said.contains(passed), "{said}");
    // Nor with such as are none themselves.
    place.fine("pretrain run.yaml --output inf --set data.validation=0 --set steps=8");
    place.fine("pretrain run.yaml --output inf --set data.validation=0 --set steps=9 --set optimizer.rate=1e40");
    // Who names them all the same gets no text that looks like one.
    for way in ["", " --temperature 1"] {
        let broken = format!("generate inf/checkpoints/step-000000009 --ids 1,2 --tokens 4{way}");
        place.fails(
            &broken,
            64,
            "error: after 2 tokens 32 of 32 logits are no finite numbers\nhint: the model is broken",
        );
    }
    let (_, said) = place.fine("pretrain run.yaml --output inf --set data.validation=0");
    let passed = "the checkpoint of step 9 is passed over: not all of its weights are numbers\ngoing on after step 8";
    assert!(said.contains(passed), "{said}");
}
