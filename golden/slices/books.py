"""Books: `pipelines/original/books.yaml`, and the text of every book, those that it drops too."""

import json

import zstandard
from account import Account, lines_of, sha256, table

# As `pipelines/original/books.yaml` has it.
SOURCE = {"decode": "utf8_or_latin1", "byte_order_mark": "kept", "line_ends": "kept"}


def name_of(row):
    return row["raw_file"].removeprefix("books/")


def compare_texts(redpajama, rows, raw):
    pipeline = redpajama.written("books-texts", [], {"books": {"source": SOURCE}})
    out = redpajama.build("books-texts", pipeline, raw)
    documents = {name_of(document): document for document in table(out, "documents", "books")}
    account = Account("books: text of every file")
    account.check("files", "the input", [row["id"] for row in rows], list(documents))
    for row in rows:
        text = documents[row["id"]]["text"]
        account.check("text", row["id"], row["text_sha256"], sha256(text.encode()))
        account.check("length", row["id"], row["text_len"], len(text))
        account.check("beginning", row["id"], row["text_head"], text[:200])
        encoding = json.loads(documents[row["id"]]["meta"])["encoding"]
        account.check("encoding", row["id"], row["encoding"], {"UTF-8": "utf-8", "ISO-8859-1": "latin-1"}[encoding])
    return account.close({"files": 1} | dict.fromkeys(["text", "length", "beginning", "encoding"], len(rows)))


def compare_original(redpajama, rows, raw):
    out = redpajama.build("books", "original/books", raw)
    documents = {name_of(document): document for document in table(out, "documents", "books")}
    dropped = {name_of(row): row for row in table(out, "dropped", "books")}
    account = Account("books: pipelines/original/books.yaml")
    for row in rows:
        account.check("decision", row["id"], row["keep"], row["id"] in documents and row["id"] not in dropped)
        if not row["keep"]:
            twin = (dropped.get(row["id"], {}).get("kept_id") or "").removeprefix("books/").rpartition("#")[0]
            account.check("is near its twin", row["id"], True, twin in row["near_dups"])
    redpajama.run("export", out, "--format", "jsonl", "--to", out / "lines")
    lines = []
    for path in sorted((out / "lines").glob("books-*.jsonl.zst")):
        with zstandard.open(path, "rb") as read:
            lines += read.read().split(b"\n")[:-1]
    # The original wrote a line as Python does, the meta first.
    for document, line in zip(documents.values(), lines, strict=True):
        expected = json.dumps({"meta": json.loads(document["meta"]), "text": document["text"]})
        account.check("exported line", name_of(document), expected, line.decode())
    kept = sum(row["keep"] for row in rows)
    return account.close({"decision": len(rows), "is near its twin": len(rows) - kept, "exported line": kept})


def compare(redpajama, golden, inputs):
    rows = lines_of(golden / "books/books.jsonl.gz")
    raw = inputs / "books"
    return [compare_texts(redpajama, rows, raw), compare_original(redpajama, rows, raw)]
