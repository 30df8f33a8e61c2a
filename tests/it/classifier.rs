//! `train-classifier` and `reference-urls`, from documents and a dump to a model that a pipeline asks.

use std::fs;

use crate::support::Folder;

const GOOD: [&str; 6] =
    ["The tide is out", "A grey sea", "The tide came in", "Ships came with the tide", "The sea is out", "A grey tide"];
const OTHERS: [&str; 6] =
    ["Buy now", "Click here now", "Cheap pills", "Add to cart now", "Buy cheap pills", "Click to buy"];

/// Pages of a crawl, each text long enough and at an address of its own.
fn folder() -> Folder {
    let folder = Folder::new();
    let lines = |texts: &[&str], site: &str| -> String {
        let line = |(number, text): (usize, &&str)| {
            let url = format!("https://www.{site}.example/{number}/");
            serde_json::json!({ "text": format!("{text} {number}. ").repeat(8), "url": url, "timestamp": "" })
                .to_string()
                + "\n"
        };
        texts.iter().enumerate().map(line).collect()
    };
    folder.write("good.jsonl", lines(&GOOD, "sea"));
    folder.write("others.jsonl", lines(&OTHERS, "shop"));
    folder.write("crawl.jsonl", lines(&GOOD, "sea") + &lines(&OTHERS, "shop"));
    folder
}

const SHORT: &str = "--min-length 20 --dim 8 --epoch 60 --lr 0.5 --held-out 0";

#[test]
fn a_classifier_goes_from_texts_to_a_pipeline() {
    let folder = folder();
    let said =
        folder.fine(&format!("train-classifier --positive good.jsonl --negative others.jsonl {SHORT} --output c.bin"));
    assert!(said.out.contains("nothing was measured"), "{}", said.out);
    folder.write(
        "p.yaml",
        "slices:\n  c4: {}\nstages: [ quality: {}, keep_if: { quality_score: { min: 0.5 } } ]\nquality_model: c.bin\n",
    );
    folder.fine("build p.yaml --input crawl.jsonl --output out");
    assert_eq!((folder.kept("out", "c4"), folder.gone("out", "c4", "signal_too_low")), (6, 6));
    assert_eq!(folder.catalog("out")["models"]["quality_model"]["name"], "c.bin");
}

#[test]
fn the_same_texts_give_the_same_bytes_and_a_report() {
    let folder = folder();
    let texts = "train-classifier --min-length 20 --dim 8 --held-out 0.4 --seed 3 --json";
    let first = folder.fine(&format!("{texts} --positive good.jsonl --negative others.jsonl --output a.bin"));
    // Of what both classes have, the copies count as positive.
    let again = folder.fine(&format!("{texts} --positive good.jsonl --negative crawl.jsonl --output b.bin"));
    assert_eq!(fs::read(folder.path("a.bin")).unwrap(), fs::read(folder.path("b.bin")).unwrap());
    let [first, again] = [first, again].map(|said| serde_json::from_str::<serde_json::Value>(&said.out).unwrap());
    assert_eq!(again["negative"]["twice"], 6);
    assert_eq!(first["auc"], again["auc"]);
    let class = &first["positive"];
    let number = |name: &str| class[name].as_u64().unwrap();
    assert_eq!(number("read"), 6);
    assert!(number("held_out") > 0 && number("held_out") + number("learned") <= 6, "{class}");
}

#[test]
fn positive_texts_are_chosen_by_what_a_dump_cites() {
    let folder = folder();
    let page = "a&lt;ref name=&quot;x&quot;&gt;{{cite web|url=http://sea.example/1}}&lt;/ref&gt; \
                b&lt;ref&gt;[https://sea.example/3 Sea]&lt;/ref&gt;&lt;ref&gt;http://sea.example/3&lt;/ref&gt;";
    let dump = format!(
        "<mediawiki>\n<page><title>T</title><ns>0</ns><revision><text>{page}</text></revision></page>\n</mediawiki>\n"
    );
    folder.write("pages.xml", dump);
    folder.fine("reference-urls pages.xml --output urls.txt");
    let urls = fs::read_to_string(folder.path("urls.txt")).unwrap();
    assert_eq!(urls, "http://sea.example/1\nhttp://sea.example/3\nhttps://sea.example/3\n");
    folder.fine("reference-urls pages.xml --original --output original.txt");
    assert_eq!(
        fs::read_to_string(folder.path("original.txt")).unwrap(),
        "https://sea.example/3\nhttp://sea.example/3\n".split_inclusive('\n').rev().collect::<String>()
    );
    folder.fine("reference-urls pages.xml --sample 1 --output one.txt");
    assert_eq!(fs::read_to_string(folder.path("one.txt")).unwrap().lines().count(), 1);
    let said = folder.fine(&format!(
        "train-classifier --positive crawl.jsonl --urls urls.txt --negative others.jsonl {SHORT} --json --output c.bin"
    ));
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["positive"]["learned"], &told["positive"]["not_in_the_list"]), (&2.into(), &10.into()));
}

