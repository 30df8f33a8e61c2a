//! Checkpoints that a run may not go on from, and what it says of them.

use corpus::catalog::{CATALOG, Catalog};
use corpus::shard::ShardWriter;
use corpus::store::Store;
use corpus::{Digest, catalog::TokenizerEntry};

use crate::place::{Place, read, text};
use crate::support::fixture;

const OTHERS: &str = "error: the checkpoints in run are of another run: ";

/// Rewrites the catalog of a place's corpus; its digest before, and now.
fn change(place: &Place, with: impl Fn(&mut Catalog)) -> (String, String) {
    let path = place.path("corpus").join(CATALOG);
    let mut catalog: Catalog = serde_json::from_slice(&read(&path)).unwrap();
    let before = catalog.digest.unwrap().short();
    with(&mut catalog);
    let catalog = catalog.sealed();
    std::fs::write(path, serde_json::to_vec(&catalog).unwrap()).unwrap();
    (before, catalog.digest.unwrap().short())
}

#[test]
fn a_run_that_may_not_go_on_says_what_has_changed() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run --set steps=2");
    for (set, words) in [
        (" --set seed=3", "`seed` was 0, is 3\nhint: set it back, or give another --output"),
        (" --set data.mixture.first=1", "`data.mixture.first` was not set, is 1\n"),
        (
            " --set data.validation=4 --set batch=4",
            "`batch` was 8, is 4; `data.validation` was 8, is 4\nhint: set them",
        ),
        (" --set model.rotary_pct=0.5", "`model.rotary_pct` was 0.25, is 0.5\n"),
    ] {
        place.fails(&format!("pretrain run.yaml --output run{set}"), 64, &format!("{OTHERS}{words}"));
    }
    // The same corpus somewhere else is the same corpus.
    std::fs::rename(place.path("corpus"), place.path("moved")).unwrap();
    let (_, said) = place.fine("pretrain run.yaml --output run --set steps=3 --set data.from=moved");
    assert!(said.contains("going on after step 2\n         `steps` was 2, is 3\n"), "{said}");
    std::fs::rename(place.path("moved"), place.path("corpus")).unwrap();
    // What may change is told.
    let (_, said) = place.fine("pretrain run.yaml --output run --set steps=4 --set optimizer.rate=1e-3");
    assert!(said.contains("         `optimizer.rate` was 0.02, is 0.001\n"), "{said}");
    let (before, now) = change(&place, |catalog| catalog.plan = Digest::of(b"another"));
    let words = format!("catalog `test` at corpus: its digest was {before}, is {now}\n");
    place.fails("pretrain run.yaml --output run", 64, &format!("{OTHERS}{words}"));
    let other = Digest::of(b"another tokenizer");
    let (_, now) = change(&place, |catalog| {
        let own = catalog.tokenizer.take().unwrap();
        catalog.tokenizer = Some(TokenizerEntry { digest: other, ..own });
    });
    let (own, other) = (Digest::of(b"something").short(), other.short());
    let words = format!(
        "catalog `test` at corpus: its digest was {before}, is {now}; \
         tokenizer: its digest was {own} (ours), is {other} (ours)\n"
    );
    place.fails("pretrain run.yaml --output run", 64, &format!("{OTHERS}{words}"));
}

#[test]
fn shards_without_a_catalog_are_known_by_their_indexes() {
    let place = Place::new();
    let store = Store::create(place.path("own")).unwrap();
    let write = |lengths: &[usize]| {
        let mut writer = ShardWriter::new(&store, "s", 32, 0).unwrap();
        for length in lengths {
            writer.push(&vec![7; *length], false).unwrap();
        }
        writer.seal(&store).unwrap();
        Digest::of(&store.read("s.idx").unwrap()).short()
    };
    write(&[300, 200]);
    let run = "pretrain run.yaml --output run --set data.from=[] --set steps=2 --set data.shards.mine=";
    place.fine(&format!("{run}own/s.bin"));
    std::fs::create_dir(place.path("new")).unwrap();
    for ending in ["bin", "idx"] {
        std::fs::copy(place.path(&format!("own/s.{ending}")), place.path(&format!("new/t.{ending}"))).unwrap();
    }
    place.fine(&format!("{run}new/t.bin"));
    // As many tokens, and other documents.
    write(&[200, 300]);
    place.fails(&format!("{run}own/s.bin"), 64, &format!("{OTHERS}shards of `mine`: their digest was "));
    place.fails(&format!("{run}corpus/shards/first.bin"), 64, &format!("{OTHERS}shards of `mine`: "));
    place.fails("pretrain run.yaml --output run", 64, "shards of `mine` are not read any more");
}

/// A checkpoint that was written before they said what a run is made of.
#[test]
fn checkpoints_of_format_1_are_still_gone_on_from() {
    let place = Place::new();
    let to = place.path("run/checkpoints/step-000000006");
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(fixture("format-1")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let run = "pretrain run.yaml --output run --set model.hidden_size=8 --set model.num_attention_heads=1";
    let said =
        "the checkpoints in run are of another run\nhint: its model, data, mixture, seed, batch or sequence were";
    place.fails(&format!("{run} --set seed=1"), 64, said);
    let (_, said) = place.fine(run);
    assert!(
        said.contains("going on after step 6\nstep 7/20 ") || said.contains("going on after step 6\npeak"),
        "{said}"
    );
    let state: serde_json::Value = serde_json::from_slice(&place.checkpoint("run", 20)["state.json"]).unwrap();
    assert_eq!((&state["format"], &state["origin"]["must"]["seed"]), (&2.into(), &"0".into()));
    // One of a format to come is none that we could read.
    let path = place.path("run/checkpoints/step-000000020/state.json");
    std::fs::write(&path, text(&read(&path)).replacen("\"format\": 2", "\"format\": 3", 1)).unwrap();
    place.fails(run, 64, "state.json is of format 3\nhint: this trainer reads formats 1 to 2");
}
