"""Wikipedia: `pipelines/original/wikipedia.yaml`, dump by dump."""

from account import Account, by_record, check_document, lines_of, table

# What the script's loop leaves out, in our words.
REASONS = {"namespace", "redirect", "no_text", "empty"}


def compare_dump(account, redpajama, rows, raw):
    name = raw.name.partition(".")[0]
    out = redpajama.build(f"wikipedia-{name}", "original/wikipedia", raw)
    documents = table(out, "documents", "wikipedia")
    lines = redpajama.exported(out, "wikipedia")
    dropped = by_record(table(out, "dropped", "wikipedia"))
    account.check("number of lines", raw.name, len(documents), len(lines))
    account.check("number of pages", raw.name, len(rows), len(documents) + len(dropped))
    kept = {document["record"]: (document, line) for document, line in zip(documents, lines)}
    for row in rows:
        number, reason = row["page"], row["reason"]
        at = f"{raw.name} page {number} (id {row['id']})"
        account.check("decision", at, row["kept"], number in kept and number not in dropped)
        if not row["kept"]:
            account.check("reason", at, reason if reason in REASONS else None, dropped.get(number, {}).get("reason"))
        elif number in kept:
            document, line = kept[number]
            check_document(account, at, row, document, line)
            account.check("url", at, row["url"], document["url"])
            account.check("language", at, row["lang"], document["language"])


def compare(redpajama, golden, inputs):
    account = Account("wikipedia: pipelines/original/wikipedia.yaml, dump by dump")
    rows, dumps = [], 0
    for records in sorted((golden / "wikipedia").glob("*.records.jsonl.gz")):
        name = records.name.removesuffix(".records.jsonl.gz")
        raw = next(path for path in sorted((inputs / "wikipedia").glob(f"{name}.xml*")))
        pages = lines_of(records)
        compare_dump(account, redpajama, pages, raw)
        rows += pages
        dumps += 1
    n_kept = sum(row["kept"] for row in rows)
    expected = {"number of lines": dumps, "number of pages": dumps}
    expected |= {"decision": len(rows), "reason": len(rows) - n_kept}
    return [account.close(expected | dict.fromkeys(["text", "url", "language", "exported line"], n_kept))]
