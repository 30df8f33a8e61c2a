"""arXiv: `pipelines/original/arxiv.yaml` on a monthly tar, single e-prints, folders, and single files."""

import gzip

from account import Account, check_document, lines_of, table

# The original's reasons, and ours for the same decision.
REASONS = {"not_utf8": "not_utf8", "empty_text": "empty_text"}


def reason_of(row):
    if row["reason"].startswith("clean_error: error: bad escape"):
        return "bad_escape"
    return REASONS[row["reason"]]


def compare_arxiv(redpajama, golden, records, raw, name, place_of, language):
    """`place_of` says which raw file and record a golden row is."""
    rows = lines_of(golden / "arxiv" / records)
    out = redpajama.build(name, "original/arxiv", raw, "--set", "allow_unusable=1", *language)
    documents = table(out, "documents", "arxiv")
    lines = redpajama.exported(out, "arxiv")
    dropped = {(row["raw_file"], row["record"]): row for row in table(out, "dropped", "arxiv")}
    account = Account(f"arxiv: pipelines/original/arxiv.yaml on {name}")
    account.check("number of lines", "the export", len(documents), len(lines))
    account.check("number of rows", "documents and dropped", len(rows), len(documents) + len(dropped))
    kept = {(document["raw_file"], document["record"]): (document, line) for document, line in zip(documents, lines)}
    for number, row in enumerate(rows):
        at, place = row["id"], place_of(number, row)
        account.check("decision", at, row["kept"], place in kept)
        if row["kept"] and place in kept:
            document, line = kept[place]
            check_document(account, at, row, document, line)
            account.check("url", at, row["meta"]["url"], document["url"])
            account.check("timestamp", at, row["meta"]["timestamp"], document["timestamp"])
            account.check("language", at, row["meta"]["language"], document["language"])
        elif not row["kept"]:
            drop = dropped.get(place, {})
            account.check("reason", at, reason_of(row), drop.get("reason"))
            if reason_of(row) == "bad_escape":
                said = row["reason"].removeprefix("clean_error: error: ")
                account.check("what Python said", at, True, said in drop.get("evidence", ""))
    n_kept = sum(row["kept"] for row in rows)
    expected = {"number of rows": 1, "number of lines": 1, "decision": len(rows)}
    fields = ["text", "url", "timestamp", "language", "exported line"]
    expected |= dict.fromkeys(fields, n_kept)
    if len(rows) > n_kept:
        expected["reason"] = len(rows) - n_kept
    escapes = sum("bad escape" in row["reason"] for row in rows)
    if escapes:
        expected["what Python said"] = escapes
    return account.close(expected)


def compare(redpajama, golden, inputs):
    raw = inputs / "arxiv"
    language = ["--set", f"language_model={(inputs / 'models/lid.176.ftz').resolve()}"]
    # The original takes the name of a submission's folder for its month, and the records were made in
    # folders of these names.
    scratch = redpajama.scratch / "arxiv-inputs"
    loose, trees, files = (scratch / name for name in ("loose-eprints", "latex-trees", "single-files"))
    (loose / "loose").mkdir(parents=True)
    for path in sorted(raw.glob("*.gz")):
        (loose / "loose" / path.name).symlink_to(path.resolve())
    trees.mkdir()
    (trees / "trees").symlink_to((raw / "latex_trees").resolve())
    singles = [row["id"].removeprefix("file:") for row in lines_of(golden / "arxiv/tree_files.records.jsonl.gz")]
    for number, name in enumerate(singles):
        folder = files / f"{number:03}" / "files"
        folder.mkdir(parents=True)
        (folder / "file.gz").write_bytes(gzip.compress((raw / "latex_trees" / name).read_bytes(), mtime=0))

    def of_tree(number, row):
        return f"arxiv/trees/{row['id'].removeprefix('tree:')}", 0

    month = raw / "arXiv_src_2001_001.tar"
    return [
        compare_arxiv(redpajama, golden, records, where, name, place_of, language)
        for name, records, where, place_of in [
            ("a monthly tar", f"{month.stem}.records.jsonl.gz", month, lambda n, _: (f"arxiv/{month.name}", n)),
            ("e-prints", "loose.records.jsonl.gz", loose, lambda _, row: (f"arxiv/loose/{row['id']}", 0)),
            ("folders", "trees.records.jsonl.gz", trees, of_tree),
            ("single files", "tree_files.records.jsonl.gz", files, lambda n, _: (f"arxiv/{n:03}/files/file.gz", 0)),
        ]
    ]
