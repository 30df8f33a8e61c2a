"""CommonCrawl: WET files as cc_net parses them; a shard's steps up to the language; the dedup across files and the
classifier."""

import json

import yaml
from account import Account, by_record, lines_of, sha256, table
from environment import REPOSITORY

REASONS = {
    "kept": None,
    "short": "text_too_short",
    "dedup_all_lines": "all_paragraphs_duplicate",
    "lid_below_threshold": "language_unsure",
}
PARSED = ["url", "date_download", "digest", "length", "nlines", "source_domain", "title"]


def original():
    return yaml.safe_load((REPOSITORY / "pipelines/original/common_crawl.yaml").read_text())


def wet_files(golden):
    """Every WET file of which cc_net parsed something, with its records."""
    for file in lines_of(golden / "common_crawl/inputs.jsonl.gz"):
        name = file["input"].removeprefix("common_crawl/")
        if file["n_parsed"]:
            yield file, name, lines_of(golden / f"common_crawl/{name}.records.jsonl.gz")


def compare_parsing(redpajama, golden, inputs):
    """Every document that cc_net parses, short ones too, of every WET file."""
    account = Account("common_crawl: WET as cc_net reads it")
    slices = {"common_crawl": {"source": original()["slices"]["common_crawl"]["source"]}}
    pipeline = redpajama.written("common_crawl-parsed", [], slices)
    files = list(wet_files(golden))
    for file, name, rows in files:
        out = redpajama.build(f"parsed-{name}", pipeline, inputs / file["input"])
        documents = sorted(table(out, "documents", "common_crawl"), key=lambda document: document["record"])
        account.check("documents", name, file["n_parsed"], len(documents))
        for row, document in zip(rows, documents):
            meta = json.loads(document["meta"])
            for field in PARSED:
                account.check(field, row["id"], row["parsed"][field], meta.get(field))
            account.check("raw_content", row["id"], row["parsed_raw_content_sha256"], sha256(document["text"].encode()))
    parsed = sum(len(rows) for _, _, rows in files)
    return account.close({"documents": len(files)} | dict.fromkeys([*PARSED, "raw_content"], parsed))


def compare_mining(redpajama, golden, inputs):
    """The same through the steps of a shard: too short, lines that others have, language."""
    account = Account("common_crawl: pipelines/original/common_crawl.yaml up to the language, in any language")
    slices = original()["slices"]
    stages = slices["common_crawl"].pop("stages")
    last = next(place for place, stage in enumerate(stages) if "language_is" in stage)
    # The original's records are of all languages.
    stages[last]["language_is"].pop("keep")
    pipeline = redpajama.written("common_crawl-mined", stages[: last + 1], slices)
    model = f"language_model={(inputs / 'models/lid.176.ftz').resolve()}"
    files = list(wet_files(golden))
    for file, name, rows in files:
        out = redpajama.build(f"mined-{name}", pipeline, inputs / file["input"], "--set", model)
        documents = by_record(table(out, "documents", "common_crawl"))
        dropped = by_record(table(out, "dropped", "common_crawl"))
        records = sorted(documents | {number: row for number, row in dropped.items() if not row["unusable"]})
        account.check("documents", name, len(rows), len(records))
        for number, row in zip(records, rows):
            at = row["id"]
            account.check("decision", at, row["kept"], number in documents)
            account.check("reason", at, REASONS[row["reason"]], dropped.get(number, {}).get("reason"))
            if not row["kept"] or number not in documents:
                continue
            document = documents[number]
            account.check("text", at, row["raw_content_sha256"], sha256(document["text"].encode()))
            account.check("language", at, row["language"], document["language"])
            account.check("language_score", at, row["language_score"], document["language_score"])
            for signal in ["length", "nlines", "original_nlines"]:
                account.check(signal, at, row["dedup"][signal], document[signal])
    parsed = sum(len(rows) for _, _, rows in files)
    kept = sum(row["kept"] for _, _, rows in files for row in rows)
    expected = {"documents": len(files)} | dict.fromkeys(["decision", "reason"], parsed)
    fields = ["text", "language", "language_score", "length", "nlines", "original_nlines"]
    return account.close(expected | dict.fromkeys(fields, kept))


# How far our sums of single-precision numbers may be from Facebook's.
NEAR = 1e-5


