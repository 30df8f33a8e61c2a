"""Makes the pair of models here and what the original's libraries say of some texts.

    make.py BUILD_BINARY        (needs `kenlm` 0.3.0 and `sentencepiece` 0.2.3; `build_binary` is KenLM's program)
"""

import collections
import json
import math
import pathlib
import subprocess
import sys
import unicodedata

import kenlm
import sentencepiece

here = pathlib.Path(__file__).parent
LINES = """the cat sat on the mat and the dog ran to the old house
the old dog sat on the red wall while it was raining
a cat and a dog ran to the house with red walls, it was raining
it was raining on the old house and on the cat and on the dog
where did the cat come from and where did the dog go, 0000 or 0000?
the old house was red and the red wall was old
the dog and the cat sat in the old house while it was raining""".splitlines()
TEXTS = [
    "", "\n\n", "The cat sat on the mat.", "The old dog\nran to the house,\n\nand it was raining.", "1998 or 2026?\n", "Ça, c’est l’été…",
    "wall red house cat mat the on the on", "猫坐在红墙上", "😀", "the cat " * 200, "a\u3000b\tc\u2028d", "▁ ▁the", "«The cat»—the dog",
]
PUNCTUATION = {"’": "'", "…": "...", "«": '"', "»": '"', "—": " - "}


def normalized(text):
    """cc_net's preparation, as far as these texts need it."""
    text = unicodedata.normalize("NFD", text.strip().lower())
    text = "".join("0" if unicodedata.category(c) == "Nd" else c for c in text if unicodedata.category(c) != "Mn")
    return "".join(PUNCTUATION.get(c, c) for c in text if unicodedata.category(c) != "Cc")


def arpa(model, order):
    """Relative frequencies with a little left for backing off."""
    runs = [collections.Counter() for _ in range(order)]
    for line in LINES:
        words = ["<s>", *model.encode(line, out_type=str), "</s>"]
        for length in range(1, order + 1):
            for at in range(len(words) - length + 1):
                runs[length - 1][tuple(words[at : at + length])] += 1
    out = ["\\data\\"] + [f"ngram {length}={len(counted) + (length == 1)}" for length, counted in enumerate(runs, 1)]
    for length, counted in enumerate(runs, 1):
        out += ["", f"\\{length}-grams:"] + (["-3\t<unk>\t0"] if length == 1 else [])
        for run, count in sorted(counted.items()):
            context = runs[length - 2][run[:-1]] if length > 1 else sum(counted.values())
            log10 = -99 if run == ("<s>",) else math.log10(0.8 * count / context)
            out.append(f"{log10:.6f}\t{' '.join(run)}" + ("" if length == order or run[-1] == "</s>" else "\t-0.69897"))
    return "\n".join([*out, "", "\\end\\", ""])


def main():
    pieces = here.parent / "sentencepiece" / "unigram.model"
    (here / "en.sp.model").write_bytes(pieces.read_bytes())
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    text = here / "en.arpa"
    text.write_text(arpa(model, 3), encoding="utf-8")
    subprocess.run([sys.argv[1], "trie", text, here / "en.arpa.bin"], check=True, stderr=subprocess.DEVNULL)
    text.unlink()
    words = kenlm.Model(str(here / "en.arpa.bin"))
    told = []
    for text in TEXTS:
        tokenized = " ".join(model.encode(normalized(text), out_type=str))
        row = {"text": text, "tokenized": tokenized, "score": None, "length": None, "perplexity": None}
        if tokenized:
            row["score"], row["length"] = words.score(tokenized), len(tokenized.split()) + 1
            row["perplexity"] = round(10.0 ** (-row["score"] / row["length"]), 1)
        told.append(row)
    (here / "scores.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


main()
