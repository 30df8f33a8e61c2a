//! Messages of pipelines, and what is right.

use super::models::is_known;
use super::set::assign;
use super::yaml::parse_pipeline;
use super::*;

/// The message for a pipeline, as a user sees it.
fn message(yaml: &str) -> String {
    let failure = match parse_pipeline("p.yaml", yaml) {
        Err(failure) => failure,
        Ok(pipeline) => {
            let read = Read {
                name: "p".into(),
                folder: None,
                file: "p.yaml".into(),
                text: yaml.into(),
                pipeline,
                others: Others::new(),
            };
            read.check().expect_err("a wrong pipeline")
        }
    };
    crate::report::words(&failure)
}

#[test]
fn an_unknown_stage_is_shown_with_a_suggestion() {
    assert_eq!(
        message("slices:\n  c4: {}\nstages:\n  - line_lenth: {}\n"),
        "error: unknown stage `line_lenth`\n --> p.yaml:4:5\n  |\n4 |   - line_lenth: {}\n  |     ^^^^^^^^^^\n\
         hint: did you mean `line_length`? `redpajama stages` lists them all"
    );
}

#[test]
fn every_mistake_points_at_its_place() {
    let rows = [
        ("slices:\n  gihub: {}\n", "p.yaml:2:3", "unknown slice `gihub`", "did you mean `github`"),
        ("slices:\n  c4: {}\nstages:\n  - line_length: { maks: 3 }\n", "p.yaml:4:20", "unknown option `maks`", "`max`"),
        (
            "slices:\n  c4: {}\nstages:\n  - line_length: { max: red }\n",
            "p.yaml:4:25",
            "a whole number",
            "`redpajama stages line_length` tells its options",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - line_length:\n      # Ours.\n      max_mean: 3\n      max: -3\n",
            "p.yaml:7:12",
            "a whole number from 0",
            "`redpajama stages line_length` tells its options",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - line_length: { max: 99999999999999999999999999 }\n",
            "p.yaml:4:25",
            "is too large: expected a whole number from 0 to 18446744073709551615",
            "stages line_length`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - alphanumeric_share: { min: 25 }\n",
            "p.yaml:4:32",
            "25 is not a share",
            "`redpajama stages alphanumeric_share`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - pack: { shard_tokens: 0 }\n",
            "p.yaml:4:27",
            "0 is too small",
            "`redpajama stages pack`",
        ),
        (
            "slices:\n  c4:\n    source: { language: [en] }\n",
            "p.yaml:3:25",
            "expected one value, not a list",
            "`redpajama sources c4` tells its options",
        ),
        ("slices:\n  c4: {}\nallow_unusable: 7\n", "p.yaml:3:17", "7 is not a share", "`redpajama schema`"),
        (
            "slices:\n  c4: {}\ntokenizer: a\nstages:\n  - tokenize\n  - pack: {}\n",
            "p.yaml:5:5",
            "`tokenize` without its options",
            "a stage is a map: `- tokenize: {}`",
        ),
        (
            "slices:\n  c4:\n    stages:\n      - exact_dedup\n",
            "p.yaml:4:9",
            "`exact_dedup` without its options",
            "`- exact_dedup: {}`",
        ),
        ("slices:\n  c4: {}\nstages:\n  - {}\n", "p.yaml:4:5", "the name of a stage is missing", "empty_text: {}"),
        ("slices:\n  c4: {}\nstages:\n  -\n", "p.yaml:4:", "the name of a stage is missing", "empty_text: {}"),
        (
            "slices:\n  c4: {}\nstages:\n  - line_length: { max: 3\n  - license: {}\n",
            "p.yaml:4:25",
            "a whole number",
            "is a `}`, a `]` or a quote missing?",
        ),
        ("slices:\n  c4: {}\nstages:\n  - [license]\n", "p.yaml:4:5", "expected a stage", "empty_text: {}"),
        ("slices:\n\tc4: {}\n", "p.yaml:2:2", "a tab where", "indent with spaces"),
        ("slices:\n  c4: \"x\n", "p.yaml:2:7", "a quote that is never closed", "end the text"),
        ("slices:\n  c4: {}\n stages: 3\n", "p.yaml:3:2", "expected a key", "the same column"),
        ("slices:\n  c4:\n    input: [*.gz]\n", "p.yaml:3:13", "a name after `*`", "put quotes around"),
        ("slices:\n  c4: {}\nstags: []\n", "p.yaml:3:1", "unknown option `stags`", "did you mean `stages`"),
        ("slices:\n  c4: {}\nslices:\n  c4: {}\n", "p.yaml:3:1", "`slices` is there twice", "keep one"),
        ("slices:\n  c4: { stages: [ tokenize: {} ] }\n", "p.yaml:2:19", "needs a tokenizer", "gpt-neox-20b"),
        ("slices:\n  c4: {}\ntokenizer: a\nstages:\n  - pack: {}\n", "p.yaml:5:5", "without tokens", "tokenize"),
        (
            "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - keep_if:\n      line_cont: { min: 1 }\n",
            "p.yaml:6:7",
            "`line_cont`, which no stage before it writes",
            "did you mean `line_count`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - keep_if:\n      line_count: { min: 1 }\n",
            "p.yaml:5:7",
            "`line_count`, which no stage before it writes",
            "put `- line_statistics: {}` before it",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - content_hash: {}\n  - keep_if:\n      content_hash: { min: 1 }\n",
            "p.yaml:6:7",
            "`content_hash` by bounds, and it is a word",
            "one_of",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - keep_if:\n      line_count: { one_of: [a] }\n",
            "p.yaml:6:7",
            "`line_count` by words, and it is a number",
            "min",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - signals: { only: [rps_doc_word_counts] }\n",
            "p.yaml:4:23",
            "no signal or group `rps_doc_word_counts`",
            "`redpajama stages signals` tells its options",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - keep_if: { preset: gofer }\n",
            "p.yaml:4:24",
            "unknown value `gofer`",
            "did you mean `gopher`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - keep_if: { line_count: { max: 9, absent: kep } }\n",
            "p.yaml:5:46",
            "unknown value `kep`",
            "did you mean `keep`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - exact_dedup: { keep: { highest: line_cont } }\n",
            "p.yaml:5:37",
            "`line_cont`, which no stage before it writes",
            "did you mean `line_count`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - content_hash: {}\n  - exact_dedup: { keep: { lowest: content_hash } }\n",
            "p.yaml:5:",
            "`content_hash`, which is a word",
            "a number",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - exact_dedup: { bloom: { error_rate: 2 } }\n",
            "p.yaml:4:41",
            "2 is not an error rate",
            "`redpajama stages exact_dedup`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - exact_dedup: { keep: { higest: a } }\n",
            "p.yaml:4:",
            "unknown value `higest`",
            "did you mean `highest`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - signals: { only: [all] }\n  - keep_if:\n      \
             rps_doc_ml_wikiref_score: { min: 0.2 }\n",
            "p.yaml:6:7",
            "null throughout: `signals` measures it with `quality_model`, which the pipeline does not name",
            "`quality_model: …`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - signals: { only: [content] }\n  - keep_if: { \
             rps_doc_ut1_blacklist: { max: 1 } }\n",
            "p.yaml:5:16",
            "null throughout",
            "`blocked_domains: …`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - perplexity: {}\n  - keep_if: { perplexity: { max: 500 } }\n",
            "p.yaml:5:16",
            "null throughout",
            "`perplexity_model: …`",
        ),
        (
            "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - signals: {}\n  - perplexity: {}\n  \
             - keep_if: { ccnet_perplexity: { max: 500 } }\n",
            "p.yaml:7:16",
            "null throughout: `perplexity` stands after `signals`",
            "put `perplexity` before `signals`",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - perplexity: {}\n  - signals: {}\n  \
             - keep_if: { ccnet_perplexity: { max: 500 } }\n",
            "p.yaml:6:16",
            "null throughout: `perplexity` measures with `perplexity_model`",
            "`perplexity_model: …`",
        ),
        (
            "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - perplexity: {}\n  - bucket: {}\n",
            "p.yaml:6:5",
            "`perplexity` before `bucket` writes none",
            "`lines: glued`",
        ),
        (
            "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - perplexity: {}\n  - keep_if: { bucket: { one_of: [head] } }\n",
            "p.yaml:6:16",
            "`bucket`, which no stage before it writes",
            "`perplexity` before it does not, with its options",
        ),
        (
            "slices:\n  c4: {}\nstages:\n  - signals: { language: english }\n",
            "p.yaml:4:26",
            "no language `english`",
            "`redpajama stages signals`",
        ),
        ("slices: {}\n", "p.yaml:1:9", "at least one slice", ""),
        ("slices:\n  c4: {}\npartition: 0\n", "p.yaml:3:12", "0 is too small", ""),
        ("slices:\n  c4: { input: a.json }\n", "p.yaml:2:16", "expected a list", "[first, second]"),
    ];
    for (yaml, place, says, hint) in rows {
        let message = message(yaml);
        assert!(message.contains(place), "{message}\nmisses {place}");
        assert!(message.contains(says) && message.contains(hint), "{message}\nmisses {says} or {hint}");
    }
}

