"""arXiv: `pipelines/original/arxiv.yaml` on a monthly tar, single e-prints, folders, and single files;
and on random LaTeX, beside the same regular expressions in Python (`bench/slices/arxiv.py`)."""

import gzip
import importlib.util
import io
import random
import re
import tarfile

from account import Account, check_document, lines_of, table
from environment import REPOSITORY

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


# What random LaTeX is made of: all that the original's regular expressions look at, and its neighbours.
PIECES = [
    "\\", "{", "}", "[", "]", "%", "\n", "a", "b", "x", "*", " ", "\r", "é", "\t", "1", "\x1c", "\u2028", "%%", "\\%",
    "\\section", "\\section{", "\\paragraph{", "\\subparagraph{", "}\\subparagraph", "\\paragraph", "\\part[", "\\chapter*{",
    "\\newcommand{\\", "\\newcommand*{\\", "\\newcommand", "\\def\\", "\\def ", "\\def", "\\a", "\\b", "\\ab", "\\a\\a",
    "}{", "}\n", "{a}\n", "\\appendix", "\\bibliography{", "\\begin{references}", "\\begin{thebibliography}",
]  # fmt: skip
SUBMISSIONS = 4000


def random_file(choice):
    text = "".join(choice.choice(PIECES) for _ in range(choice.randint(5, 120)))
    if choice.random() < 0.6:
        text = "\\section{A}" + text
    for definition, values in [
        ("\\newcommand{\\a}{%}\n", ["b", "\\b", "", "\\", " \\ab", "x\\a"]),
        ("\\def\\b{%}\n", ["b", "\\a", "", "\\ab", "a"]),
    ]:
        if choice.random() < 0.5:
            text = definition.replace("%", choice.choice(values)) + text
    return text


def compare_random(redpajama, language):
    """A field that the Python side has no answer for cannot differ: its answers are counted too."""
    spec = importlib.util.spec_from_file_location("original_arxiv", REPOSITORY / "bench/slices/arxiv.py")
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    choice = random.Random(1)
    raw = redpajama.scratch / "arXiv_src_2101_001.tar"
    expected = []
    with tarfile.open(raw, "w") as month:
        for number in range(SUBMISSIONS):
            files = [random_file(choice) for _ in range(choice.choice([1, 1, 2, 3]))]
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for at, file in enumerate(files):
                    member = tarfile.TarInfo(f"{at}.tex")
                    member.size = len(file.encode())
                    archive.addfile(member, io.BytesIO(file.encode()))
            packed = gzip.compress(packed.getvalue(), 1)
            member = tarfile.TarInfo(f"2101/2101.{number:05}.gz")
            member.size = len(packed)
            month.addfile(member, io.BytesIO(packed))
            try:
                expected.append(original.made(files))
            except re.error as error:
                expected.append(error)
    out = redpajama.build("random LaTeX", "original/arxiv", raw, "--set", "allow_unusable=1", *language)
    texts = {row["record"]: row["text"] for row in table(out, "documents", "arxiv")}
    dropped = {row["record"]: row for row in table(out, "dropped", "arxiv")}
    account = Account("arxiv: pipelines/original/arxiv.yaml on random LaTeX, beside Python's regular expressions")
    for number, made in enumerate(expected):
        drop = dropped.get(number, {})
        if isinstance(made, re.error):
            account.check("what Python said", f"record {number}", True, str(made) in drop.get("evidence", ""))
        elif made:
            account.check("text", f"record {number}", made, texts.get(number))
        else:
            account.check("no text", f"record {number}", "empty_text", drop.get("reason"))
    errors = sum(isinstance(made, re.error) for made in expected)
    whole = sum(isinstance(made, str) and bool(made) for made in expected)
    return account.close({"text": whole, "no text": SUBMISSIONS - whole - errors, "what Python said": errors})


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
    outcomes = [
        compare_arxiv(redpajama, golden, records, where, name, place_of, language)
        for name, records, where, place_of in [
            ("a monthly tar", f"{month.stem}.records.jsonl.gz", month, lambda n, _: (f"arxiv/{month.name}", n)),
            ("e-prints", "loose.records.jsonl.gz", loose, lambda _, row: (f"arxiv/loose/{row['id']}", 0)),
            ("folders", "trees.records.jsonl.gz", trees, of_tree),
            ("single files", "tree_files.records.jsonl.gz", files, lambda n, _: (f"arxiv/{n:03}/files/file.gz", 0)),
        ]
    ]
    return [*outcomes, compare_random(redpajama, language)]
