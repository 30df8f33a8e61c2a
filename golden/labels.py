#!/usr/bin/env python3
"""Compares our fastText inference with Facebook's, and with what the original's records say.

    golden/labels.py --golden FOLDER --inputs FOLDER [--model FILE]... [--repeat 20]

Every text of `texts/` goes through `lid.176.ftz` and the small classifier of the records: the three
likeliest labels must be the records', and their probabilities within a hundred-thousandth. Then
both programs are timed on the same texts, one thread each, in turn; a further `--model` is compared
with Facebook's program alone. Exit status 0 if everything agrees.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

from environment import REPOSITORY, run_with

run_with("fasttext-wheel==0.9.2", "numpy<2")

import fasttext  # noqa: E402

NEAR = 1e-5


def ours(program, model, texts, most):
    """What we say of texts, and the account of it."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    ran = subprocess.run([program, model, str(most)], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()], json.loads(ran.stderr)


def theirs(model, texts, most):
    """What Facebook's program says, and the CPU seconds of it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    told = [model.f.predict(text + "\n", most, 0.0, "strict") for text in texts]
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    return [[[label.removeprefix("__label__"), p] for p, label in one] for one in told], seconds


def agree(about, ids, seen, expected):
    """Prints how many agree; true if all do."""
    wrong, far = [], 0.0
    for name, one, other in zip(ids, seen, expected, strict=True):
        apart = max((abs(a[1] - b[1]) for a, b in zip(one, other)), default=0.0)
        far = max(far, apart)
        if [label for label, _ in one] != [label for label, _ in other] or apart > NEAR:
            wrong.append((name, one, other))
    print(f"{about}: {len(ids) - len(wrong)} of {len(ids)} agree; probabilities differ by at most {far:.1e}")
    for name, one, other in wrong[:5]:
        print(f"  {name}: ours {one}, expected {other}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    build = ["cargo", "build", "--quiet", "--release", "-p", "stages", "--example", "fasttext"]
    subprocess.run(build, cwd=REPOSITORY, check=True)
    program = REPOSITORY / "target" / "release" / "examples" / "fasttext"

    ids, texts, rows = [], [], []
    for path in sorted((arguments.golden / "texts").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        with gzip.open(arguments.golden / "v2" / path.name.replace(".jsonl", ".fasttext.jsonl"), "rt") as file:
            expected = {row["id"]: row for row in map(json.loads, file)}
        ids += [record["id"] for record in records]
        texts += [record["text"] for record in records]
        rows += [expected[record["id"]] for record in records]
    all_agree = True

    languages = arguments.inputs / "models" / "lid.176.ftz"
    lines = [text.replace("\n", " ") for text in texts]
    # Ours takes line ends as they are.
    seen, _ = ours(program, languages, texts, 3)
    all_agree &= agree("lid.176.ftz, records, 3 labels", ids, seen, [row["lid_k3"] for row in rows])

    classifier = arguments.golden / "v2" / "artifacts" / "wikiref_toy.bin"
    joined = [" ".join(text.strip().splitlines()) for text in texts]
    seen, _ = ours(program, classifier, joined, 1)
    records = [[[row["wikiref_label"].removeprefix("__label__"), row["wikiref_prob"]]] for row in rows]
    all_agree &= agree("wikiref_toy.bin, records, 1 label", ids, seen, records)

    size = sum(len(text.encode()) for text in texts)
    for path, texts in [(languages, lines), (classifier, joined), *((path, lines) for path in arguments.model)]:
        model = fasttext.load_model(str(path))
        seen, _ = ours(program, path, texts, 2)
        expected, _ = theirs(model, texts, 2)
        all_agree &= agree(f"{path.name}, Facebook's program, 2 labels", ids, seen, expected)
        best = {"ours": 0.0, "theirs": 0.0}
        for _ in range(3):
            _, account = ours(program, path, texts * arguments.repeat, 1)
            best["ours"] = max(best["ours"], arguments.repeat / account["seconds"])
            _, seconds = theirs(model, texts * arguments.repeat, 1)
            best["theirs"] = max(best["theirs"], arguments.repeat / seconds)
        for who, passes in best.items():
            print(f"  {who}: {passes * len(texts):.0f} documents, {passes * size / 1e6:.1f} MB of text per CPU-second")
        print(f"  ours is {best['ours'] / best['theirs']:.1f} times as fast, in {account['memory'] / 1e6:.1f} MB")
    sys.exit(not all_agree)


main()
