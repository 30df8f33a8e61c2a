"""Dedups whose outputs the original left: SimHash of books, and of pieces of 4,000 characters; cc_net's
hashes of lines."""

import json

from account import Account, lines_of, sha256, table

# The original compares the first pieces of each book, at most this many.
PIECES, PIECE = 60, 4000


def decoded(path):
    """A book's text as the original decodes it."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def compare_simhash(redpajama, title, name, rows, texts):
    """Decision of every text, and how far the nearest of lower number is from each that goes."""
    raw = redpajama.scratch / f"{name}.jsonl"
    with open(raw, "w", encoding="utf-8") as lines:
        for text in texts.values():
            lines.write(json.dumps({"text": text}) + "\n")
    pipeline = redpajama.written(name, [{"simhash_dedup": {"by": "any"}}], {"c4": {}})
    out = redpajama.build(name, pipeline, raw, "--set", "max_document=32M")
    kept = {row["record"] for row in table(out, "documents", "c4")}
    dropped = {row["record"]: row for row in table(out, "dropped", "c4")}
    account = Account(title)
    ids = list(texts)
    account.check("texts", "the input", [row["id"] for row in rows], ids)
    hashes = {row["id"]: int(row["simhash"], 16) for row in rows}
    for number, row in enumerate(rows):
        account.check("text", row["id"], row["text_sha256"], sha256(texts[row["id"]].encode()))
        account.check("decision", row["id"], row["keep"], number in kept and number not in dropped)
        if row["keep"]:
            continue
        drop = dropped.get(number, {})
        twin = (drop.get("kept_id") or "#-1").rpartition("#")[2]
        twin = ids[int(twin)] if int(twin) >= 0 else None
        account.check("is near its twin", row["id"], True, twin in row["near_dups"])
        distance = (hashes[row["id"]] ^ hashes[twin]).bit_count() if twin else None
        ours = drop.get("similarity")
        account.check("distance of the SimHashes", row["id"], distance, None if ours is None else round(64 * (1 - ours)))
    gone = sum(not row["keep"] for row in rows)
    expected = {"texts": 1, "text": len(rows), "decision": len(rows)}
    return account.close(expected | dict.fromkeys(["is near its twin", "distance of the SimHashes"], gone))


def compare_line_hashes(redpajama, golden):
    """Every line as a document of its own: its one sketch begins with the line's hash."""
    rows = lines_of(golden / "common_crawl/normalize_lines.jsonl.gz")
    raw = redpajama.scratch / "lines.jsonl"
    raw.write_text("".join(json.dumps({"text": row["in"]}) + "\n" for row in rows))
    options = {"keep": "none", "scope": "raw_file", "repeats": "remove", "blank_lines": "compare", "min_characters": 0}
    pipeline = redpajama.written("lines", [{"paragraph_dedup": options}], {"c4": {}})
    out = redpajama.build("lines", pipeline, raw, "--keep-between", "--set", "partition=1G")
    (sketches,) = (out / "between").glob("*.sketches")
    shown = redpajama.run("inspect", sketches, "--json", "--limit", 2 * len(rows)).splitlines()
    keys = [json.loads(line) for line in shown if line.startswith("{")]
    ours = {key["record"]: key["key"][:16] for key in keys}
    account = Account("cc_net: hashes of lines")
    account.check("lines", "the input", len(rows), len(keys))
    for number, row in enumerate(rows):
        account.check("hash", f"line {row['id']}", row["hash_u64"], ours.get(number))
    return account.close({"lines": 1, "hash": len(rows)})


def compare(redpajama, golden, inputs):
    books = {path.name: decoded(path) for path in sorted((inputs / "books").glob("*.txt"))}
    pieces = {
        f"{name}#{number}": text[number * PIECE : (number + 1) * PIECE]
        for name, text in books.items()
        for number in range(min(PIECES, -(-len(text) // PIECE)))
    }
    return [
        compare_line_hashes(redpajama, golden),
        compare_simhash(redpajama, "books: simhash_dedup as the original", "simhash-books", lines_of(golden / "books/books.jsonl.gz"), books),
        compare_simhash(redpajama, "pieces of books: simhash_dedup as the original", "simhash-pieces", lines_of(golden / "books/chunks4000.jsonl.gz"), pieces),
    ]
