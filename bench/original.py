#!/usr/bin/env python3
"""The original's way from a BigQuery export of GitHub to packed tokens, to be measured against.

    bench/original.py TOKENIZER RAW… --output DIR

Written by us from the facts of the recipe, not copied: the same steps in the same order, each
leaving its files for the next as the original's scripts do, in one process.

1. Per raw file: the query's conditions, path rules, MD5 of the content, copyright header, line and
   character statistics; written as JSONL, with the statistics once more on their own.
2. Over all statistics: the first of equal MD5 stays. The JSONL is rewritten without the others.
3. The filters; the last one counts tokens. Kept lines are gzipped as they are.
4. Each kept text is encoded, ended with the end-of-document token, written as `.bin` and `.idx`.

The last line of the output is a JSON object: documents, tokens, bytes and the seconds of each step.
"""

import argparse
import gzip
import hashlib
import json
import re
import struct
import time
from array import array
from pathlib import Path

from tokenizers import Tokenizer

LICENSES = ("mit", "bsd", "apache")
BLOCK_COMMENT = re.compile(r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/")
ENDINGS = tuple(
    ".asm .bat .cmd .c .h .cs .cpp .hpp .c++ .h++ .cc .hh .C .H .cmake .css .dockerfile .f90 .f .f03 .f08 .f77 .f95 "
    ".for .fpp .go .hs .html .java .js .jl .lua .md .markdown .php .php3 .php4 .php5 .phps .phpt .pl .pm .pod .perl "
    ".ps1 .psd1 .psm1 .py .rb .rs .sql .scala .sh .bash .command .zsh .ts .tsx .tex .vb Dockerfile Makefile .xml .rst "
    ".m .smali".split()
)


def without_header(text):
    """The text without its copyright comment: a block comment anywhere, else leading comment lines."""
    comment = BLOCK_COMMENT.search(text)
    if comment:
        if "copyright" in comment[0].lower():
            return text[: comment.start()] + text[comment.end() :]
        return text
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line and not line.startswith(("//", "#", "--")):
            return "\n".join(lines[at:])
    return ""


def statistics(text):
    lengths = [len(line) for line in text.splitlines()]
    if not lengths:
        return {"line_count": 0, "max_line_length": 0, "avg_line_length": 0, "alnum_prop": 0}
    return {
        "line_count": len(lengths),
        "max_line_length": max(lengths),
        "avg_line_length": len(text) / len(lengths),
        "alnum_prop": sum(map(str.isalnum, text)) / len(text),
    }


def clean(raw_files, folder, account):
    seen_here = set()
    for number, raw in enumerate(raw_files):
        seen_here.clear()
        run = open(folder / f"run_{number}.jsonl", "w")
        stats = open(folder / f"stats_{number}.jsonl", "w")
        with gzip.open(raw, "rt", encoding="utf-8", newline="\n") as lines, run, stats:
            for line in lines:
                row = json.loads(line)
                account["records"] += 1
                content = row.pop("content")
                if content is None:
                    continue
                account["text_bytes"] += len(content.encode())
                if not (row["license"] or "").startswith(LICENSES):
                    continue
                if row["path"].endswith(".crt") or row["path"] == "LICENSE":
                    continue
                content_hash = hashlib.md5(content.encode()).hexdigest()
                if content_hash in seen_here:
                    continue
                seen_here.add(content_hash)
                text = without_header(content)
                measured = statistics(text)
                meta = {"content_hash": content_hash, "timestamp": "", "source": "github", **measured, **row}
                run.write(json.dumps({"text": text, "meta": meta}) + "\n")
                stats.write(json.dumps({**measured, "path": row["path"], "content_hash": content_hash}) + "\n")


def deduplicate(count, folder):
    seen = set()
    for number in range(count):
        stays = set()
        with open(folder / f"stats_{number}.jsonl") as stats:
            for line in stats:
                content_hash = json.loads(line)["content_hash"]
                if content_hash not in seen:
                    seen.add(content_hash)
                    stays.add(content_hash)
        with open(folder / f"run_{number}.jsonl") as run, open(folder / f"deduped_{number}.jsonl", "w") as deduped:
            for line in run:
                if json.loads(line)["meta"]["content_hash"] in stays:
                    deduped.write(line)


def dropped(record, tokenizer):
    """The original's reason to drop a record, or nothing."""
    text, meta = record["text"], record["meta"]
    if not text:
        return "filter_empty"
    if not meta["path"].endswith(ENDINGS):
        return "filter_extension"
    if meta["max_line_length"] > 1000:
        return "filter_max_line_length"
    if meta["avg_line_length"] > 100:
        return "filter_avg_line_length"
    if meta["alnum_prop"] < 0.25:
        return "filter_alnum_prop"
    letters = sum(map(str.isalpha, text))
    tokens = len(tokenizer.encode(text).tokens)
    return "filter_token_ratio" if not tokens or letters / tokens < 1.5 else None


def filter_records(count, folder, tokenizer):
    for number in range(count):
        kept = gzip.open(folder / f"filtered_{number}.jsonl.gz", "wt", encoding="utf-8", newline="\n")
        with open(folder / f"deduped_{number}.jsonl") as deduped, kept:
            for line in deduped:
                if not dropped(json.loads(line), tokenizer):
                    kept.write(line)


def pack(count, folder, tokenizer, account):
    width = "H" if tokenizer.get_vocab_size() < 65_500 else "i"
    end_of_document = tokenizer.token_to_id("<|endoftext|>")
    sizes = array("i")
    with open(folder / "github_text_document.bin", "wb") as tokens:
        for number in range(count):
            with gzip.open(folder / f"filtered_{number}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    ids = array(width, tokenizer.encode(json.loads(line)["text"]).ids)
                    ids.append(end_of_document)
                    ids.tofile(tokens)
                    sizes.append(len(ids))
    bytes_per_token = array(width).itemsize
    pointers, at = array("q"), 0
    for size in sizes:
        pointers.append(at)
        at += size * bytes_per_token
    with open(folder / "github_text_document.idx", "wb") as index:
        code = 8 if width == "H" else 4
        index.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sizes), len(sizes) + 1))
        sizes.tofile(index)
        pointers.tofile(index)
        array("q", range(len(sizes) + 1)).tofile(index)
    account["documents"], account["tokens"] = len(sizes), at // bytes_per_token


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("raw", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    account = {"records": 0, "text_bytes": 0, "seconds": {}}
    count = len(options.raw)
    steps = {
        "clean": lambda: clean(options.raw, options.output, account),
        "deduplicate": lambda: deduplicate(count, options.output),
        "filter": lambda: filter_records(count, options.output, tokenizer),
        "pack": lambda: pack(count, options.output, tokenizer, account),
    }
    for name, step in steps.items():
        before = time.process_time()
        step()
        account["seconds"][name] = round(time.process_time() - before, 3)
    print(json.dumps(account))


if __name__ == "__main__":
    main()
