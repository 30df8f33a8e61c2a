use corpus::{Document, DocumentId, Meta, Signal, Verdict};

use super::*;
use crate::Workspace;

/// The signals of a text, each as it is written: `name=value`.
fn measured(options: &str, text: &str, meta: Meta) -> Vec<String> {
    let options: Signals = serde_saphyr::from_str(options).unwrap();
    let spec = crate::StageSpec::Signals(options.clone());
    let stage = options.with(Files::default());
    let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
    let mut document = Document::new(id, text.to_owned(), meta);
    assert!(matches!(stage.apply(&mut document, &mut Workspace::default()), Verdict::Keep));
    crate::spec::tests::signals_of(&spec, &document).split(' ').map(str::to_owned).collect()
}

#[track_caller]
fn is(options: &str, text: &str, signals: &str) {
    assert_eq!(measured(options, text, Meta::default()).join(" "), signals, "{options} of {text:?}");
}

#[test]
fn names_are_chosen_alone_and_by_group() {
    assert_eq!(Signals::default().writes().len(), 34);
    let choose = |only: &str| serde_saphyr::from_str::<Signals>(&format!("only: [{only}]")).map(|s| s.writes().len());
    assert_eq!(choose("all").unwrap(), 45);
    assert_eq!(choose("lines").unwrap(), 6);
    assert_eq!(choose("rps_doc_word_count, ccnet, rps_doc_word_count").unwrap(), 8);
    let error = choose("rps_doc_word_counts").unwrap_err().to_string();
    assert!(error.contains("no signal or group `rps_doc_word_counts`"), "{error}");
    is("only: [rps_doc_word_count]", "a b", "rps_doc_word_count=2");
}

#[test]
fn words_and_sentences_are_counted() {
    let text = "One TWO! Three... 4 #five\nsix… _ ²³ É\n";
    is(
        "only: [natural_language]",
        text,
        "rps_doc_frac_all_caps_words=0.15384615 rps_doc_frac_lines_end_with_ellipsis=0 \
         rps_doc_frac_no_alph_words=0.61538462 rps_doc_frac_unique_words=1 rps_doc_mean_word_length=3 \
         rps_doc_num_sentences=3 rps_doc_symbol_to_word_ratio=0.23076923 rps_doc_unigram_entropy=2.07944154 \
         rps_doc_word_count=8",
    );
    is(
        "only: [rps_doc_frac_lines_end_with_ellipsis]",
        "a... \nb…\nc",
        "rps_doc_frac_lines_end_with_ellipsis=0.66666667",
    );
}

#[test]
fn content_is_counted() {
    is(
        "only: [rps_doc_curly_bracket, rps_doc_lorem_ipsum]",
        "{}aé Lorem, ipsum",
        "rps_doc_curly_bracket=0.11764706 rps_doc_lorem_ipsum=0.06666667",
    );
    is(
        "{ only: [rps_doc_stop_word_fraction], language: en }",
        "the cat isn't The",
        "rps_doc_stop_word_fraction=0.33333333",
    );
    is("only: [rps_doc_stop_word_fraction]", "the cat", "rps_doc_stop_word_fraction=-");
    is("{ only: [rps_doc_stop_word_fraction], language: fi }", "the cat", "rps_doc_stop_word_fraction=-");
}

#[test]
fn repeated_ngrams_are_weighed_by_their_characters() {
    let text = "to be or not to be or not to be";
    is(
        "only: [repetition]",
        text,
        "rps_doc_frac_chars_top_2gram=0.54545455 rps_doc_frac_chars_top_3gram=0.54545455 \
         rps_doc_frac_chars_top_4gram=0.81818182 rps_doc_frac_chars_dupe_5grams=1 rps_doc_frac_chars_dupe_6grams=1 \
         rps_doc_frac_chars_dupe_7grams=0 rps_doc_frac_chars_dupe_8grams=0 rps_doc_frac_chars_dupe_9grams=0 \
         rps_doc_frac_chars_dupe_10grams=0",
    );
}

#[test]
fn lines_are_measured_each() {
    is(
        "only: [lines]",
        "• Use JavaScript, 99!\n\nÉa.",
        "rps_lines_ending_with_terminal_punctution_mark=[0..22:1,22..23:0,23..26:1] \
         rps_lines_javascript_counts=[0..22:1,22..23:0,23..26:0] rps_lines_num_words=[0..22:4,22..23:0,23..26:1] \
         rps_lines_numerical_chars_fraction=[0..22:0.10526316,22..23:0,23..26:0] \
         rps_lines_start_with_bulletpoint=[0..22:1,22..23:0,23..26:0] \
         rps_lines_uppercase_letter_fraction=[0..22:0.13636364,22..23:0,23..26:0.33333333]",
    );
}

