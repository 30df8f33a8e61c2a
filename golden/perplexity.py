#!/usr/bin/env python3
"""Compares our readers of KenLM's and SentencePiece's models with the originals, and with the original's records.

    golden/perplexity.py --golden FOLDER --inputs FOLDER [--words FILE]... [--pieces FILE]... [--repeat 20]

The records: sentences scored word by word, lines prepared for cc_net's models, documents cut into pieces and scored.
Then both programs are asked on the spot about the texts of seven slices: SentencePiece's models that are among the inputs,
and KenLM's, also in the five kinds of binary files that its own `build_binary` makes of each ARPA file. Last both are
timed on the same texts, in CPU seconds of one thread. Exit status 0 if everything agrees.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

from environment import REPOSITORY, run_with

run_with("kenlm==0.3.0", "sentencepiece==0.2.3")

import kenlm  # noqa: E402
import sentencepiece  # noqa: E402

NEAR = 1e-4
CUT = 20_000
KINDS = {
    "probing": ["probing"],
    "trie": ["trie"],
    "array": ["-a", "22", "trie"],
    "quantised": ["-q", "8", "-b", "8", "trie"],
    "quantised_array": ["-q", "7", "-b", "6", "-a", "64", "trie"],
}


def rows_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def build_binary(folder):
    """KenLM's program of that name, made from its source distribution; none without a C++ compiler."""
    made = REPOSITORY / "target" / "python" / "build_binary"
    if made.exists():
        return made
    if not shutil.which("g++"):
        return None
    # Only unpacked, not built: that would fetch a build system.
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "kenlm", "kenlm==0.3.0"]
    subprocess.run([*asked, "--dest", folder], check=True)
    with tarfile.open(next(Path(folder).glob("kenlm-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(path for path in Path(folder).glob("kenlm-*") if path.is_dir())
    subprocess.run(["bash", "compile_query_only.sh"], cwd=source, check=True, capture_output=True)
    shutil.copy(source / "bin" / "build_binary", made)
    return made


class Ours:
    def __init__(self, program):
        self.program = program

    def ask(self, texts, *arguments, repeat=0):
        """What we say of texts, and the CPU seconds it took."""
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        ran = subprocess.run([self.program, *arguments, str(repeat)], input=lines, capture_output=True, text=True, check=True)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        return [json.loads(line) for line in ran.stdout.splitlines()], seconds


def say(about, right, of, note=""):
    print(f"{about}: {right} of {of} agree{note}")
    return right == of and of > 0


def first(differing):
    for one in differing[:3]:
        print(f"  {one}"[:400])


def compare_scores(about, seen, expected):
    """Sums, and of each word its logarithm, the words it was told by, whether it is known."""
    far, wrong = 0.0, []
    for one, (score, full) in zip(seen, expected, strict=True):
        apart = abs(one["score"] - score)
        same = len(one["full"]) == len(full)
        for ours, theirs in zip(one["full"], full):
            apart = max(apart, abs(ours[0] - theirs[0]))
            same &= ours[1:] == list(theirs[1:])
        far = max(far, apart)
        if not same or apart > NEAR:
            wrong.append((one, score, full))
    first(wrong)
    return say(about, len(expected) - len(wrong), len(expected), f"; logarithms differ by at most {far:.1e}")


def compare_records(ours, golden, models):
    """What the original's records say."""
    all_agree = True
    sentences = {}
    for row in rows_of(golden / "common_crawl/kenlm_scores.jsonl.gz"):
        sentences.setdefault(row["model"], []).append(row)
    for name, rows in sorted(sentences.items()):
        seen, _ = ours.ask([row["sentence"] for row in rows], "words", models / name)
        expected = [(row["score"], row["full"]) for row in rows]
        all_agree &= compare_scores(f"{name}, records", seen, expected)
        alone = sum(abs(one["score_no_bos_eos"] - row["score_no_bos_eos"]) <= NEAR for one, row in zip(seen, rows))
        all_agree &= say(f"{name}, records, without beginning and end", alone, len(rows))
    texts = {row["id"]: row["text"] for row in rows_of(golden / "texts/common_crawl.jsonl.gz")}
    lines = rows_of(golden / "common_crawl/normalize_lines.jsonl.gz")
    any_words, any_pieces = models / "kenlm_test.arpa", models / "sp_test_model.model"
    seen, _ = ours.ask([row["in"] for row in lines], "pair", any_words, any_pieces)
    right = sum(one["normalized"] == row["normalize"] for one, row in zip(seen, lines))
    all_agree &= say("lines as cc_net prepares them, records", right, len(lines))
    rows = rows_of(golden / "common_crawl/lm_toy.records.jsonl.gz")
    asked = {}
    for row in rows:
        for words in row["lm"]:
            asked.setdefault((row["sp_model"], words), []).append(row)
    for (pieces, words), rows in sorted(asked.items()):
        # Texts are cut where they have this many characters; the records are of whole ones.
        known = [row for row in rows if len(texts.get(row["doc"], "")) in range(1, CUT)]
        seen, _ = ours.ask([texts[row["doc"]] for row in known], "pair", models / words, models / pieces)
        fields = dict.fromkeys(["normalized", "tokenized", "log10_score", "length", "perplexity"], 0)
        for one, row in zip(seen, known, strict=True):
            lm = row["lm"][words]
            digest = lambda text: sha256(text.encode()).hexdigest()
            fields["normalized"] += digest(one["normalized"]) == row["normalize_sha256"]
            fields["tokenized"] += digest(one["tokenized"]) == row["tokenized_sha256"]
            fields["log10_score"] += abs(one["score"] - lm["log10_score"]) <= NEAR
            fields["length"] += one["length"] == lm["length"]
            fields["perplexity"] += round(one["perplexity"], 1) == lm["perplexity"]
        for field, right in fields.items():
            all_agree &= say(f"{pieces} and {words}, records, {field}", right, len(known), f" (of {len(rows)} in all)")
    return all_agree


def compare_live(ours, texts, models, words, pieces, folder):
    """What the two libraries say themselves."""
    all_agree = True
    lines = sorted({line for text in texts for line in text.split("\n") if line.strip()})
    for path in pieces:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        for about, asked in [("texts", texts), ("lines", lines)]:
            seen, _ = ours.ask(asked, "pieces", path)
            wrong = []
            for text, one in zip(asked, seen, strict=True):
                expected = {"ids": model.encode(text, out_type=int), "pieces": model.encode(text, out_type=str)}
                if one != expected:
                    wrong.append((text[:80], one, expected))
            first(wrong)
            all_agree &= say(f"{path.name}, {about}, ids and pieces", len(asked) - len(wrong), len(asked))
    build = build_binary(folder)
    for path in words:
        kinds = {path.name: path}
        if build and path.suffix == ".arpa":
            for kind, options in KINDS.items():
                made = Path(folder) / f"{path.stem}.{kind}"
                subprocess.run([build, "-i", *options, path, made], check=True, capture_output=True)
                kinds[f"{path.name} as {kind}"] = made
        asked = lines[:: max(1, len(lines) // 4000)]
        for name, model_path in kinds.items():
            model = kenlm.Model(str(model_path))
            expected = [(model.score(line), list(model.full_scores(line))) for line in asked]
            seen, _ = ours.ask(asked, "words", model_path)
            all_agree &= compare_scores(name, seen, expected)
    return all_agree


def theirs_seconds(reckon, texts, repeat):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(repeat):
        for text in texts:
            reckon(text)
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def time_both(ours, texts, normalized, words, pieces, repeat):
    """CPU seconds on the same texts, each program several times in turn."""
    size = sum(len(text.encode()) for text in texts)
    model, cutter = kenlm.Model(str(words)), sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    tokenized = [" ".join(cutter.encode(text, out_type=str)) for text in normalized]

    def cut_and_score(text):
        line = " ".join(cutter.encode(text, out_type=str))
        return model.score(line), len(line.split()) + 1

    jobs = [
        (f"{words.name}, score", ["words", words], tokenized, model.score),
        (f"{pieces.name}, cut", ["pieces", pieces], normalized, lambda text: cutter.encode(text, out_type=str)),
        (f"{pieces.name}, cut to numbers", ["pieces", pieces], normalized, lambda text: cutter.encode(text, out_type=int)),
        ("both, of prepared texts (ours prepares them too)", ["pair", words, pieces], normalized, cut_and_score),
    ]
    for about, arguments, asked, reckon in jobs:
        best = {"ours": float("inf"), "theirs": float("inf")}
        for _ in range(3):
            _, idle = ours.ask(asked, *arguments)
            _, busy = ours.ask(asked, *arguments, repeat=repeat)
            best["ours"] = min(best["ours"], max(busy - idle, 1e-3))
            best["theirs"] = min(best["theirs"], theirs_seconds(reckon, asked, repeat))
        print(f"{about}:")
        for who, seconds in best.items():
            documents, mb = repeat * len(asked) / seconds, repeat * size / seconds / 1e6
            print(f"  {who}: {documents:.0f} documents, {mb:.1f} MB of text per CPU-second")
        print(f"  ours is {best['theirs'] / best['ours']:.1f} times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--words", type=Path, action="append", default=[], help="a further KenLM model")
    parser.add_argument("--pieces", type=Path, action="append", default=[], help="a further SentencePiece model")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--program", type=Path, help="the example `perplexity`, if it is built already")
    arguments = parser.parse_args()
    program = arguments.program
    if program is None:
        build = ["cargo", "build", "--quiet", "--release", "-p", "stages", "--example", "perplexity"]
        subprocess.run(build, cwd=REPOSITORY, check=True)
        program = REPOSITORY / "target" / "release" / "examples" / "perplexity"
    ours, models = Ours(program.resolve()), arguments.inputs / "models"
    texts = [row["text"] for path in sorted((arguments.golden / "texts").glob("*.jsonl.gz")) for row in rows_of(path)]
    words = [*sorted(models.glob("kenlm_*/*")), *sorted(models.glob("kenlm_*.arpa")), *arguments.words]
    pieces = [models / "sp_test_model.model", models / "llama_tokenizer.model", *arguments.pieces]
    with tempfile.TemporaryDirectory() as folder:
        # Of what it reads KenLM tells much on its error output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        all_agree = compare_records(ours, arguments.golden, models)
        all_agree &= compare_live(ours, texts, models, words, pieces, folder)
        seen, _ = ours.ask(texts, "pair", models / "kenlm_test.arpa", pieces[0])
        normalized = [one["normalized"] for one in seen]
        for model in [models / "kenlm_pt_pair/lm.binary", *arguments.words]:
            time_both(ours, texts, normalized, model, pieces[0], arguments.repeat)
    sys.exit(not all_agree)


main()