def compare_selection(redpajama, golden):
    """From the files of two crawls to what the original published: the two phases of the dedup by address and digest
    over head and middle, the classifier, its threshold."""
    account = Account("common_crawl: dedup by address and digest, classifier, threshold")
    rows = lines_of(golden / "common_crawl/dedup_classify.records.jsonl.gz")
    steps = {"bucket", "crawl_dedup", "quality", "keep_if"}
    stages = [stage for stage in original()["slices"]["common_crawl"]["stages"] if steps & set(stage)]
    inputs = golden / "common_crawl/dedup_inputs"
    model = ["--set", f"quality_model={(golden / 'v2/artifacts/wikiref_toy.bin').resolve()}"]
    pipeline = redpajama.written("common_crawl-selected", stages, {"common_crawl": {}})
    out = redpajama.build("common_crawl-selected", pipeline, inputs, *model)
    selected = {document["id"] for document in table(out, "documents", "common_crawl")}
    dropped = {row["id"]: row for row in table(out, "dropped", "common_crawl")}
    # What goes at the threshold has no signals any more, so that they are looked at before it.
    pipeline = redpajama.written("common_crawl-scored", stages[:-1], {"common_crawl": {}})
    out = redpajama.build("common_crawl-scored", pipeline, inputs, *model)
    scored = {document["id"]: document for document in table(out, "documents", "common_crawl")}
    tails = [row for row in dropped.values() if row["reason"] == "bucket"]
    account.check("read", "all files", len(rows) - 1, len(selected) + len(dropped) - len(tails))
    for row in rows:
        if row.get("skipped"):
            account.check("tail", row["file"], True, bool(tails) and all(f"/{row['file']}#" in tail["id"] for tail in tails))
            continue
        ours = f"common_crawl/{row['id']}"
        account.check("kept", row["id"], row["kept"], ours in scored)
        account.check("selected", row["id"], bool(row.get("selected_0.25")), ours in selected)
        if not row["kept"] and ours in dropped:
            account.check("reason", row["id"], "crawled_before", dropped[ours]["reason"])
            account.check("copy that stayed", row["id"], True, dropped[ours]["kept_id"] in scored)
        if row["kept"] and ours in scored:
            document = scored[ours]
            account.check("pred_label", row["id"], row["pred_label"], f"__label__{document['quality_label']}")
            for field, signal in [("pred_label_prob", "quality_label_score"), ("wiki_prob", "quality_score")]:
                apart = abs(row[field] - document[signal])
                account.check(field, row["id"], row[field], row[field] if apart <= NEAR else document[signal])
    gone = sum(row.get("kept") is False for row in rows)
    kept = len(rows) - 1 - gone
    expected = {"read": 1, "tail": 1, "kept": len(rows) - 1, "selected": len(rows) - 1}
    expected |= {"reason": gone, "copy that stayed": gone}
    return account.close(expected | dict.fromkeys(["pred_label", "pred_label_prob", "wiki_prob"], kept))


def compare_corpus(redpajama, golden):
    """The lines that the original's script made for training its classifier."""
    account = Account("common_crawl: what the classifier learns from")
    rows = [row for row in lines_of(golden / "common_crawl/create_corpus.records.jsonl.gz") if "label" in row]
    files = [path for path in sorted((golden / "common_crawl/dedup_inputs").glob("*/*")) if "tail" not in path.name]
    lines, model = redpajama.scratch / "corpus.txt", redpajama.scratch / "corpus.bin"
    positive = golden / "texts/wikipedia.jsonl.gz"
    options = ["--original", "--held-out", 0, "--epoch", 1, "--dim", 2, "--lines", lines, "--output", model]
    redpajama.run("train-classifier", "--positive", positive, "--negative", *files, *options)
    ours = sorted(sha256(line) for line in lines.read_bytes().split(b"\n")[:-1])
    account.check("lines", "all", len(rows), len(ours))
    # The original's order is that of its files' names, ours of the arguments; neither is learned.
    for row, line in zip(sorted(rows, key=lambda row: row["line_sha256"]), ours):
        account.check("line", row["id"], row["line_sha256"], line)
    return account.close({"lines": 1, "line": len(rows)})


def compare(redpajama, golden, inputs):
    return [
        compare_parsing(redpajama, golden, inputs),
        compare_mining(redpajama, golden, inputs),
        compare_selection(redpajama, golden),
        compare_corpus(redpajama, golden),
    ]
