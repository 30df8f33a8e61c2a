"""CommonCrawl: WET files as cc_net parses them, its `short`; the dedup across files."""

import json

import yaml
from account import Account, by_record, lines_of, sha256, table
from environment import REPOSITORY

PARSED = ["url", "date_download", "digest", "length", "nlines", "source_domain", "title"]


def original():
    return yaml.safe_load((REPOSITORY / "pipelines/original/common_crawl.yaml").read_text())


def compare_parsing(redpajama, golden, inputs):
    """Every document that cc_net parses, short ones too, of every WET file."""
    account = Account("common_crawl: WET as cc_net reads it")
    slices = {"common_crawl": {"source": original()["slices"]["common_crawl"]["source"]}}
    pipeline = redpajama.written("common_crawl-parsed", [], slices)
    files = lines_of(golden / "common_crawl/inputs.jsonl.gz")
    rows = 0
    for file in files:
        name = file["input"].removeprefix("common_crawl/")
        records = golden / f"common_crawl/{name}.records.jsonl.gz"
        if not records.exists() or not file["n_parsed"]:
            continue
        out = redpajama.build(f"parsed-{name}", pipeline, inputs / file["input"])
        documents = sorted(table(out, "documents", "common_crawl"), key=lambda document: document["record"])
        golden_rows = lines_of(records)
        account.check("documents", name, file["n_parsed"], len(documents))
        for row, document in zip(golden_rows, documents):
            meta = json.loads(document["meta"])
            for field in PARSED:
                account.check(field, row["id"], row["parsed"][field], meta.get(field))
            account.check("raw_content", row["id"], row["parsed_raw_content_sha256"], sha256(document["text"].encode()))
            rows += 1
        # Its own bound comes first in its pipeline; what comes after it is for other comparisons.
        out = redpajama.build(f"short-{name}", redpajama.written(
            "common_crawl-short", [{"text_length": {"min": 300}}], slices), inputs / file["input"])
        dropped = by_record(table(out, "dropped", "common_crawl"))
        for row, document in zip(golden_rows, documents):
            reason = dropped.get(document["record"], {}).get("reason")
            account.check("short", row["id"], row["reason"] == "short", reason == "text_too_short")
    wet = sum(bool(file["n_parsed"]) for file in files)
    expected = {"documents": wet} | dict.fromkeys([*PARSED, "raw_content", "short"], rows)
    return account.close(expected) and rows > 0


def compare_dedup(redpajama, golden):
    """The two phases of the dedup by address and digest, over the head and middle files of two crawls."""
    account = Account("common_crawl: dedup by address and digest")
    rows = lines_of(golden / "common_crawl/dedup_classify.records.jsonl.gz")
    stages = [stage for stage in original()["slices"]["common_crawl"]["stages"] if {"bucket", "crawl_dedup"} & set(stage)]
    pipeline = redpajama.written("common_crawl-dedup", stages, {"common_crawl": {}})
    out = redpajama.build("common_crawl-dedup", pipeline, golden / "common_crawl/dedup_inputs")
    kept = {document["id"] for document in table(out, "documents", "common_crawl")}
    dropped = {row["id"]: row for row in table(out, "dropped", "common_crawl")}
    tails = [row for row in dropped.values() if row["reason"] == "bucket"]
    account.check("read", "all files", len(rows) - 1, len(kept) + len(dropped) - len(tails))
    for row in rows:
        if row.get("skipped"):
            account.check("tail", row["file"], True, bool(tails) and all(f"/{row['file']}#" in tail["id"] for tail in tails))
            continue
        ours = f"common_crawl/{row['id']}"
        account.check("kept", row["id"], row["kept"], ours in kept)
        if not row["kept"] and ours in dropped:
            account.check("reason", row["id"], "crawled_before", dropped[ours]["reason"])
            account.check("copy that stayed", row["id"], True, dropped[ours]["kept_id"] in kept)
    gone = sum(row.get("kept") is False for row in rows)
    return account.close({"read": 1, "tail": 1, "kept": len(rows) - 1, "reason": gone, "copy that stayed": gone})


def compare(redpajama, golden, inputs):
    return [compare_parsing(redpajama, golden, inputs), compare_dedup(redpajama, golden)]
