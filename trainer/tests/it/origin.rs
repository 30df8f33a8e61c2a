//! Checkpoints that a run may not go on from, and what it says of them.

use corpus::catalog::{CATALOG, Catalog};
use corpus::shard::ShardWriter;
use corpus::store::Store;
use corpus::{Digest, catalog::TokenizerEntry};

use crate::place::{Place, read, text};
use crate::support::fixture;
use trainer::checkpoint::UNKNOWN;

const OTHERS: &str = "error: the checkpoints in run are of another run: ";

/// Rewrites the catalog of a place's corpus; its digest before, and now.
pub fn change(place: &Place, with: impl Fn(&mut Catalog)) -> (String, String) {
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

/// A shard of one word, `own/s.bin`, of documents of these lengths.
pub fn own(place: &Place, lengths: &[usize]) {
    let store = Store::create(place.path("own")).unwrap();
    let mut writer = ShardWriter::new(&store, "s", 32, 0).unwrap();
    for length in lengths {
        writer.push(&vec![7; *length], false).unwrap();
    }
    writer.seal(&store).unwrap();
    store.leave().unwrap();
}

/// Puts a checkpoint of an older format into `run`.
fn older(place: &Place, format: &str, step: u64) {
    let to = place.path(&format!("run/checkpoints/step-{step:09}"));
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(fixture(format)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn shards_without_a_catalog_are_known_by_indexes_tokens_and_masks() {
    let place = Place::new();
    let own = |lengths| own(&place, lengths);
    own(&[300, 200]);
    let run = "pretrain run.yaml --output run --set data.from=[] --set steps=2 --set data.shards.mine=";
    place.fine(&format!("{run}own/s.bin"));
    std::fs::create_dir(place.path("new")).unwrap();
    for ending in ["bin", "idx"] {
        std::fs::copy(place.path(&format!("own/s.{ending}")), place.path(&format!("new/t.{ending}"))).unwrap();
    }
    place.fine(&format!("{run}new/t.bin"));
    // The same index, and other tokens.
    let (bin, whole) = (place.path("own/s.bin"), read(&place.path("own/s.bin")));
    let mut other = whole.clone();
    other[999] ^= 1;
    std::fs::write(&bin, other).unwrap();
    let words = format!("{OTHERS}shard own/s.bin of `mine`: the digest of its tokens was ");
    place.fails(&format!("{run}own/s.bin"), 64, &words);
    std::fs::write(&bin, whole).unwrap();
    // A mask that was none.
    std::fs::write(place.path("own/s.mask"), [1; 500]).unwrap();
    let words = format!("{OTHERS}shard own/s.bin of `mine`: the digest of its mask was none, is ");
    place.fails(&format!("{run}own/s.bin"), 64, &words);
    std::fs::remove_file(place.path("own/s.mask")).unwrap();
    place.fine(&format!("{run}own/s.bin"));
    // As many tokens, and other documents.
    own(&[200, 300]);
    let words = format!("{OTHERS}shard own/s.bin of `mine`: the digest of its index was ");
    place.fails(&format!("{run}own/s.bin"), 64, &words);
    let words = format!("{OTHERS}shard corpus/shards/first.bin of `mine`: ");
    place.fails(&format!("{run}corpus/shards/first.bin"), 64, &words);
    place.fails(&format!("{run}own/s.bin --set data.shards.more=new/t.bin"), 64, "shards of `more` were not read");
    place.fails("pretrain run.yaml --output run", 64, "shards of `mine` are not read any more");
}

/// A checkpoint that was written before they said what a run is made of.
#[test]
fn checkpoints_of_format_1_are_still_gone_on_from() {
    let place = Place::new();
    older(&place, "format-1", 6);
    let run = "pretrain run.yaml --output run --set model.hidden_size=8 --set model.num_attention_heads=1";
    let said =
        "the checkpoints in run are of another run\nhint: its model, data, mixture, seed, batch or sequence were";
    place.fails(&format!("{run} --set seed=1"), 64, said);
    let (_, said) = place.fine(run);
    assert_eq!(said.matches(UNKNOWN).count(), 1, "{said}");
    assert!(
        said.contains("going on after step 6\nstep 7/20 ") || said.contains("going on after step 6\npeak"),
        "{said}"
    );
    let state: serde_json::Value = serde_json::from_slice(&place.checkpoint("run", 20)["state.json"]).unwrap();
    assert_eq!((&state["format"], &state["origin"]["must"]["seed"]), (&3.into(), &"0".into()));
    // One of a format to come is none that we could read.
    let path = place.path("run/checkpoints/step-000000020/state.json");
    std::fs::write(&path, text(&read(&path)).replacen("\"format\": 3", "\"format\": 4", 1)).unwrap();
    place.fails(run, 64, "state.json is of format 4\nhint: this trainer reads formats 1 to 3");
}

/// A checkpoint that was written before they knew shards without a catalog by their tokens.
#[test]
fn checkpoints_of_format_2_are_still_gone_on_from() {
    let place = Place::new();
    older(&place, "format-2", 2);
    let run = "pretrain run.yaml --output run --set model.hidden_size=8 --set model.num_attention_heads=1 \
               --set data.from=[] --set data.shards.mine=own/s.bin";
    own(&place, &[200, 300]);
    let words = format!("{OTHERS}shards of `mine`: the digest of their indexes was ");
    place.fails(&format!("{run} --set steps=4"), 64, &words);
    let (table, said) =
        place.fine(&format!("{} --all", run.replace("pretrain run.yaml --output run", "eval run --config run.yaml")));
    assert!(
        table.contains("of which it is not known whether it was trained on them") && said.contains(UNKNOWN),
        "{table}{said}"
    );
    own(&place, &[300, 200]);
    let (_, said) = place.fine(&format!("{run} --set steps=4"));
    assert_eq!(said.matches(UNKNOWN).count(), 1, "{said}");
    assert!(said.contains("going on after step 2\n         `steps` was 2, is 4\n"), "{said}");
    // The next one knows them.
    let state: serde_json::Value = serde_json::from_slice(&place.checkpoint("run", 4)["state.json"]).unwrap();
    let (_, said) = place.fine(&format!("{run} --set steps=5"));
    assert!(!said.contains(UNKNOWN), "{said}");
    let known = &state["origin"]["shards"]["mine"][0];
    let tokens = serde_json::json!(Digest::sampled(&place.path("own/s.bin")).unwrap());
    assert_eq!((&known["path"], &known["tokens"]), (&"own/s.bin".into(), &tokens));
}

#[test]
fn what_has_changed_in_shards_of_a_catalog_is_found() {
    let place = Place::new();
    let run = "pretrain run.yaml --output run --set steps=2";
    place.fine(&format!("{run} --verify-data"));
    let (bin, whole) = (place.path("corpus/shards/first.bin"), read(&place.path("corpus/shards/first.bin")));
    let mut other = whole.clone();
    other[999] ^= 1;
    std::fs::write(&bin, &other).unwrap();
    let words = format!("{OTHERS}shard corpus/shards/first.bin of `first`: the digest of its tokens was ");
    place.fails(run, 64, &words);
    // A run that begins has nothing to compare with but the catalog, which takes reading it all.
    place.fine("pretrain run.yaml --output new --set steps=1");
    place.fails("pretrain run.yaml --output newer --verify-data", 65, "corpus/shards/first.bin: its digest is ");
    let (told, _) = place.fine("plan run.yaml --verify-data");
    assert!(told.contains("data: ") && told.contains("first.bin: its digest is "), "{told}");
    std::fs::write(&bin, &whole).unwrap();
    std::fs::write(place.path("corpus/shards/first.mask"), vec![1; whole.len() / 2]).unwrap();
    place.fails(run, 64, &format!("{OTHERS}shard corpus/shards/first.bin of `first`: the digest of its mask was none"));
    std::fs::remove_file(place.path("corpus/shards/first.mask")).unwrap();
    place.fine(run);
    // An index of its own, with as many tokens: no other run's either.
    own(&place, &[630, 630]);
    for ending in ["bin", "idx"] {
        std::fs::copy(place.path(&format!("own/s.{ending}")), place.path(&format!("corpus/shards/first.{ending}")))
            .unwrap();
    }
    place.fails("pretrain run.yaml --output newest", 65, "corpus/shards/first.idx: its digest is ");
    own(&place, &[630, 629]);
    for ending in ["bin", "idx"] {
        std::fs::copy(place.path(&format!("own/s.{ending}")), place.path(&format!("corpus/shards/first.{ending}")))
            .unwrap();
    }
    place.fails("pretrain run.yaml --output newest", 65, "first.bin: has 1259 tokens, its catalog says 1260");
}

#[test]
fn runs_with_slices_of_the_same_names_are_read_together() {
    let place = Place::new();
    place.fails("pretrain run.yaml --set data.from=[corpus,corpus]", 64, "`data.from: { one: DIR, other: DIR }` reads");
    std::fs::write(
        place.path("both.yaml"),
        text(&read(&place.path("run.yaml"))).replace("from: corpus", "from: { old: corpus, new: corpus }"),
    )
    .unwrap();
    let run = "pretrain both.yaml --output run --set steps=2 --set data.epochs.old/second=2";
    let (_, said) = place.fine(run);
    for slice in ["new/first", "new/second", "old/first", "old/second"] {
        assert!(said.contains(&format!("data     {slice} ")), "{said}");
    }
    let (table, _) = place.fine("eval run --config both.yaml");
    assert!(table.contains("\nold/second "), "{table}");
    let other = format!("{run} --set data.from={{old:corpus,newer:corpus}}").replace(':', ": ");
    let words: Vec<String> = other.split(" --set ").map(str::to_owned).collect();
    let mut command = place.command(&words[0]);
    for set in &words[1..] {
        command.args(["--set", set]);
    }
    let said = text(&command.output().unwrap().stderr);
    assert!(said.contains(&format!("{OTHERS}catalog `test` at corpus was called `new`, is called `newer`")), "{said}");
}

#[test]
fn weights_to_start_from_are_those_it_started_from() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output model --set steps=1");
    let model = "model/checkpoints/step-000000001";
    let run = "pretrain run.yaml --output run --set steps=2";
    place.fine(&format!("{run} --set start={model}"));
    place.fails(run, 64, &format!("{OTHERS}`start` was {model}, is not set\n"));
    // Weights that are gone were needed but once.
    place.fine(&format!("{run} --set start=nowhere"));
    let weights = place.path(model).join("model.safetensors");
    let mut other = read(&weights);
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(weights, other).unwrap();
    place.fails(
        &format!("{run} --set start={model}"),
        64,
        &format!("{OTHERS}the digest of `start`'s weights, in {model}"),
    );
}
