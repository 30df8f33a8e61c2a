use super::*;
use corpus::shard::ShardWriter;
use corpus::store::Store;

/// Shards whose documents are given by length; their tokens count up over all of them.
fn shards(folder: &Path, shards: &[&[usize]], vocabulary: u32) -> Vec<PathBuf> {
    let store = Store::create(folder).unwrap();
    let mut token = 0;
    let mut paths = Vec::new();
    for (number, documents) in shards.iter().enumerate() {
        let name = format!("s-{number}");
        let mut writer = ShardWriter::new(&store, &name, vocabulary, 0).unwrap();
        for length in *documents {
            let tokens: Vec<u32> = (token..token + *length as u32).collect();
            token += *length as u32;
            writer.push(&tokens, false).unwrap();
        }
        writer.seal(&store).unwrap();
        paths.push(store.path(&format!("{name}.bin")));
    }
    paths
}

#[test]
fn windows_go_on_over_documents_and_shards() {
    let folder = tempfile::tempdir().unwrap();
    for vocabulary in [1000, 70_000] {
        let paths = shards(folder.path(), &[&[3, 0, 5], &[], &[1, 8]], vocabulary);
        let slice = Slice::open("s", &Shards::Any(paths.clone())).unwrap();
        assert_eq!((slice.tokens, slice.windows(4), slice.windows(16), slice.windows(17)), (17, 4, 1, 0));
        let mut out = Sequences::default();
        for window in 0..4 {
            slice.window(window, 4, 1000, &mut out).unwrap();
        }
        assert_eq!(out.tokens, (0..16).collect::<Vec<u32>>());
        assert_eq!(out.targets, (1..17).collect::<Vec<u32>>());
        // Documents begin at 0, 3, 8 and 9; in each window, at 0 at the earliest.
        assert_eq!(out.starts, [0, 0, 0, 3, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(out.counted(), 16);
    }
}

#[test]
fn a_mask_is_that_of_targets() {
    let folder = tempfile::tempdir().unwrap();
    let paths = shards(folder.path(), &[&[5], &[4]], 1000);
    std::fs::write(paths[1].with_extension("mask"), [0, 1, 1, 0]).unwrap();
    let slice = Slice::open("s", &Shards::Any(paths.clone())).unwrap();
    let mut out = Sequences::default();
    slice.window(0, 8, 1000, &mut out).unwrap();
    assert_eq!(out.counts, [true, true, true, true, false, true, true, false]);
    std::fs::write(paths[1].with_extension("mask"), [0, 1]).unwrap();
    let failure = Slice::open("s", &Shards::Any(paths.clone())).unwrap_err();
    assert!(failure.message.contains("2 bytes for 4 tokens"), "{failure}");
}

fn spec(text: &str) -> DataSpec {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let paths = shards(folder.path(), &[&[50], &[60]], 1000);
    let shards = format!(r#"{{"shards": {{"one": {:?}, "two": {:?}}}"#, paths[0], paths[1]);
    let open = |rest: &str, vocabulary| Data::open(&spec(&format!("{shards}{rest}}}")), 1, 8, vocabulary);
    let data = open("", 1000).unwrap();
    assert_eq!(data.sequences(0, 6).unwrap().slices.len(), 6);
    assert_eq!(data.sequences(2, 4).unwrap().tokens, data.sequences(0, 6).unwrap().tokens[16..32]);
    for (rest, words) in [
        (r#", "mixture": {"three": 1}"#, "no slice `three`"),
        (r#", "mixture": {"one": -1}"#, "-1"),
        (r#", "mixture": {"one": 0}"#, "no slice has a share"),
        (r#", "mixture": {"one": 1}, "epochs": {"one": 1}"#, "both"),
    ] {
        let failure = open(rest, 1000).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
    let small = open("", 100).unwrap();
    let failure = small.sequences(0, 20).unwrap_err();
    assert!(failure.message.contains("is not below the model's 100"), "{failure}");
    let other = open(r#", "mixture": {"one": 3, "two": 1}"#, 1000).unwrap();
    assert_ne!(other.former, data.former);
    assert_eq!((other.order.share(0), other.order.share(1)), (0.75, 0.25));
    let missing = spec(r#"{"shards": {"one": "nowhere/s.bin"}}"#);
    assert!(Data::open(&missing, 1, 8, 1000).unwrap_err().message.contains("nowhere/s.idx"));
    let missing = spec(r#"{"from": "nowhere"}"#);
    assert!(Data::open(&missing, 1, 8, 1000).unwrap_err().message.contains("no catalog.json"));
}

#[test]
fn a_slice_too_short_for_a_window_stops_no_run_that_does_not_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let paths = shards(folder.path(), &[&[50], &[7]], 1000);
    let open = |rest: &str| {
        let shards = format!(r#"{{"shards": {{"long": {:?}, "short": {:?}}}{rest}}}"#, paths[0], paths[1]);
        Data::open(&spec(&shards), 1, 8, 1000)
    };
    for rest in ["", r#", "epochs": {"long": 2}"#] {
        let data = open(rest).unwrap();
        assert_eq!((data.order.share(0), data.order.share(1)), (1.0, 0.0));
        assert!(data.sequences(0, 50).unwrap().slices.iter().all(|slice| *slice == 0));
    }
    for rest in [r#", "epochs": {"short": 1}"#, r#", "mixture": {"long": 1, "short": 1}"#] {
        assert!(open(rest).unwrap_err().message.contains("slice `short` has too few tokens for one window"));
    }
}

#[test]
fn shards_of_any_writer_are_read() {
    let others = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/shards/others");
    let said: serde_json::Value =
        serde_json::from_slice(&std::fs::read(format!("{others}/expected.json")).unwrap()).unwrap();
    let mut read = 0;
    for (name, right) in said.as_object().unwrap() {
        // All but the last document are ids; the last may hold none.
        let documents: Vec<Vec<i64>> = serde_json::from_value(right["documents"].clone()).unwrap();
        let slice = Slice::open("s", &Shards::Any(vec![PathBuf::from(format!("{others}/{name}.bin"))])).unwrap();
        let mut out = Sequences::default();
        slice.window(0, 10, 50_000, &mut out).unwrap();
        assert!(out.tokens.iter().map(|id| i64::from(*id)).eq(documents.concat().into_iter().take(10)), "{name}");
        // The two sequences of the first document are one document.
        assert_eq!(out.starts, [0, 0, 0, 0, 4, 4, 4, 4, 8, 8], "{name}");
        if let Some([document, position, token]) = right["wrong"].as_array().map(Vec::as_slice) {
            let last = slice.tokens as usize - 1;
            let failure = slice.window(0, last, 50_000, &mut Sequences::default()).unwrap_err();
            let words = match token.as_i64().unwrap() {
                ..0 => "which is no id".to_owned(),
                _ => "which is not below the model's 50000".to_owned(),
            };
            let place = format!("{name}.bin: token {position} of document {document} is {token}, {words}");
            assert!(failure.message.contains(&place) && failure.code == Code::Configuration, "{failure}, not {place}");
            read += 1;
        }
    }
    assert_eq!(read, 5);
}

#[test]
fn a_shard_that_is_none_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let others = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/shards/others");
    for ending in ["bin", "idx"] {
        std::fs::copy(others.join(format!("u16.{ending}")), folder.path().join(format!("cut.{ending}"))).unwrap();
    }
    std::fs::write(folder.path().join("cut.bin"), [0; 7]).unwrap();
    for (path, code, message, hint) in [
        (folder.path().join("cut.bin"), Code::Damaged, "cut.bin: 7 bytes long", "copy or write both anew"),
        (others.join("float6.bin"), Code::Configuration, "tokens of type 6, which are floats", "ids as integers"),
    ] {
        let failure = Slice::open("s", &Shards::Any(vec![path.clone()])).unwrap_err();
        assert!(failure.message.contains(message) && failure.code == code, "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
    // In a run's own folder it would be damage.
    let failure = Slice::open("s", &Shards::Ours(vec![others.join("i64.bin")], 1)).unwrap_err();
    assert!(failure.message.contains("i64.idx: has tokens of type 5; we write 8"), "{failure}");
}
