//! Full disks.

use std::process::Command;

use crate::place::{Place, text};

fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.path(folder)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let place = Place::new();
    place.fine("pretrain slow.yaml --output whole");
    let options = " --set checkpoint.every=8";
    assert_eq!(place.until("run", "slow.yaml", 2, "-TERM", options), Some(0));
    let before = names(&place, "run/checkpoints");
    let step: u64 = before[0]["step-".len()..].parse().unwrap();
    let checkpoint = place.checkpoint("run", step);
    assert!(before.len() == 1 && step < 16, "{before:?}");
    // There is room for the weights and half of the moments; the write that is too long fails as one
    // to a full disk does.
    let room = (checkpoint["moments.safetensors"].len() as u64 * 3 / 4).div_ceil(1024);
    assert!(room * 1024 > checkpoint["model.safetensors"].len() as u64);
    let program = env!("CARGO_BIN_EXE_redpajama-train");
    let command = format!("trap '' XFSZ; ulimit -f {room}; exec '{program}' pretrain slow.yaml --output run{options}");
    let ended = Command::new("bash").args(["-c", &command]).current_dir(place.folder.path()).output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let failed = (step / 8 + 1) * 8;
    for words in [
        format!("error: the checkpoint of step {failed} is not written: cannot write run/.aside/"),
        "-moments.safetensors: ".to_owned(),
        "then run the same command again".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    // Not only when the next is due.
    assert!(said.contains(&format!("step {failed}/")) && !said.contains(&format!("step {}/", failed + 8)), "{said}");
    assert_eq!(names(&place, "run/checkpoints"), before);
    assert!(place.checkpoint("run", step) == checkpoint);
    assert!(!place.path("run/.aside").exists() && !place.path("run/.lock").exists());
    let (_, said) = place.fine(&format!("pretrain slow.yaml --output run{options}"));
    assert!(said.contains(&format!("going on after step {step}")), "{said}");
    assert!(place.checkpoint("run", 20) == place.checkpoint("whole", 20));
}