#[test]
fn what_cc_net_noted_is_taken_from_the_document() {
    let json = r#"{"length":9,"nlines":2,"original_length":40,"original_nlines":5,"language_score":0.97,"perplexity":214.5,"bucket":"middle"}"#;
    let meta = Meta { json: json.into(), ..Meta::default() };
    let told = "ccnet_length=9 ccnet_original_length=40 ccnet_nlines=2 ccnet_original_nlines=5 ccnet_language_score=0.97 \
                ccnet_perplexity=214.5 ccnet_bucket=1";
    assert_eq!(measured("only: [ccnet]", "text", meta).join(" "), told);
    is(
        "only: [ccnet]",
        "é\nb",
        "ccnet_length=3 ccnet_original_length=- ccnet_nlines=2 ccnet_original_nlines=- ccnet_language_score=- \
         ccnet_perplexity=- ccnet_bucket=-",
    );
}

#[test]
fn no_text_makes_a_measure_fail_or_write_what_is_no_number() {
    let long = "x".repeat(1 << 20);
    let repeated = "und so weiter ".repeat(5000);
    let texts = [
        "",
        "\n",
        " \t\u{3000} ",
        "....",
        "!?#…。",
        "这是没有空格的中文。它没有空格。",
        "ข้อความภาษาไทยไม่มีช่องว่าง",
        "これは日本語のテキストです。",
        "שָׁלוֹם עוֹלָם",
        "مرحبا بالعالم ١٢٣",
        "👩‍👩‍👧‍👦 🏳️‍🌈🏳️‍🌈\n👍🏽",
        "\u{0}\u{1}\u{7f}\u{feff}",
        &long,
        &repeated,
    ];
    for text in texts {
        let all = measured("{ only: [all], language: en }", text, Meta::default());
        assert_eq!(all.len(), 45);
        assert!(!all.iter().any(|value| value.contains("NaN") || value.contains("inf")), "{text:.40?}: {all:?}");
    }
    let empty = measured("{ language: en }", "", Meta::default());
    for value in [
        "ccnet_length=0",
        "rps_doc_curly_bracket=0",
        "rps_doc_stop_word_fraction=0",
        "rps_doc_mean_word_length=-",
        "rps_doc_unigram_entropy=-",
        "rps_doc_frac_chars_top_2gram=0",
        "rps_lines_num_words=[]",
        "rps_lines_start_with_bulletpoint=[0..0:-]",
    ] {
        assert!(empty.iter().any(|seen| seen == value), "{value} of {empty:?}");
    }
}

#[test]
fn rounding_is_python_s() {
    // `round(x, 8)` of each.
    for (value, python) in [
        (1.0 / 3.0, 0.33333333),
        (0.000000005, 1e-8),
        (0.000000015, 1e-8),
        (0.000000025, 2e-8),
        (2.5e-9, 0.0),
        (123456.123456785, 123456.12345679),
        (-1377.843309885, -1377.84330989),
        (1e300, 1e300),
        (0.1 + 0.2, 0.3),
    ] {
        assert_eq!(rounded(value), python, "{value}");
    }
    let mut state = 1u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (state >> 20) as f64 / 1e11;
        assert_eq!(rounded(value), format!("{value:.8}").parse::<f64>().unwrap(), "{value}");
    }
}

#[test]
fn signals_are_not_doubled() {
    let options: Signals = serde_saphyr::from_str("only: [rps_doc_word_count]").unwrap();
    let stage = options.with(Files::default());
    let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
    let mut document = Document::new(id, "a b c".to_owned(), Meta::default());
    let mut workspace = Workspace::default();
    stage.apply(&mut document, &mut workspace);
    document.edit("a".to_owned());
    stage.apply(&mut document, &mut workspace);
    assert_eq!(document.signals.get("rps_doc_word_count"), Some(&Signal::Integer(1)));
}

#[test]
fn each_signal_that_is_not_measured_alone_rests_on_a_variable() {
    for signal in &PUBLISHED {
        assert_eq!(rests_on(signal.spec.name).is_none(), signal.alone, "{}", signal.spec.name);
    }
}
