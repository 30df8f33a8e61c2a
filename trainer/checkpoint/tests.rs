use std::num::NonZeroU64;

use super::*;

fn keep(keep: u64, keep_every: u64) -> CheckpointSpec {
    CheckpointSpec { keep: NonZeroU64::new(keep).unwrap(), keep_every, ..CheckpointSpec::default() }
}

/// The state of a checkpoint without files.
fn state(step: u64, standing: Standing) -> State {
    let run = Digest::of(b"run");
    State { format: FORMAT, step, past: Past::default(), run, origin: None, standing, files: Vec::new(), digest: None }
}

fn folders_of(store: &Store) -> Vec<String> {
    let entries = std::fs::read_dir(store.path(CHECKPOINTS)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_was_never_whole_goes_and_what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    for step in [4, 8, 12] {
        write_state(&store, state(step, Standing::Good)).unwrap();
    }
    // A crash before the state was there, before anything was, and while it was removed.
    store.write(&format!("{}/{MOMENTS}", name(10)), b"half").unwrap();
    std::fs::create_dir(store.path(&name(16))).unwrap();
    store.write(&format!("{}/config.json", name(2)), b"{}").unwrap();
    for other in ["step-5/mine", "step-best/mine", "notes"] {
        store.write(&format!("{CHECKPOINTS}/{other}"), b"kept").unwrap();
    }
    prune(&store, &keep(2, 0)).unwrap();
    assert_eq!(folders_of(&store), ["notes", "step-000000008", "step-000000012", "step-5", "step-best"]);
    assert_eq!(steps(store.root()).unwrap(), [8, 12]);
}

/// One letter a checkpoint, at steps 1, 2, 3…: good, untried, bad, or a state that cannot be read.
#[test]
fn the_last_stay_and_so_does_every_nth() {
    for (before, last, every, after) in [
        ("gggggg", 2, 0, "    gg"),
        ("gggggg", 1, 0, "     g"),
        ("gggggg", 9, 0, "gggggg"),
        ("gggggg", 2, 2, " g ggg"),
        ("ggggggggg", 1, 3, "  g  g  g"),
        ("gggggggg", 1, 3, "  g  g g"),
        ("gggggg", 1, 1, "gggggg"),
        // What no step has passed with counts as well, but never takes the place of the last that is good.
        ("gggggu", 2, 0, "    gu"),
        ("gggguu", 2, 0, "   guu"),
        ("gggggu", 1, 0, "    gu"),
        ("uuuuuu", 2, 0, "    uu"),
        // What is bad or cannot be read does not count, and goes when it is older than what stays.
        ("ggggbb", 2, 0, "  ggbb"),
        ("gbggxg", 2, 0, "   gxg"),
        ("gbxggg", 2, 0, "    gg"),
        ("gbgggg", 1, 2, "   g g"),
        ("gxgggg", 1, 2, " x g g"),
        ("bbb", 2, 0, "bbb"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for (at, letter) in before.chars().enumerate() {
            let step = at as u64 + 1;
            let standing = match letter {
                'g' => Standing::Good,
                'u' => Standing::Untried,
                _ => Standing::Bad("so it is".to_owned()),
            };
            write_state(&store, state(step, standing)).unwrap();
            if letter == 'x' {
                store.write(&format!("{}/{STATE}", name(step)), b"{").unwrap();
            }
        }
        prune(&store, &keep(last, every)).unwrap();
        let left: Vec<u64> = steps(store.root()).unwrap();
        let right: Vec<u64> =
            (1u64..).zip(after.chars()).filter(|(_, letter)| *letter != ' ').map(|(at, _)| at).collect();
        assert_eq!(left, right, "{before}, the last {last}, every {every}");
    }
}

#[test]
fn a_mark_is_part_of_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    write_state(&store, state(4, Standing::Untried)).unwrap();
    let text = String::from_utf8(store.read(&format!("{}/{STATE}", name(4))).unwrap()).unwrap();
    assert!(!text.contains("standing"), "{text}");
    mark(&store, 4, Standing::Bad("so it is".to_owned())).unwrap();
    assert_eq!(read_state(&store, 4).unwrap().standing, Standing::Bad("so it is".to_owned()));
    mark(&store, 4, Standing::Good).unwrap();
    assert_eq!(read_state(&store, 4).unwrap().standing, Standing::Good);
    // Nobody makes a bad one good by hand unseen.
    mark(&store, 4, Standing::Bad("so it is".to_owned())).unwrap();
    let file = format!("{}/{STATE}", name(4));
    let text = String::from_utf8(store.read(&file).unwrap()).unwrap().replace("so it is", "it is not");
    store.write(&file, text.as_bytes()).unwrap();
    assert!(read_state(&store, 4).unwrap_err().message.contains("is not as it was written"));
}
