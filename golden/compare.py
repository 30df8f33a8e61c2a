#!/usr/bin/env python3
"""Compares what `redpajama` makes of real inputs with what the original code made of them.

    golden/compare.py --redpajama target/release/redpajama

Three comparisons, each joined by record number; README.md beside this file says more.

* github, c4: `pipelines/original/` over the real inputs. Every record's decision and reason; for
  kept documents the text, the signals and the exported line; for dropped ones the numbers that
  dropped them and, for duplicates, which copy stayed.
* github, cleaned: the same pipeline without its filters, so that text, signals and exported line
  of the documents that it drops are compared too.
* packs: texts of seven slices, tokenized and packed: the ids of every document, `.bin` and `.idx`.

Exit status: 0 if everything is equal, 1 if something differs or is missing, 2 if it cannot run.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from environment import REPOSITORY, run_with

run_with("numpy>=2", "polars>=1", "pyyaml>=6", "zstandard>=0.23")

import numpy  # noqa: E402
import polars  # noqa: E402
import yaml  # noqa: E402
import zstandard  # noqa: E402

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
SIGNALS = ["content_hash", "line_count", "max_line_length", "avg_line_length", "alnum_prop"]
FILTERS = {
    "license", "path_rules", "exact_dedup", "empty_text", "extension", "line_length",
    "alphanumeric_share", "letters_per_token", "tokenize", "pack",
}  # fmt: skip
# The packs of golden/tokens hold the first documents of each slice, at most this many.
PACKED = 200
SHOWN = 5


class Account:
    """How often each field was compared and found equal, and the first differences."""

    def __init__(self, title):
        self.title, self.compared, self.equal, self.differences = title, Counter(), Counter(), []

    def check(self, field, at, golden, ours):
        self.compared[field] += 1
        if golden == ours:
            self.equal[field] += 1
        else:
            self.differences.append(f"{field} of {at}: golden {short(golden)}, ours {short(ours)}")

    def close(self, expected):
        """Prints the account. `expected` says how often each field had to be compared: a field
        that was compared less often has not been proved."""
        print(f"\n{self.title}")
        for field, times in expected.items():
            enough = "" if self.compared[field] == times and times > 0 else f"   EXPECTED {times} COMPARISONS"
            print(f"  {field:<22} {self.equal[field]:>6} of {self.compared[field]:>6} equal{enough}")
        for difference in self.differences[:SHOWN]:
            print(f"  DIFFERS  {difference}")
        if len(self.differences) > SHOWN:
            print(f"  and {len(self.differences) - SHOWN} more differences")
        whole = all(times > 0 and self.compared[field] == times for field, times in expected.items())
        return whole and set(self.compared) <= set(expected) and not self.differences


def stop(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def short(value):
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "…"


def lines_of(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Redpajama:
    def __init__(self, binary, tokenizer, scratch):
        self.binary, self.tokenizer, self.scratch = binary, tokenizer, scratch

    def run(self, *arguments):
        ran = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if ran.returncode != 0:
            stop(f"redpajama {' '.join(map(str, arguments))} ended with {ran.returncode}\n{ran.stderr[-4000:]}")
        return ran.stdout

    def build(self, name, pipeline, raw, *more):
        """Builds `raw` into a fresh folder and verifies it."""
        out = self.scratch / name
        tokenizer = f"tokenizer={self.tokenizer}"
        self.run("build", pipeline, "--input", raw, "--output", out, "--set", tokenizer, "--json", *more)
        self.run("verify", out)
        return out

    def written(self, name, stages, slices):
        """A pipeline of our own, as a file."""
        path = self.scratch / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"slices": slices, "stages": stages}, sort_keys=False))
        return path

    def exported(self, out, slice_name):
        """The digest of each exported line, in the order of the documents."""
        folder = out / "export-to-compare"
        self.run("export", out, "--format", "jsonl", "--to", folder)
        digests = []
        for path in sorted(folder.glob(f"{slice_name}-*.jsonl.zst")):
            with zstandard.open(path, "rb") as lines:
                digests += [sha256(line) for line in lines.read().split(b"\n")[:-1]]
        return digests


def table(out, kind, slice_name):
    """All rows of a slice's Parquet files, in the order of their names."""
    rows = []
    for path in sorted((out / kind / slice_name).glob("*.parquet")):
        rows += polars.read_parquet(path).to_dicts()
    return rows


def by_record(rows):
    found = {row["record"]: row for row in rows}
    if len(found) != len(rows):
        stop("two rows have one record number")
    return found


def check_document(account, at, golden, document, line):
    """A document's text, signals and exported line against the original's."""
    account.check("text", at, golden["text_sha256"], sha256(document["text"].encode()))
    for signal in SIGNALS:
        if signal in golden:
            account.check(signal, at, golden[signal], document.get(signal))
    account.check("exported line", at, golden["record_line_sha256"], line)


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


def compare_c4(redpajama, golden, records, raw):
    rows = lines_of(golden / "c4" / records)
    out = redpajama.build(f"c4-{raw.name}", "original/c4", raw)
    documents = table(out, "documents", "c4")
    lines = redpajama.exported(out, "c4")
    dropped = table(out, "dropped", "c4")
    account = Account(f"c4: pipelines/original/c4.yaml on {raw.name}")
    account.check("number of lines", "the export", len(documents), len(lines))
    account.check("number of rows", "documents and dropped", len(rows), len(documents) + len(dropped))
    kept = {document["record"]: (document, line) for document, line in zip(documents, lines)}
    for row in rows:
        at = f"record {row['row']}"
        # Where a column is missing, the original stops; we count the record and go on.
        account.check("decision", at, "error" not in row, row["row"] in kept)
        if row["row"] in kept and "error" not in row:
            document, line = kept[row["row"]]
            check_document(account, at, row, document, line)
            account.check("url", at, row["meta"]["url"], document["url"])
            account.check("timestamp", at, row["meta"]["timestamp"], document["timestamp"])
    n_kept = sum("error" not in row for row in rows)
    expected = {"number of rows": 1, "number of lines": 1, "decision": len(rows)}
    return account.close(expected | dict.fromkeys(["text", "url", "timestamp", "exported line"], n_kept))


