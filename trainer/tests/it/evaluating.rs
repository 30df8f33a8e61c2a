//! What models are evaluated on, and what is said of it.

use corpus::Digest;
use corpus::catalog::TokenizerEntry;

use crate::origin::{change, own};
use crate::place::{Place, read};

/// The rows of a table: slice, tokens, loss, perplexity, bits a byte, and what is said of its windows.
fn rows(table: &str) -> Vec<(String, u64, String, String)> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[1].parse().unwrap(), words[2].to_owned(), words[5..].join(" "))
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn windows_that_a_model_was_trained_on_never_count_as_held_out() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    place.fine("pretrain run.yaml --output one --set data.validation=1");
    // Nothing says what its tokens stand for: the slice's bytes stand for theirs.
    let (table, _) = place.fine("eval run --config run.yaml");
    assert!(table.lines().skip(1).all(|line| line.split_whitespace().nth(4).unwrap().starts_with('~')), "{table}");
    let said = |arguments: &str| rows(&place.fine(arguments).0);
    let notes = |arguments: &str| said(arguments).into_iter().map(|row| (row.1, row.3)).collect::<Vec<_>>();
    let same = |count: u64, note: &str| vec![(count, note.to_owned()); 2];
    assert_eq!(notes("eval run --config run.yaml"), same(112, "7 held out of its training"));
    // The first of them are the same.
    assert_eq!(notes("eval run --config run.yaml --set data.validation=2"), same(32, "2 held out of its training"));
    assert_eq!(notes("eval run --config run.yaml --set data.validation=80"), same(112, "7 held out of its training"));
    let words = "error: windows of `first` that the model was trained on would count as held out: its run has";
    for (arguments, run) in [
        ("eval run --config run.yaml --set sequence=8", "`sequence` 16 and `data.validation` 8"),
        ("eval one --config run.yaml", "`sequence` 16 and `data.validation` 1"),
    ] {
        place.fails(arguments, 64, &format!("{words} {run}\n"));
        let set = run.replace("` ", "=").replace("and ", "").replace('`', "--set ");
        place.fails(arguments, 64, &format!("hint: `{set}` takes the run's own; `--all` evaluates all"));
    }
    assert_eq!(notes("eval one --config run.yaml --set data.validation=1"), same(16, "1 held out of its training"));
    // A slice without a share of the mixture was not trained on.
    place.fine("pretrain run.yaml --output half --set data.mixture.first=1");
    let half = notes("eval half --config run.yaml");
    assert_eq!(
        (half[0].1.as_str(), half[1].1.as_str()),
        ("7 held out of its training", "7 of shards it was not trained on")
    );
    // A corpus that was built anew with the same shards in it has another digest, and the same windows.
    change(&place, |catalog| catalog.plan = Digest::of(b"another"));
    place.fails("eval one --config run.yaml", 64, words);
    assert_eq!(notes("eval run --config run.yaml"), same(112, "7 held out of its training"));
    let first = "eval run --config run.yaml --set data.from=[] --set data.shards.mine=";
    let both = format!("{first}[corpus/shards/second.bin,corpus/shards/first.bin]");
    assert_eq!(notes(&format!("{first}corpus/shards/first.bin")), [(112, "7 held out of its training".to_owned())]);
    place.fails(&both, 64, "windows of `mine` that the model was trained on would count as held out: shards of it are");
    assert_eq!(notes(&format!("{both} --all")), [(2519, "158 of shards it was trained on in part".to_owned())]);
    // Shards without a catalog, by themselves and beside others.
    own(&place, &[300, 200]);
    let loose = "run.yaml --set data.from=[] --set data.shards.mine=";
    place.fine(&format!("pretrain {loose}own/s.bin --output loose"));
    std::fs::create_dir(place.path("moved")).unwrap();
    for ending in ["bin", "idx"] {
        std::fs::copy(place.path(&format!("own/s.{ending}")), place.path(&format!("moved/t.{ending}"))).unwrap();
    }
    assert_eq!(
        notes(&format!("eval loose --config {loose}moved/t.bin")),
        [(48, "3 held out of its training".to_owned())]
    );
    place.fails(&format!("eval loose --config {loose}moved/t.bin --set sequence=8"), 64, "its run has `sequence` 16");
    place.fails(&format!("eval loose --config {loose}[moved/t.bin,corpus/shards/first.bin]"), 64, "shards of it are");
    assert_eq!(notes("eval loose --config run.yaml --set sequence=8"), same(64, "8 of shards it does not know"));
    // What was written anew may be the same text: it is only not known. What has kept its name and index has changed.
    let bin = place.path("corpus/shards/first.bin");
    let mut tokens = read(&bin);
    tokens[999] ^= 1;
    std::fs::write(&bin, tokens).unwrap();
    let changed = "7 of shards that have changed since it was trained on them";
    assert_eq!(notes("eval run --config run.yaml")[0].1, changed);
    std::fs::rename(&bin, place.path("corpus/shards/f.bin")).unwrap();
    std::fs::rename(place.path("corpus/shards/first.idx"), place.path("corpus/shards/f.idx")).unwrap();
    assert_eq!(notes(&format!("{first}corpus/shards/f.bin")), [(112, "7 of shards it does not know".to_owned())]);
}

