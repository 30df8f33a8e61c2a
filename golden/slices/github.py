"""GitHub: `pipelines/original/github.yaml`, and the same without its filters, so that text, signals
and exported line of the documents that it drops are compared too."""

import re

import yaml
from account import SIGNALS, Account, by_record, check_document, lines_of, table
from environment import REPOSITORY

# The original's reasons, and ours for the same decision. An unusable record has no stage.
REASONS = {
    "query_content_null": {"no_text"},
    "query_license": {"license", "no_license"},
    "path_crt": {"path_ending"},
    "path_LICENSE": {"path_name"},
    "dup_md5": {"exact_duplicate"},
    "filter_empty": {"empty_text"},
    "filter_extension": {"extension"},
    "filter_max_line_length": {"line_too_long"},
    "filter_avg_line_length": {"lines_too_long_on_average"},
    "filter_alnum_prop": {"too_few_alphanumeric"},
    "filter_token_ratio": {"too_few_letters_per_token", "no_tokens"},
}
UNUSABLE = {"query_content_null"}
# Which number of the original's dropped a document.
MEASURED = {
    "filter_max_line_length": lambda row: row["max_line_length"],
    "filter_avg_line_length": lambda row: row["avg_line_length"],
    "filter_alnum_prop": lambda row: row["alnum_prop"],
    "filter_token_ratio": lambda row: row["n_alpha"] / row["n_tokens"] if row["n_tokens"] else None,
}
FILTERS = {
    "license", "path_rules", "exact_dedup", "empty_text", "extension", "line_length",
    "alphanumeric_share", "letters_per_token", "tokenize", "pack",
}  # fmt: skip


def compare_github(redpajama, golden, raw):
    rows = lines_of(golden / "github/bigquery_like_dev.records.jsonl.gz")
    out = redpajama.build("github", "original/github", raw)
    documents = table(out, "documents", "github")
    lines = redpajama.exported(out, "github")
    account = Account("github: pipelines/original/github.yaml")
    account.check("number of lines", "the export", len(documents), len(lines))
    kept = {document["record"]: (document, line) for document, line in zip(documents, lines)}
    dropped = by_record(table(out, "dropped", "github"))
    account.check("number of rows", "documents and dropped", len(rows), len(kept) + len(dropped))
    first = {}
    for row in rows:
        if row["reason"] not in UNUSABLE | {"query_license", "path_crt", "path_LICENSE"}:
            first.setdefault(row["content_hash"], row["row"])
    for row in rows:
        number, reason = row["row"], row["reason"]
        at = f"record {number} ({row['path']})"
        account.check("decision", at, row["kept"], number in kept and number not in dropped)
        if row["kept"]:
            account.check("reason", at, "kept", "kept" if number in kept else dropped.get(number, {}).get("reason"))
            if number in kept:
                check_document(account, at, row, *kept[number])
            continue
        drop = dropped.get(number, {})
        ours = drop.get("reason")
        account.check("reason", at, reason, reason if ours in REASONS[reason] else ours)
        account.check("unusable", at, reason in UNUSABLE, drop.get("unusable"))
        if reason in MEASURED and row["n_tokens"]:
            seen = re.match(r"[-+.e\d]+", drop.get("evidence") or "")
            account.check("number that dropped it", at, MEASURED[reason](row), float(seen[0]) if seen else None)
        if reason == "dup_md5":
            twin = (drop.get("kept_id") or "").rpartition("#")[2]
            account.check("copy that stayed", at, str(first[row["content_hash"]]), twin)
    n_kept = sum(row["kept"] for row in rows)
    measured = sum(row["reason"] in MEASURED and bool(row["n_tokens"]) for row in rows)
    expected = {"number of rows": 1, "number of lines": 1, "decision": len(rows), "reason": len(rows)}
    expected |= {"unusable": len(rows) - n_kept, "number that dropped it": measured}
    expected |= {"copy that stayed": sum(row["reason"] == "dup_md5" for row in rows)}
    expected |= dict.fromkeys(["text", *SIGNALS, "exported line"], n_kept)
    return account.close(expected)


def compare_github_cleaned(redpajama, golden, raw):
    rows = lines_of(golden / "github/bigquery_like_dev.records.jsonl.gz")
    original = yaml.safe_load((REPOSITORY / "pipelines/original/github.yaml").read_text())
    # A slice's own stages come before the pipeline's.
    stages = original["slices"]["github"].pop("stages") + original["stages"]
    stages = [stage for stage in stages if FILTERS.isdisjoint([stage] if isinstance(stage, str) else stage)]
    pipeline = redpajama.written("github-cleaned", stages, original["slices"])
    out = redpajama.build("github-cleaned", pipeline, raw)
    documents = table(out, "documents", "github")
    lines = redpajama.exported(out, "github")
    account = Account("github, cleaned: the same without filters")
    account.check("number of lines", "the export", len(documents), len(lines))
    ours = {document["record"]: (document, line) for document, line in zip(documents, lines)}
    cleaned = [row for row in rows if "text_sha256" in row]
    for row in cleaned:
        if row["row"] in ours:
            check_document(account, f"record {row['row']} ({row['path']})", row, *ours[row["row"]])
    expected = {"number of lines": 1} | dict.fromkeys(["text", *SIGNALS, "exported line"], len(cleaned))
    return account.close(expected)


def compare(redpajama, golden, inputs):
    raw = inputs / "github/bigquery_like_dev.jsonl.gz"
    return [compare_github(redpajama, golden, raw), compare_github_cleaned(redpajama, golden, raw)]
