//! What is said of configurations and models that cannot be, before anything starts.

use crate::place::{Place, read, text};

#[test]
fn a_configuration_that_is_none_is_named() {
    let place = Place::new();
    std::fs::write(place.path("empty.yaml"), "").unwrap();
    std::fs::write(place.path("latin.yaml"), b"# ours\nmodel: pyth\xeda-14m\n").unwrap();
    for (arguments, code, words) in [
        ("pretrain empty.yaml", 64, "the configuration is empty"),
        ("plan latin.yaml", 64, "latin.yaml: line 2 is not UTF-8"),
        ("pretrain latin.yaml", 64, "hint: save the file as UTF-8"),
    ] {
        place.fails(arguments, code, words);
    }
}

#[test]
fn without_a_configuration_one_is_proposed_that_trains() {
    let place = Place::new();
    place.fails("pretrain", 2, "data: { from: \"OUT\" }");
    place.fails("pretrain --set data.from=nowhere", 64, "nowhere has no catalog.json");
    let said = text(&place.run("pretrain --set data.from=corpus").stderr);
    let (hint, proposed) = said.split_once("\n\n").unwrap();
    assert!(hint.contains("write this to run.yaml") && hint.contains("redpajama-train pretrain run.yaml`"), "{hint}");
    std::fs::write(place.path("run.yaml"), proposed).unwrap();
    place.fine("pretrain run.yaml --set steps=1");
    let (table, _) = place.fine("eval runs/run --config run.yaml");
    assert!(table.contains("first") && table.contains("second"), "{table}");
}

#[test]
fn what_is_proposed_names_the_tokenizer_that_made_the_shards() {
    let place = Place::new();
    let proposed = || text(&place.run("pretrain --set data.from=corpus").stderr);
    let file = place.path("t.json");
    std::fs::write(
        place.path("corpus/plan.json"),
        serde_json::json!({"format": 1, "tokenizer_path": file}).to_string(),
    )
    .unwrap();
    assert!(proposed().contains("\n# tokenizer: PATH "), "{}", proposed());
    // What the corpus says that made it.
    std::fs::write(&file, "something").unwrap();
    let line = format!("\ntokenizer: {:?}\n", file.canonicalize().unwrap());
    assert!(proposed().contains(&line), "{}", proposed());
    std::fs::write(&file, "another").unwrap();
    assert!(proposed().contains("\n# tokenizer: PATH "), "{}", proposed());
}

#[test]
fn a_folder_is_no_configuration() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    std::fs::create_dir(place.path("runs")).unwrap();
    std::fs::copy(place.path("run.yaml"), place.path("runs/first.yaml")).unwrap();
    place.fine("pretrain run.yaml --output run --set steps=1");
    let model = "run/checkpoints/step-000000001";
    for (folder, words) in [
        ("empty", "hint: name the YAML file of a run"),
        ("runs", "hint: there is runs/first.yaml in it"),
        ("corpus", "hint: it is a corpus: `redpajama train corpus` proposes a configuration"),
        (model, "hint: it is a model: a configuration names it, as in `model: run/"),
    ] {
        for command in ["pretrain", "plan", "eval run --config"] {
            place.fails(
                &format!("{command} {folder}"),
                64,
                &format!("{folder} is a folder, not the file of a configuration"),
            );
            place.fails(&format!("{command} {folder}"), 64, words);
        }
    }
}

#[test]
fn a_proposal_keeps_what_was_asked_for() {
    let place = Place::new();
    place.fails("pretrain --set data.from=\"corpus\" --output x", 2, "redpajama-train pretrain run.yaml --output x`:");
    place.fails("pretrain --set data.from=\"corpus\" --output x", 2, "data: { from: \"corpus\" }");
    place.fails("plan --set data.from=corpus --set steps=3", 2, "redpajama-train plan run.yaml --set steps=3`:");
    // As `redpajama train` starts it.
    let typed = "pretrain --set data.from=corpus --typed redpajama --typed train --typed corpus --output x";
    place.fails(typed, 2, "then run `redpajama train corpus run.yaml --output x`:");
}

#[test]
fn a_model_that_does_not_fit_is_told_before_it_starts() {
    let place = Place::new();
    // Some terabytes of what a forward pass keeps.
    std::fs::write(place.path("large.yaml"), "model: pythia-12b\ndata: { from: corpus }\nmicro: 1024\n").unwrap();
    let words = "pythia-12b does not fit: ";
    place.fails("pretrain large.yaml", 64, words);
    place.fails("pretrain large.yaml", 64, "`--overcommit` starts it all the same");
    assert!(!place.path("runs").exists());
    let (told, _) = place.fine("plan large.yaml");
    assert!(told.contains(words) && told.contains("\navailable ") && told.contains("\nat most "), "{told}");
    let (told, _) = place.fine("plan run.yaml");
    assert!(!told.contains("does not fit"), "{told}");
    // Nor is what does not fit measured.
    place.fails("bench pythia-14m --sequence 128 --batch 4000000000", 64, "error: these steps do not fit: ");
    // What fits is not kept from starting, nor is what is asked for.
    place.fine("pretrain run.yaml --set steps=1 --overcommit");
}

#[test]
fn several_tokens_may_end_a_text() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    place.fine("export run --output model");
    let drawn = "generate model --ids 5,16 --tokens 8 --temperature 2 --seed 4";
    let whole = place.fine(drawn).0;
    let tokens: Vec<u32> = whole.trim().split(',').map(|token| token.parse().unwrap()).collect();
    let at = tokens.iter().position(|token| *token != tokens[0]).unwrap();
    let path = place.path("model/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&read(&path)).unwrap();
    config["eos_token_id"] = serde_json::json!([0, tokens[at]]);
    std::fs::write(&path, config.to_string()).unwrap();
    let cut = place.fine(drawn).0;
    assert_eq!(cut.trim().split(',').count(), at, "{cut} of {whole}");
    // They go with the model, and a run may begin from it, whose shards know one of them.
    place.fine("import model --output imported");
    let written = text(&read(&place.path("imported/generation_config.json")));
    assert!(written.split_whitespace().collect::<String>().contains(&format!("[0,{}]", tokens[at])), "{written}");
    place.fine("pretrain run.yaml --output more --set model=imported --set start=imported --set steps=1");
}
