//! Every gradient against finite differences, in double precision.

use crate::support::{config, given, run, weights};
use trainer::weights::{mix, specs};

#[test]
fn every_gradient_is_the_slope_of_the_loss() {
    let given = given();
    for (sequential, act, documents) in [(true, "tanh", true), (false, "erf", false)] {
        let config = config(sequential, act);
        let weights = weights::<f64>(&config);
        let gave = run(1, &config, &weights, &given, &given.scales(), documents);
        for (place, spec) in specs(&config).iter().enumerate() {
            let at = mix(place as u64) as usize % spec.count();
            let step = 1e-5;
            let moved = |by: f64| {
                let mut moved = weights.clone();
                moved.iter_mut().nth(place).unwrap()[at] += by;
                run(1, &config, &moved, &given, &given.scales(), documents).loss
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            let gradient = gave.gradients[&spec.name][at];
            assert!((slope - gradient).abs() < 1e-7, "{} [{at}]: slope {slope}, gradient {gradient}", spec.name);
        }
    }
}