#[test]
fn nothing_to_learn_from_is_a_wrong_configuration() {
    let folder = folder();
    let said = folder.ends("train-classifier --positive good.jsonl --negative others.jsonl", 64);
    assert!(said.err.contains("no positive text is left") && said.err.contains("--min-length"), "{}", said.err);
    let said = folder.ends("train-classifier --positive good.jsonl --negative others.jsonl --labels a a", 2);
    assert!(said.err.contains("two that differ"), "{}", said.err);
    folder.ends("train-classifier --positive missing.jsonl --negative others.jsonl", 64);
    folder.ends("reference-urls missing.xml", 1);
    assert!(!folder.path("classifier.bin").exists());
}

#[test]
fn what_diverged_leaves_the_model_that_was_there() {
    let folder = folder();
    let texts = "train-classifier --positive good.jsonl --negative others.jsonl --min-length 20 --dim 8 --held-out 0";
    folder.fine(&format!("{texts} --output c.bin"));
    let before = fs::read(folder.path("c.bin")).unwrap();
    let files = || fs::read_dir(folder.path(".")).unwrap().count();
    let count = files();
    let said = folder.ends(&format!("{texts} --output c.bin --lr 100 --epoch 200"), 64);
    assert!(said.err.contains("learning diverged") && said.err.contains("lower --lr, which is 100"), "{}", said.err);
    assert!(fs::read(folder.path("c.bin")).unwrap() == before, "the model was touched");
    assert_eq!(files(), count, "something is left beside it");
    let said = folder.ends(&format!("{texts} --output no/such/c.bin"), 64);
    assert!(said.err.contains("no such folder: ") && !folder.path("no").exists(), "{}", said.err);
    let said = folder.ends(&format!("{texts} --output ."), 64);
    assert!(said.err.contains("is a folder"), "{}", said.err);
}

#[test]
fn a_file_that_is_no_dump_is_an_error() {
    let folder = folder();
    let said = folder.ends("reference-urls good.jsonl --output urls.txt", 65);
    assert!(said.err.contains("good.jsonl is no Wikipedia dump"), "{}", said.err);
    assert!(!folder.path("urls.txt").exists());
}

#[test]
fn a_model_of_quality_that_does_not_fit_is_found_before_anything_runs() {
    let folder = folder();
    let pipeline = "slices:\n  c4: {}\nstages:\n  - empty_text: {}\n  - quality: {}\n";
    folder.write("p.yaml", pipeline);
    for command in ["plan p.yaml --input crawl.jsonl --output out", "build p.yaml --input crawl.jsonl --output out"] {
        let said = folder.ends(command, 64);
        assert!(said.err.contains("`quality` needs a model") && said.err.contains("p.yaml:5:"), "{}", said.err);
    }
    folder.fine(&format!(
        "train-classifier --positive good.jsonl --negative others.jsonl {SHORT} --labels a b --output c.bin"
    ));
    folder.write("p.yaml", format!("{pipeline}quality_model: c.bin\n"));
    let said = folder.ends("plan p.yaml --input crawl.jsonl --output out", 64);
    assert!(said.err.contains("the model has no label `wiki`") && said.err.contains("p.yaml:5:"), "{}", said.err);
    let said = folder.ends("doctor p.yaml", 1);
    assert!(said.out.contains("p.yaml:5: ") && said.out.contains("no label `wiki`"), "{}", said.out);
}

#[test]
fn what_was_hardly_learned_or_measured_is_a_warning() {
    let folder = folder();
    let texts = "train-classifier --positive good.jsonl --min-length 20 --dim 8";
    let said = folder.fine(&format!("{texts} --negative others.jsonl --held-out 0.4 --seed 3"));
    assert!(said.err.contains("warning: only ") && said.err.contains("raise --held-out"), "{}", said.err);
    let said = folder.ends(&format!("{texts} --negative good.jsonl"), 64);
    assert!(said.err.contains("no negative text is left") && said.err.contains("the other class"), "{}", said.err);
    let said = folder.ends(&format!("{texts} --negative others.jsonl --held-out 1"), 64);
    assert!(said.err.contains("lower --held-out"), "{}", said.err);
    let said = folder.ends(&format!("{texts} --negative others.jsonl --minn 5 --maxn 2"), 2);
    assert!(said.err.contains("--minn 5 is longer than --maxn 2"), "{}", said.err);
}
