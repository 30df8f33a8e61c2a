//! The model beside what other software computes from the same weights (`fixtures/make.py`).

use crate::support::{Gave, config, distance, given, run, tensors, weights};
use trainer::cpu::Float;

fn compare<F: Float>(name: &str, gave: &Gave<F>, bound: f64) {
    let right = tensors::<F>(&format!("{name}.safetensors"));
    let logits = distance(&gave.logits, &right["logits"]);
    assert!(logits < bound, "{name}: logits {logits:e}");
    let loss = (gave.loss / right["loss"][0].f64() - 1.0).abs();
    assert!(loss < bound, "{name}: loss {loss:e}");
    let gradients: Vec<&String> = right.keys().filter(|key| key.starts_with("gradient.")).collect();
    assert_eq!(gradients.len(), gave.gradients.len());
    let mut worst = 0.0f64;
    for key in gradients {
        let off = distance(&gave.gradients[&key["gradient.".len()..]], &right[key]);
        assert!(off < bound, "{name}: {key} {off:e}");
        worst = worst.max(off);
    }
    println!("{name}: logits {logits:.1e}, loss {loss:.1e}, gradients {worst:.1e} at most");
}

#[test]
fn logits_loss_and_gradients_are_hugging_face_s() {
    let given = given();
    for residual in ["sequential", "parallel"] {
        for act in ["tanh", "erf"] {
            let config = config(residual == "sequential", act);
            let gave = run::<f32>(2, &config, &weights(&config), &given, &given.plain(), false);
            compare(&format!("hugging_face-{residual}-{act}"), &gave, 1e-4);
        }
    }
}

#[test]
fn in_double_precision_they_are_equal_with_masks_and_documents() {
    let given = given();
    for (documents, residual, act) in
        [("documents", "sequential", "tanh"), ("documents", "parallel", "erf"), ("plain", "sequential", "erf")]
    {
        let config = config(residual == "sequential", act);
        let gave = run::<f64>(2, &config, &weights(&config), &given, &given.scales(), documents == "documents");
        compare(&format!("double-{documents}-{residual}-{act}"), &gave, 1e-9);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let given = given();
    let config = config(true, "tanh");
    let alone = run::<f32>(1, &config, &weights(&config), &given, &given.scales(), true);
    for threads in [2, 3, 7] {
        let together = run::<f32>(threads, &config, &weights(&config), &given, &given.scales(), true);
        assert!(together.logits == alone.logits && together.gradients == alone.gradients, "{threads} threads");
    }
}
