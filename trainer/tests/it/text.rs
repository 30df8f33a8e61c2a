//! Texts from models.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::json;

use crate::place::{Place, read, text};

#[test]
fn a_text_goes_on_as_its_tokens_do() {
    let place = Place::new();
    // A tokenizer of single letters, 1 to 26, and a space that is 27.
    let letters: BTreeMap<String, u32> =
        (1..=26).map(|id| (char::from(b'a' + id - 1).to_string(), u32::from(id))).chain([(" ".into(), 27)]).collect();
    let end = json!({"id": 0, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [end], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "vocab": letters, "merges": []},
    });
    std::fs::write(place.path("t.json"), tokenizer.to_string()).unwrap();
    let shards = "--set data.from=null --set data.shards.first=corpus/shards/first.bin";
    place.fine(&format!("pretrain run.yaml --output run --set tokenizer=t.json {shards}"));
    assert_eq!(read(&place.path("run/tokenizer.json")), read(&place.path("t.json")));
    let letter = |id: &str| match id.parse::<u8>().unwrap() {
        27 => ' ',
        id @ 1..=26 => char::from(b'a' + id - 1),
        // The model knows more tokens than the tokenizer.
        _ => '\0',
    };
    let drawn = "--tokens 12 --temperature 0.8 --seed 6";
    let (ids, _) = place.fine(&format!("generate run --ids 1,2,3 {drawn}"));
    let right: String = ids.trim().split(',').map(letter).filter(|letter| *letter != '\0').collect();
    assert!(right.len() > 2, "{ids}");
    assert_eq!(place.fine(&format!("generate run --prompt abc {drawn}")).0, format!("{right}\n"));
    let (several, _) = place.fine(&format!("generate run --prompt abc --samples 2 {drawn}"));
    assert!(several.starts_with(&format!("--- 1 of 2\n{right}\n\n--- 2 of 2\n")), "{several}");
    let (next, _) = place.fine("generate run --prompt abc --tokens 12 --temperature 0.8 --seed 7");
    assert!(several.ends_with(&format!("2 of 2\n{next}")), "{several}{next}");
    // Bits are for a byte of these very tokens' text: of letters and spaces, one each.
    let (table, _) = place.fine(&format!("eval run --config run.yaml --all {shards}"));
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let bin = read(&place.path("corpus/shards/first.bin"));
    let ids = bin.chunks(2).skip(1).map(|two| u16::from_le_bytes([two[0], two[1]]));
    let bytes = ids.filter(|id| (1..=27).contains(id)).count() as f64;
    let number = |at: usize| row[at].parse::<f64>().unwrap();
    let exact = number(2) / std::f64::consts::LN_2 * number(1) / bytes;
    assert!((number(4) - exact).abs() < 3e-4 && bytes > 900.0 && bytes < number(1) - 100.0, "{exact}: {table}");
    let metrics = text(&read(&place.path("run/metrics.jsonl")));
    let held: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let held = &held["held_out"]["first"];
    let said = |key: &str| held[key].as_f64().unwrap();
    let exact = said("loss") / std::f64::consts::LN_2 * said("tokens") / said("bytes");
    assert!((said("bits_per_byte") - exact).abs() < 1e-9 && said("bytes") < said("tokens"), "{held}");
    // A run that is refused keeps its own, and one that goes on says so of another.
    std::fs::write(place.path("u.json"), format!("{tokenizer:#}")).unwrap();
    let other = format!("pretrain run.yaml --output run {shards} --set tokenizer=u.json");
    place.fails(&format!("{other} --set seed=9"), 64, "`seed` was 0, is 9");
    assert_eq!(read(&place.path("run/tokenizer.json")), read(&place.path("t.json")));
    // What is none is refused before anything is there.
    std::fs::write(place.path("none.json"), "{}").unwrap();
    for arguments in [
        format!("pretrain run.yaml --output none {shards} --set tokenizer=none.json"),
        "export run --output none --tokenizer none.json".to_owned(),
    ] {
        place.fails(&arguments, 64, "none.json is not a tokenizer that we can run");
        assert!(!place.path("none").exists(), "{arguments}");
    }
    // What is exported has it, and what is imported of that; a checkpoint has that of its run.
    place.fine("export run --output exported");
    place.fine("import exported --output imported");
    for model in ["exported", "imported", "run/checkpoints/step-000000020"] {
        assert_eq!(place.fine(&format!("generate {model} --prompt abc {drawn}")).0, format!("{right}\n"), "{model}");
    }
    let (_, said) = place.fine(&format!("{other} --set steps=21"));
    assert!(said.contains("u.json takes the place of the tokenizer that was there"), "{said}");
    assert_eq!(read(&place.path("run/tokenizer.json")), read(&place.path("u.json")));
    let said: serde_json::Value = serde_json::from_slice(&read(&place.path("imported/tokenizer_config.json"))).unwrap();
    assert_eq!((&said["eos_token"], &said["model_max_length"]), (&json!("<|endoftext|>"), &json!(32)));
}

#[test]
fn without_a_reader_nothing_more_is_generated() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run --set steps=1");
    let mut command = place.command("generate run --ids 1 --tokens 20 --samples 10000 --temperature 1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // As `head -0` does.
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    let tokens: u32 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(ended.status.success() && tokens < 10_000, "{said}");
}
