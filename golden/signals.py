"""RedPajama-V2's quality signals: every published name with how many values are equal, document by document; the texts'
normalized forms, their raw words and DSIR's hashed features."""

import json
import math
import struct
import subprocess

import polars
from account import Account, lines_of, sha256, stop
from environment import REPOSITORY

# Made by cc_net and handed on; the records of the signals do not have them, cc_net's own documents do.
CCNET = [
    "ccnet_length",
    "ccnet_original_length",
    "ccnet_nlines",
    "ccnet_original_nlines",
    "ccnet_language_score",
    "ccnet_perplexity",
    "ccnet_bucket",
]
BUCKETS = ["head", "middle", "tail"]
SLICES = ["arxiv", "books", "c4", "common_crawl", "github", "stack_exchange", "wikipedia"]


def equal(name, golden, ours):
    """Equal to the last digit; sums of ten thousand products as near as README.md of the records says."""
    if "importance" in name and golden is not None and ours is not None:
        return math.isclose(golden, ours, rel_tol=1e-9, abs_tol=1e-6)
    return golden == ours


def packed(spans):
    """The digest of a line signal: start, end, score."""
    triples = ((s["start"], s["end"], math.nan if s["score"] is None else s["score"]) for s in spans)
    return sha256(b"".join(struct.pack("<IId", *triple) for triple in triples))


def views(texts):
    """What our views of texts are, from an example program beside the stage."""
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "stages", "--example", "signals"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    program = REPOSITORY / "target/release/examples/signals"
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    ran = subprocess.run([program, "views"], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.split("\n")[:-1]]


def measured(redpajama, golden, slice_name, texts):
    """The rows of a build that measures all signals of texts."""
    raw = redpajama.scratch / f"signals-{slice_name}.jsonl"
    with raw.open("w", encoding="utf-8") as file:
        for text in texts:
            address = {"url": f"http://{text['domain']}/"} if text.get("domain") else {}
            file.write(json.dumps({"text": text["text"], **address}) + "\n")
    artifacts = golden / "v2/artifacts"
    stages = [{"signals": {"only": ["all"], "language": "en"}}]
    pipeline = redpajama.written(f"signals-{slice_name}", stages, {"c4": {}})
    files = {
        "bad_words": artifacts / "bad_words/{language}.txt",
        "blocked_domains": artifacts / "bad_urls/domain_to_category_id.json",
        "importance_counts": artifacts / "dsir/{language}",
        "quality_model": artifacts / "wikiref_toy.bin",
    }
    sets = [word for name, path in files.items() for word in ("--set", f"{name}={path.resolve()}")]
    out = redpajama.build(f"out-signals-{slice_name}", pipeline, raw, *sets)
    rows = [row for part in sorted((out / "documents/c4").glob("*.parquet")) for row in polars.read_parquet(part).to_dicts()]
    return {row["record"]: row for row in rows}


def compare_ccnet(redpajama, golden):
    """What cc_net noted of its documents, handed on."""
    account = Account("signals: what cc_net noted, from its own documents")
    stages = [{"signals": {"only": ["ccnet"]}}]
    pipeline = redpajama.written("signals-ccnet", stages, {"common_crawl": {}})
    count = 0
    for number, path in enumerate(sorted((golden / "common_crawl/dedup_inputs").glob("*/*.json.gz"))):
        out = redpajama.build(f"out-signals-ccnet-{number}", pipeline, path)
        parts = sorted((out / "documents/common_crawl").glob("*.parquet"))
        rows = {row["record"]: row for part in parts for row in polars.read_parquet(part).to_dicts()}
        for record, noted in enumerate(lines_of(path)):
            count += 1
            for name in CCNET:
                field = name.removeprefix("ccnet_")
                golden_value = noted.get(field)
                if field == "bucket":
                    # The file's name says it, `en_middle_0000.json.gz`; these were made from documents of one bucket.
                    golden_value = float(BUCKETS.index(path.name.split("_")[1]))
                # Where nothing was noted, nothing is said, but of what can be counted.
                if golden_value is None and field in ("length", "nlines"):
                    golden_value = rows[record][name]
                account.check(name, f"{path.name}#{record}", golden_value, rows[record][name])
    return account.close(dict.fromkeys(CCNET, count))


def compare(redpajama, golden, _):
    account = Account("signals: RedPajama-V2's quality signals, by their published names")
    forms = Account("signals: normalized texts, raw words, lines, DSIR's features, stop words of five languages")
    names = None
    count = 0
    for slice_name in SLICES:
        texts = lines_of(golden / f"texts/{slice_name}.jsonl.gz")
        records = lines_of(golden / f"v2/{slice_name}.signals.jsonl.gz")
        if [text["id"] for text in texts] != [record["id"] for record in records]:
            stop(f"texts and records of {slice_name} are not the same")
        rows = measured(redpajama, golden, slice_name, texts)
        for number, (record, view) in enumerate(zip(records, views([text["text"] for text in texts]), strict=True)):
            count += 1
            row, at = rows.get(number, {}), record["id"]
            names = [*sorted(record["signals"]), *sorted(record["line_signals"])]
            for name, value in record["signals"].items():
                ours = row.get(name, "missing")
                account.check(name, at, value, value if equal(name, value, ours) else ours)
            for name, told in record["line_signals"].items():
                spans = row.get(name) or []
                account.check(name, at, (told["n"], told["sha256"]), (len(spans), packed(spans)))
            forms.check("normalized text", at, record["normalized_sha256"], sha256(view["normalized"].encode()))
            forms.check("raw words", at, record["raw_words_sha256"], sha256("\n".join(view["raw_words"]).encode()))
            counted = (record["n_normalized_words"], record["n_raw_words"], record["n_lines"])
            forms.check("counts", at, counted, (view["normalized_words"], len(view["raw_words"]), view["lines"]))
            features = sha256(struct.pack(f"<{len(view['features'])}q", *view["features"]))
            forms.check("features", at, record["dsir_features_sha256"], features)
            for language, share in record["stop_word_fraction_by_lang"].items():
                forms.check(f"stop words {language}", at, share, view["stop_word_fraction_by_lang"][language])
    fields = ["normalized text", "raw words", "counts", "features", *(f"stop words {of}" for of in ("de", "en", "es", "fr", "it"))]
    outcomes = [account.close(dict.fromkeys(names or [], count)), forms.close(dict.fromkeys(fields, count))]
    return [*outcomes, compare_ccnet(redpajama, golden)]
