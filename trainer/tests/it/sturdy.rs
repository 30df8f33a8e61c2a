//! Full disks and processes that vanish.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

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
    let checkpoint = place.numbers("run", step);
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
    assert!(place.numbers("run", step) == checkpoint);
    assert!(!place.path("run/.aside").exists() && !place.path("run/.lock").exists());
    let (_, said) = place.fine(&format!("pretrain slow.yaml --output run{options}"));
    assert!(said.contains(&format!("going on after step {step}")), "{said}");
    assert!(place.checkpoint("run", 20) == place.checkpoint("whole", 20));
}

#[test]
fn of_four_processes_none_outlives_one_that_is_killed() {
    let place = Place::new();
    place.fine("pretrain slow.yaml --output one");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut four: Vec<Child> = (0..4)
        .map(|rank: u32| {
            let mut command = place.command("pretrain slow.yaml --output four --threads 1");
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", "4");
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut lines = BufReader::new(four[0].stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("step 5/")));
    four[2].kill().unwrap();
    let mut said = vec![lines.map(|line| line.unwrap() + "\n").collect::<String>()];
    let mut codes = vec![four.remove(0).wait().unwrap().code()];
    for child in four {
        let ended = child.wait_with_output().unwrap();
        codes.push(ended.status.code());
        said.push(text(&ended.stderr));
    }
    assert_eq!(codes, [Some(1), Some(1), None, Some(1)], "{said:?}");
    // Each names the one that was killed, not one that ended for its sake.
    for rank in [0, 1, 3] {
        let named = said[rank].contains("process 2: it is gone") || said[rank].contains(" has lost process 2\n");
        assert!(named, "{rank}: {said:?}");
    }
    place.fine("pretrain slow.yaml --output four --processes 4 --threads 1");
    assert!(place.checkpoint("four", 20) == place.checkpoint("one", 20));
}
