#!/usr/bin/env python3
"""Opens a finished run with DuckDB, Polars and numpy, and adds up what they see.

    golden/readers.py OUT

Every file must have the length and digest that `catalog.json` gives; documents, bytes and tokens
must be those of its counts; every document of a shard must end with the end-of-document token, and
its provenance must name a document that is in `documents/`. Exit status 0 if all of it holds.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from environment import run_with

run_with("blake3>=1", "duckdb>=1", "numpy>=2", "polars>=1")

import blake3  # noqa: E402
import duckdb  # noqa: E402
import numpy  # noqa: E402
import polars  # noqa: E402

TOKEN_WIDTH = {8: "<u2", 4: "<i4"}


class Findings:
    def __init__(self):
        self.held, self.broken = 0, []

    def same(self, what, catalog, seen):
        if catalog == seen:
            self.held += 1
        else:
            self.broken.append(f"{what}: {catalog} in the catalog, {seen} seen")


def check_files(out, entries, findings):
    for entry in entries:
        contents = (out / entry["name"]).read_bytes()
        findings.same(f"length of {entry['name']}", entry["bytes"], len(contents))
        findings.same(f"digest of {entry['name']}", entry["digest"], blake3.blake3(contents).hexdigest())


def check_documents(out, name, entry, findings):
    paths = [str(out / file["name"]) for file in entry["documents"]]
    counts = entry["counts"]
    documents = read_bytes = text_bytes = 0
    ids = set()
    if paths:
        documents, read_bytes, text_bytes = duckdb.execute(
            "select count(*), sum(read_bytes), sum(strlen(text)) from read_parquet(?)", [paths]
        ).fetchone()
        frame = polars.concat([polars.read_parquet(path) for path in paths])
        findings.same(f"{name}: documents, with Polars", counts["kept"]["documents"], frame.height)
        findings.same(f"{name}: bytes of text, with Polars", counts["text_bytes"], frame["text"].str.len_bytes().sum())
        ids = set(frame["id"])
        findings.same(f"{name}: distinct ids", frame.height, len(ids))
    findings.same(f"{name}: documents, with DuckDB", counts["kept"]["documents"], documents)
    findings.same(f"{name}: bytes read, with DuckDB", counts["kept"]["bytes"], int(read_bytes or 0))
    findings.same(f"{name}: bytes of text, with DuckDB", counts["text_bytes"], int(text_bytes or 0))
    return ids


def check_dropped(out, name, entry, findings):
    paths = [str(out / file["name"]) for file in entry["dropped"]]
    seen = defaultdict(dict)
    if paths:
        rows = duckdb.execute(
            "select unusable, reason, count(*), sum(bytes) from read_parquet(?) group by all", [paths]
        ).fetchall()
        for unusable, reason, documents, size in rows:
            seen[unusable][reason] = {"documents": documents, "bytes": int(size)}
    findings.same(f"{name}: dropped by reason", entry["counts"]["dropped"], seen[False])
    findings.same(f"{name}: unusable by reason", entry["counts"]["unusable"], seen[True])


def check_shard(out, shard, tokenizer, ids, findings):
    name = shard["bin"]["name"]
    index = (out / shard["idx"]["name"]).read_bytes()
    findings.same(f"{name}: first bytes of the index", "MMIDIDX\0\0", index[:9].decode())
    width = numpy.dtype(TOKEN_WIDTH[index[17]])
    count = int.from_bytes(index[18:26], "little")
    sizes = numpy.frombuffer(index, "<i4", count, 34).astype("i8")
    pointers = numpy.frombuffer(index, "<i8", count, 34 + 4 * count)
    tokens = numpy.memmap(out / name, width, "r")
    ends = numpy.cumsum(sizes)
    findings.same(f"{name}: documents, with numpy", shard["documents"], count)
    findings.same(f"{name}: tokens, with numpy", shard["tokens"], len(tokens))
    findings.same(f"{name}: tokens in the index", shard["tokens"], int(sizes.sum()))
    findings.same(f"{name}: where documents begin", True, bool((pointers == (ends - sizes) * width.itemsize).all()))
    findings.same(f"{name}: last token of every document", {tokenizer["end_of_document"]}, set(tokens[ends - 1].tolist()))
    findings.same(f"{name}: every id is below the vocabulary", True, int(tokens.max()) < tokenizer["vocab_size"])
    provenance = polars.read_parquet(out / shard["provenance"]["name"])
    findings.same(f"{name}: ordinals of the provenance", list(range(count)), provenance["ordinal"].to_list())
    findings.same(f"{name}: offsets of the provenance", (ends - sizes).tolist(), provenance["offset"].to_list())
    findings.same(f"{name}: tokens of the provenance", sizes.tolist(), provenance["tokens"].to_list())
    findings.same(f"{name}: documents that are not in documents/", set(), set(provenance["id"]) - ids)
    return count, len(tokens)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    catalog = json.loads((out / "catalog.json").read_text())
    findings = Findings()
    documents = tokens = 0
    for name, entry in catalog["slices"].items():
        shards = [shard[part] for shard in entry["shards"] for part in ("bin", "idx", "provenance")]
        check_files(out, entry["documents"] + entry["dropped"] + shards, findings)
        ids = check_documents(out, name, entry, findings)
        check_dropped(out, name, entry, findings)
        counted = [check_shard(out, shard, catalog["tokenizer"], ids, findings) for shard in entry["shards"]]
        findings.same(f"{name}: tokens of all shards", entry["counts"]["tokens"], sum(size for _, size in counted))
        if counted:
            packed = sum(count for count, _ in counted)
            findings.same(f"{name}: documents of all shards", entry["counts"]["kept"]["documents"], packed)
        documents += entry["counts"]["kept"]["documents"]
        tokens += entry["counts"]["tokens"]
    for broken in findings.broken:
        print(f"DIFFERS  {broken[:300]}")
    print(f"{findings.held} findings hold, {len(findings.broken)} do not: {documents} documents, {tokens} tokens")
    if documents == 0:
        print("DIFFERS  there is no document to look at")
    return 0 if documents and not findings.broken else 1


if __name__ == "__main__":
    sys.exit(main())
