#!/usr/bin/env python3
"""Grows a BigQuery-like export of GitHub to a wanted size, out of real files.

    bench/grow.py --from FOLDER --size 100M --output DIR

FOLDER holds checked-out repositories, one folder each, or JSONL (plain or gzip) with BigQuery's
columns. The real files are taken again and again, in a fresh order each time. Every further copy

* is cut into blocks of lines, some of which change places with blocks of other files of its kind,
* has its words renamed: a word that is not among the most common ones becomes, wherever it occurs
  in that copy of the repository, another real word of about the same length and frequency,
* has the digits of its longer numbers changed,

so that copies are no duplicates of each other and still compress and tokenize like code that
somebody wrote. A stated share of records repeats the content of an earlier record under another
repository. Repositories get licences in stated shares. One seed, the same bytes.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

SEED = 20230320
# Shares of the licences. The recipe keeps the first three; the last stands for all that it drops.
LICENSES = {"mit": 0.55, "apache-2.0": 0.25, "bsd-3-clause": 0.10, "gpl-3.0": 0.10}
# Records without content: BigQuery has none for binary files and for those above 1 MB.
WITHOUT_CONTENT = 0.01
# A block of lines comes from another file of the same kind this often.
FOREIGN_BLOCKS = 0.25
# The most common words keep their names: keywords, and what every program says.
COMMON_WORDS = 400
# A word takes the place of another within so many places in the order of length and frequency.
NEIGHBOURS = 200
# A repository's copy has this many files, as small repositories have.
FILES_PER_REPOSITORY = 40
# Text in one raw file. BigQuery cuts its exports likewise.
FILE_BYTES = 32_000_000
# A duplicate repeats one of this many records before it.
REMEMBERED = 2000

WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}|\d{3,}")
LARGEST = 1_000_000


def size(text):
    """`100M` in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)B?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"`{text}` is no size: say 100M or 1G")
    return int(float(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]])


def real_files(source):
    """(path, text) of every text file below `source`, in sorted order."""
    exports = sorted(path for path in source.rglob("*") if path.name.endswith((".jsonl", ".jsonl.gz", ".json.gz")))
    found = []
    if exports and not any(path.is_dir() for path in source.iterdir()):
        for export in exports:
            opened = gzip.open if export.suffix == ".gz" else open
            with opened(export, "rt", encoding="utf-8") as lines:
                rows = map(json.loads, lines)
                found += [(row["path"], row["content"]) for row in rows if row.get("content")]
        return found
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_symlink() or path.stat().st_size > LARGEST:
                continue
            data = path.read_bytes()
            if data and b"\0" not in data[:8000]:
                try:
                    # The first folder is the repository.
                    found.append(("/".join(path.relative_to(source).parts[1:]) or name, data.decode()))
                except UnicodeDecodeError:
                    pass
    return found


def blocks_of(text):
    """The text in blocks of about thirty lines, each ending where a blank line does if one is near."""
    lines = text.splitlines(keepends=True)
    blocks, begin = [], 0
    for at, line in enumerate(lines, 1):
        long_enough = at - begin >= 30 and not line.strip()
        if long_enough or at - begin >= 60 or at == len(lines):
            blocks.append("".join(lines[begin:at]))
            begin = at
    return blocks