#[test]
fn options_that_do_not_fit_are_underlined_by_name() {
    for (stage, word) in [
        ("line_ngram_dedup: { share: 0.7, ngram: 5000 }", "ngram"),
        ("line_ngram_dedup: { ngram: 13, share: 0 }", "share"),
        ("exact_dedup: { keep: { highest: score }, bloom: { error_rate: 0.01 } }", "bloom"),
        ("exact_dedup: { bloom: { error_rate: 0.01 }, against: old }", "against"),
        ("substring_dedup: { min_tokens: 50, min_bytes: 200 }", "min_bytes"),
        ("substring_dedup:\n      at: lines\n      min_tokens: 50\n      min_bytes: 200", "min_bytes"),
        ("minhash_dedup: { verify: false, threshold: 0.9 }", "threshold"),
        ("minhash_dedup: { bands: 300, rows: 2 }", "bands"),
        ("minhash_dedup: { ngram: 65 }", "ngram"),
        ("minhash_dedup: { similarity: 0 }", "similarity"),
    ] {
        let said = message(&format!("slices:\n  c4: {{}}\nstages:\n  - {stage}\n"));
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains('^')).unwrap();
        let from = lines[at].find('^').unwrap();
        let underlined = &lines[at - 1][from..from + lines[at].matches('^').count()];
        assert_eq!(underlined, word, "{said}");
    }
}

