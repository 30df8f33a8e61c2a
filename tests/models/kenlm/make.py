"""Makes the small models here and what KenLM says of some sentences.

    make.py BUILD_BINARY        (needs `kenlm` 0.3.0; the program `build_binary` is in its source distribution)

The numbers of the runs are made up: no model has to be a good one, and one whose numbers all differ shows best which of
them was taken. Each kind of binary file is KenLM's own work.
"""

import collections
import json
import pathlib
import subprocess
import sys

import kenlm

here = pathlib.Path(__file__).parent
LINES = """the cat sat on the mat and the dog ran to the old house
the old dog sat on the red wall while it was raining
a cat and a dog ran to the house with red walls
it was raining on the old house and on the cat
die Katze saß auf der alten Mauer und der Hund lief
der alte Hund lief zu dem Haus mit roten Mauern
where did the cat come from and where did it go
▁the ▁old ▁house ▁was ▁red ▁and ▁the ▁wall ▁was ▁old
▁the ▁cat ▁sat ▁on ▁the ▁wall ▁and ▁it ▁was ▁raining""".splitlines()
SENTENCES = [
    "", " ", "the", "the cat sat on the mat", "the cat sat on the old wall", "raining dog the", "xyzzy", "the xyzzy cat sat on the",
    "die Katze lief zu dem Haus", "▁the ▁cat ▁was ▁old", "<unk> the", "</s> the", "<s> the cat", "the </s> cat", "cat " * 40,
    "the cat sat on the mat " * 30, "\tthe\n cat\x0b sat", "Katze\u00a0saß", "\u3000the", "a b c d e f g h",
]


def arpa(order, keep=lambda run: True, unknown=True):
    """An ARPA file of the runs of the lines, up to so many words."""
    runs = [collections.Counter() for _ in range(order)]
    for line in LINES:
        words = ["<s>", *line.split(), "</s>"]
        for length in range(1, order + 1):
            for at in range(len(words) - length + 1):
                runs[length - 1][tuple(words[at : at + length])] += 1
    if unknown:
        runs[0][("<unk>",)] = 1
    state = 7
    out = ["\\data\\"]
    kept = [[run for run in sorted(of_length) if keep(run)] for of_length in runs]
    out += [f"ngram {length}={len(of_length)}" for length, of_length in enumerate(kept, 1)]
    for length, of_length in enumerate(kept, 1):
        out += ["", f"\\{length}-grams:"]
        for run in of_length:
            state = (state * 1103515245 + 12345) % (1 << 31)
            log10, backoff = -(state >> 8) % 300000 / 100000 + 1e-6, -((state >> 4) % 90000) / 100000
            if run == ("<s>",):
                log10 = 99
            ends = length == order or run[-1] == "</s>"
            # Some backoffs are 0, some are left out.
            out.append(f"{-log10:.7g}\t{' '.join(run)}" + ("" if ends else f"\t{0 if state % 5 == 0 else backoff:.7g}"))
    return "\n".join([*out, "", "\\end\\", ""])


def main():
    build = sys.argv[1]
    # Runs without which others still are: SRILM leaves such ones out.
    pruned = {("cat", "sat"), ("old", "house"), ("it", "was"), ("it", "was", "raining"), ("sat", "on", "the")}
    kept = lambda run: not any(run[:length] in pruned for length in range(1, len(run) + 1))
    texts = {
        "four.arpa": arpa(4),
        "two.arpa": arpa(2, unknown=False),
        "pruned.arpa": arpa(4, keep=kept),
    }
    for name, text in texts.items():
        (here / name).write_text(text, encoding="utf-8")
    kinds = {
        "probing.bin": ["probing", "four.arpa"],
        "trie.bin": ["trie", "four.arpa"],
        "array.bin": ["-a", "6", "trie", "four.arpa"],
        "quantised.bin": ["-q", "5", "-b", "4", "trie", "four.arpa"],
        "quantised_array.bin": ["-q", "6", "-b", "5", "-a", "64", "trie", "four.arpa"],
        "nameless.bin": ["-i", "-w", "mmap", "probing", "two.arpa"],
        "two_trie.bin": ["trie", "two.arpa"],
        "pruned_trie.bin": ["trie", "pruned.arpa"],
    }
    for name, (*options, source) in kinds.items():
        subprocess.run([build, *options, here / source, here / name], check=True, stderr=subprocess.DEVNULL)
    models = {}
    for name in [*texts, *kinds]:
        model = kenlm.Model(str(here / name))
        models[name] = [[model.score(one), [list(told) for told in model.full_scores(one)]] for one in SENTENCES]
    told = json.dumps({"sentences": SENTENCES, "models": models}, ensure_ascii=False)
    (here / "scores.json").write_text(told.replace("]]], [", "]]],\n[") + "\n", encoding="utf-8")


main()