def sequences(idx, bin_path):
    """The documents of a shard, as numpy reads them: one array of ids each."""
    data = idx.read_bytes()
    magic, version, code = data[:9], int.from_bytes(data[9:17], "little"), data[17]
    if magic != b"MMIDIDX\0\0" or version != 1:
        stop(f"{idx} is no index")
    count = int.from_bytes(data[18:26], "little")
    sizes = numpy.frombuffer(data, "<i4", count, 34)
    pointers = numpy.frombuffer(data, "<i8", count, 34 + 4 * count)
    width = numpy.dtype({8: "<u2", 4: "<i4"}[code])
    tokens = numpy.fromfile(bin_path, width)
    return [tokens[at // width.itemsize :][:size] for at, size in zip(pointers, sizes)]


def shard_of(out):
    """The one shard that a small run writes."""
    shards = sorted((out / "shards/c4").glob("*.bin"))
    if len(shards) != 1:
        stop(f"{out} has {len(shards)} shards where one was expected")
    return shards[0], shards[0].with_suffix(".idx"), shards[0].with_suffix(".provenance.parquet")


def compare_packs(redpajama, golden):
    # The texts have no url and no timestamp, and C4's source is the one that needs neither.
    pipeline = redpajama.written("pack", [{"tokenize": {}}, {"pack": {}}], {"c4": {}})
    packs = {row["id"]: row for row in lines_of(golden / "tokens/pack.jsonl.gz") if "bin_sha256" in row}
    account = Account("packs: texts of every slice, tokenized and packed as GPT-NeoX does")
    n_ids = n_documents = 0
    for slice_name, pack in packs.items():
        texts = golden / "texts" / f"{slice_name}.jsonl.gz"
        out = redpajama.build(f"pack-{slice_name}", pipeline, texts, "--limit", PACKED)
        bin_path, idx, _ = shard_of(out)
        account.check("documents", slice_name, pack["n_docs"], len(sequences(idx, bin_path)))
        account.check(".bin", slice_name, pack["bin_sha256"], sha256(bin_path.read_bytes()))
        account.check(".idx", slice_name, pack["idx_sha256"], sha256(idx.read_bytes()))

        # All texts, also those beyond the pack, each with its ids; the last one ends the document.
        out = redpajama.build(f"tokens-{slice_name}", pipeline, texts)
        bin_path, idx, provenance = shard_of(out)
        documents = sequences(idx, bin_path)
        places = {row["record"]: row["ordinal"] for row in polars.read_parquet(provenance).to_dicts()}
        names = [text["id"] for text in lines_of(texts)]
        tokens = {row["id"]: row for row in lines_of(golden / f"tokens/{slice_name}.jsonl.gz")}
        account.check("texts with ids", slice_name, sorted(tokens), sorted(names))
        for record, name in enumerate(names):
            n_ids += 1
            ours = documents[places[record]] if record in places else None
            digest = None if ours is None else sha256(ours[:-1].astype("<u2").tobytes())
            account.check("ids of a document", name, tokens[name]["ids_sha256"], digest)
            account.check("end of a document", name, 0, None if ours is None else int(ours[-1]))
        n_documents += 1
    expected = dict.fromkeys(["documents", ".bin", ".idx", "texts with ids"], n_documents)
    return account.close(expected | dict.fromkeys(["ids of a document", "end of a document"], n_ids))


def main():
    shared = REPOSITORY.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redpajama", type=Path, default=REPOSITORY / "target/release/redpajama", help="the binary")
    parser.add_argument("--golden", type=Path, default=shared / "golden", help="the original's outputs")
    parser.add_argument("--inputs", type=Path, help="the real inputs, unpacked; otherwise unpacked for this run")
    parser.add_argument("--keep", type=Path, help="where to leave what was built")
    options = parser.parse_args()
    if not options.redpajama.exists():
        stop(f"there is no {options.redpajama}\nhint: `cargo build --release` makes it")
    if not options.golden.is_dir():
        stop(f"there is no folder {options.golden}")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        inputs = options.inputs
        if inputs is None:
            unpack = options.golden.parent / "data/unpack"
            unpacked = subprocess.run([unpack, scratch / "unpacked"], check=True, capture_output=True, text=True)
            inputs = Path(unpacked.stdout.strip())
        if options.keep:
            scratch = options.keep
            scratch.mkdir(parents=True, exist_ok=True)
        redpajama = Redpajama(options.redpajama.resolve(), (inputs / "models/20B_tokenizer.json").resolve(), scratch)
        github, c4 = inputs / "github/bigquery_like_dev.jsonl.gz", inputs / "c4"
        outcomes = [
            compare_github(redpajama, options.golden, github),
            compare_github_cleaned(redpajama, options.golden, github),
            compare_c4(redpajama, options.golden, "c4-train.derived-dev.records.jsonl.gz", c4 / "c4-train.derived-dev.json.gz"),
            compare_c4(redpajama, options.golden, "c4_first_records.records.jsonl.gz", c4 / "c4_first_records.json"),
            compare_packs(redpajama, options.golden),
        ]
    print(f"\n{sum(outcomes)} of {len(outcomes)} comparisons are equal throughout")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
