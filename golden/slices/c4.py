"""C4: `pipelines/original/c4.yaml`."""

from account import Account, check_document, lines_of, table


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


def compare(redpajama, golden, inputs):
    return [
        compare_c4(redpajama, golden, records, inputs / "c4" / raw)
        for records, raw in [
            ("c4-train.derived-dev.records.jsonl.gz", "c4-train.derived-dev.json.gz"),
            ("c4_first_records.records.jsonl.gz", "c4_first_records.json"),
        ]
    ]