#[test]
fn a_corpus_for_testing_is_evaluated_whole() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    let (table, _) = place.fine("eval run --config run.yaml --all");
    let all = rows(&table);
    // Every token but the first is a target.
    let note = "79 of shards it was trained on, but for 7 windows";
    assert!(all.iter().all(|row| (row.1, row.3.as_str()) == (1259, note)), "{table}");
    let (longer, _) = place.fine("eval run --config run.yaml --all --set sequence=32");
    assert!(
        rows(&longer).iter().all(|row| (row.1, row.3.as_str()) == (1259, "40 of shards it was trained on")),
        "{longer}"
    );
    // However many are computed together, and from an end that is one token long.
    for micro in ["1", "8"] {
        assert_eq!(place.fine(&format!("eval run --config run.yaml --all --set micro={micro}")).0, table);
    }
    place.fine("eval run --config run.yaml --all --set sequence=17");
    // No slice is too small to be evaluated whole.
    own(&place, &[3, 2]);
    let tiny = "--config run.yaml --set data.from=[] --set data.shards.mine=own/s.bin";
    place.fails(&format!("eval run {tiny}"), 64, "`--all` evaluates all windows");
    let (table, _) = place.fine(&format!("eval run {tiny} --all"));
    assert_eq!((rows(&table)[0].1, rows(&table)[0].3.as_str()), (4, "1 of shards it does not know"));
    // Of a model that is no run of ours nothing is known.
    place.fine("export run --output exported");
    let (other, _) = place.fine("eval exported --config run.yaml --set sequence=8");
    assert!(
        rows(&other).iter().all(|row| row.3 == "8 of which it is not known whether it was trained on them"),
        "{other}"
    );
}

#[test]
fn data_that_a_model_cannot_read_is_refused() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    place.fine("export run --output exported");
    for model in ["run", "exported"] {
        let eval = format!("eval {model} --config run.yaml");
        let longer = format!("{eval} --set model.max_position_embeddings=64 --set sequence=64");
        place.fails(&longer, 64, "`sequence` is 64, the model's longest is 32\nhint: `--set sequence=32`");
    }
    let (ours, others) = (r#"{"is": "ours"}"#, r#"{"is": "another"}"#);
    std::fs::write(place.path("own.json"), ours).unwrap();
    std::fs::write(place.path("other.json"), others).unwrap();
    let (own, other) = (Digest::of(ours.as_bytes()).short(), Digest::of(others.as_bytes()).short());
    let tokenizer = |digest: Digest, end_of_document: u32| {
        change(&place, |catalog| {
            let own = catalog.tokenizer.take().unwrap();
            catalog.tokenizer = Some(TokenizerEntry { digest, end_of_document, ..own });
        });
    };
    let run = Digest::of(b"something").short();
    tokenizer(Digest::of(others.as_bytes()), 0);
    let words = format!(
        "the shards were made with tokenizer {other} (ours), that of the model's run is {run}\nhint: the model"
    );
    // That of a run is known, whatever the configuration says.
    place.fails("eval run --config run.yaml", 64, &words);
    place.fails("eval run --config run.yaml --set tokenizer=other.json", 64, &words);
    place.fails("eval exported --config run.yaml --set tokenizer=own.json", 64, &format!("own.json is {own}"));
    place.fails("eval run --config run.yaml --tokenizer own.json", 64, &format!("own.json is {own}"));
    for arguments in
        ["run --config run.yaml --tokenizer other.json", "exported --config run.yaml --set tokenizer=other.json"]
    {
        place.fine(&format!("eval {arguments}"));
    }
    tokenizer(Digest::of(b"something"), 7);
    for model in ["run", "exported"] {
        place.fails(
            &format!("eval {model} --config run.yaml"),
            64,
            "documents of the shards end with token 7, those of the model with 0",
        );
    }
    // What `pretrain` would refuse, `plan` tells.
    let (told, _) = place.fine("plan run.yaml");
    assert!(told.contains("data: documents of the shards end with token 7"), "{told}");
}