class Stock:
    """Real files, cut into blocks, and the words in them."""

    def __init__(self, source):
        self.files = [(path, blocks_of(text)) for path, text in real_files(source)]
        if not self.files:
            sys.exit(f"error: no text file in {source}")
        self.of_kind = {}
        for path, blocks in self.files:
            self.of_kind.setdefault(kind(path), []).extend(blocks)
        counts = Counter()
        for _, blocks in self.files:
            for block in blocks:
                counts.update(word.lower() for word in WORD.findall(block) if not word.isdigit())
        ranked = [word for word, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]
        # By length, then by frequency: neighbours are alike in both.
        self.words = sorted(ranked[COMMON_WORDS:], key=lambda word: (len(word), -counts[word], word))
        self.place = {word: at for at, word in enumerate(self.words)}

    def renamer(self, seed):
        """How one copy of a repository renames its words: the same word always alike."""
        known = {}

        def rename(match):
            word = match[0]
            new = known.get(word)
            if new is None:
                new = known[word] = self.other(word, seed)
            return new

        return rename

    def other(self, word, seed):
        chance = random.Random(f"{seed} {word.lower()}")
        if word.isdigit():
            return word[0] + "".join(chance.choice("0123456789") for _ in word[1:])
        place = self.place.get(word.lower())
        if place is None:
            return word
        near = self.words[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        new = chance.choice(near)
        return new.upper() if word.isupper() else new.capitalize() if word[0].isupper() else new


def kind(path):
    return path.rpartition("/")[2].rpartition(".")[2]


def records(stock, number, wanted, duplicates):
    """The records of one raw file, until it has `wanted` bytes of text."""
    chance = random.Random(f"{SEED} file {number}")
    earlier, made, repository = [], 0, 0
    while made < wanted:
        seed = f"{SEED} {number} {repository}"
        name = f"{chance.choice(stock.words)}-{number}/{chance.choice(stock.words)}-{repository}"
        license_name = chance.choices(list(LICENSES), LICENSES.values())[0]
        rename = stock.renamer(seed)
        for path, blocks in chance.choices(stock.files, k=FILES_PER_REPOSITORY):
            if chance.random() < WITHOUT_CONTENT:
                yield row(None, path, name, license_name, chance)
                continue
            if earlier and chance.random() < duplicates:
                path, content = chance.choice(earlier)
            else:
                mixed = [
                    chance.choice(stock.of_kind[kind(path)]) if chance.random() < FOREIGN_BLOCKS else block
                    for block in blocks
                ]
                content = WORD.sub(rename, "".join(mixed))
                if len(earlier) < REMEMBERED:
                    earlier.append((path, content))
                else:
                    earlier[chance.randrange(REMEMBERED)] = (path, content)
            yield row(content, path, name, license_name, chance)
            made += len(content.encode())
            if made >= wanted:
                break
        repository += 1


def row(content, path, repository, license_name, chance):
    data = None if content is None else content.encode()
    length = chance.randrange(1000, 2_000_000) if data is None else len(data)
    blob = f"{repository}/{path}".encode() if data is None else b"blob %d\0" % length + data
    return {
        "id": hashlib.sha1(blob).hexdigest(),
        "size": length,
        "content": content,
        "binary": content is None,
        "copies": 1,
        "repo_name": repository,
        "ref": "refs/heads/master",
        "path": path,
        "mode": 33188,
        "license": license_name,
    }


def write_file(task):
    """Writes one raw file; says how many records and bytes of text it has, and the bytes on disk."""
    source, output, number, wanted, duplicates = task
    stock = write_file.stock = getattr(write_file, "stock", None) or Stock(source)
    path = output / f"github_{number:012d}.json.gz"
    aside = path.with_suffix(".aside")
    count = text = 0
    with open(aside, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as lines:
        for record in records(stock, number, wanted, duplicates):
            lines.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
            text += len((record["content"] or "").encode())
    aside.rename(path)
    return {"records": count, "text_bytes": text, "bytes": path.stat().st_size}


def grow(source, wanted, output, duplicates, workers=None):
    """Fills `output` with raw files of `wanted` bytes of text in all; returns what it holds. A folder
    that was filled in the same way before is taken as it is."""
    stated = {"seed": SEED, "from": str(source), "text": wanted, "duplicates": duplicates}
    stated["script"] = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    # Beside the folder: all files in it are raw files.
    summary = output.with_name(f"{output.name}.grown.json")
    if summary.exists():
        known = json.loads(summary.read_text())
        if known["stated"] == stated:
            return known
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("github_*"):
        old.unlink()
    sizes = [min(FILE_BYTES, wanted - at) for at in range(0, wanted, FILE_BYTES)]
    tasks = [(source, output, number, part, duplicates) for number, part in enumerate(sizes)]
    with ProcessPoolExecutor(workers) as pool:
        made = Counter()
        for part in pool.map(write_file, tasks):
            made.update(part)
    grown = {"stated": stated, "files": len(tasks), **made}
    summary.write_text(json.dumps(grown))
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--size", type=size, default=size("100M"), help="bytes of text (default 100M)")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--duplicates", type=float, default=0.1, help="share of exact duplicates (default 0.1)")
    options = parser.parse_args()
    print(json.dumps(grow(options.source, options.size, options.output, options.duplicates)))


if __name__ == "__main__":
    main()
