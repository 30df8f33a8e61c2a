"""What every comparison shares: running `redpajama`, reading what it wrote, counting what is equal."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter

import polars
import yaml
import zstandard

SHOWN = 5
# Signals that the original's records carry beside the text.
SIGNALS = ["content_hash", "line_count", "max_line_length", "avg_line_length", "alnum_prop"]


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