#[test]
fn a_signal_that_a_model_or_the_source_may_tell_can_be_judged() {
    let keep = |model: &str, stages: &str| format!("slices:\n  common_crawl: {{}}\n{model}\nstages:\n{stages}");
    for yaml in [
        keep("perplexity_model: a", "  - perplexity: {}\n  - keep_if: { perplexity: { max: 5 } }\n"),
        keep(
            "perplexity_model: a",
            "  - perplexity: {}\n  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n",
        ),
        keep("", "  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n"),
        keep("", "  - perplexity: {}\n  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n"),
        keep(
            "quality_model: a",
            "  - signals: { only: [all] }\n  - keep_if: { rps_doc_ml_wikiref_score: { min: 0 } }\n",
        ),
    ] {
        let pipeline = parse_pipeline("p.yaml", &yaml).unwrap();
        let (name, file, text) = ("p".into(), "p.yaml".into(), yaml.clone());
        let read = Read { name, folder: None, file, text, pipeline, others: Others::new() };
        if let Err(failure) = read.check() {
            panic!("{yaml}: {}", crate::report::words(&failure));
        }
    }
}

#[test]
fn every_embedded_pipeline_is_right() {
    for name in embedded_pipelines() {
        read(name, &[]).unwrap_or_else(|failure| panic!("{name}: {}", crate::report::words(&failure)));
    }
    assert!(embedded_pipelines().any(|name| name == "original/github"));
}

/// The pipeline of all slices says again what each slice's own says; the two must not part.
#[test]
fn the_pipeline_of_all_slices_is_that_of_each() {
    let spelled = |spec: &SliceSpec, shared: &[Spanned<StageSpec>]| -> Vec<String> {
        let all = spec.stages.iter().chain(shared).map(|stage| serde_json::to_string(&stage.value).unwrap());
        let mut all: Vec<String> = all.collect();
        all.sort();
        all
    };
    let all = read("redpajama-1t", &[]).unwrap().pipeline;
    assert_eq!(all.slices.0.len(), sources::told().len());
    for (name, slice) in &all.slices.0 {
        let alone = read(name, &[]).unwrap().pipeline;
        let (_, own) = &alone.slices.0[0];
        assert_eq!(spelled(slice, &all.stages), spelled(own, &alone.stages), "{name}");
        let source = |slice: &SliceSpec| serde_json::to_value(&slice.source).unwrap();
        assert_eq!(source(slice), source(own), "{name}");
    }
    let models = models().unwrap();
    assert!(is_known("gpt-neox-20b") && is_known("ldnoobw-{language}") && !is_known("gpt"));
    assert_eq!(models["cc-net-en.arpa"].file, "cc_net/en.arpa.bin");
}

#[test]
fn every_source_s_example_is_a_slice_of_a_pipeline() {
    for told in sources::told() {
        let pipeline: Pipeline = parse(told.name, &format!("slices:\n  {}\n", told.example)).unwrap();
        assert_eq!(pipeline.slices.0[0].0, told.name);
    }
}

#[test]
fn a_key_is_set_wherever_it_lies() {
    let mut value = serde_json::json!({"stages": [{"line_length": {"max": 1}}, {"pack": null}], "slices": {"c4": {}}});
    for assignment in
        ["stages.line_length.max=5", "stages.pack={shard_tokens: 7}", "slices.c4.source.require=[text, url]", "a=b=c"]
    {
        assign(&mut value, assignment).unwrap();
    }
    let mut own = serde_json::json!({"slices": {"c4": {"stages": [{"license": {}}]}}, "stages": []});
    assign(&mut own, "stages.license.keep=[mit]").unwrap();
    assert_eq!(own["slices"]["c4"]["stages"][0]["license"]["keep"][0], "mit");
    let expected = serde_json::json!({
        "stages": [{"line_length": {"max": 5}}, {"pack": {"shard_tokens": 7}}],
        "slices": {"c4": {"source": {"require": ["text", "url"]}}}, "a": "b=c",
    });
    assert_eq!(value, expected);
    let hint = |value: &mut serde_json::Value, assignment: &str| assign(value, assignment).unwrap_err().hint.unwrap();
    assert_eq!(hint(&mut value, "stages.licence.keep=[]"), "it has: line_length, pack");
    assert_eq!(hint(&mut value, "stages.line_lenth.max=3"), "did you mean `line_length`? it has: line_length, pack");
    assert_eq!(hint(&mut own, "stages.licence.keep=[]"), "did you mean `license`? it has: license");
    assert!(assign(&mut value, "nothing").is_err());
}

#[test]
fn a_pipeline_is_named_by_its_path_below_pipelines() {
    for (path, name) in [
        ("pipelines/original/github.yaml", "original/github"),
        ("/a/pipelines/c4.yaml", "c4"),
        ("original/github", "original/github"),
        ("../mine.yaml", "mine"),
        ("./mine.yaml", "mine"),
    ] {
        assert_eq!(name_of(Path::new(path)), name);
    }
}
