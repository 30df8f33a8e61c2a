"""Makes the small models here and what Facebook's fastText says of some texts: needs `fasttext-wheel` 0.9.2 and numpy 1.

Training is random in places: a model made anew differs from the old one, so its predictions are written with it.
"""

import json
import pathlib
import tempfile

import fasttext

here = pathlib.Path(__file__).parent
WORDS = {
    "en": "the cat sat on the mat and a dog ran to the old house with red stone walls while it was raining outside".split(),
    "de": "die Katze saß auf der Matte und ein Hund lief zu dem alten Haus mit roten Steinwänden während es regnete".split(),
    "fr": "le chat était assis sur le tapis et un chien courait vers la vieille maison aux murs rouges sous la pluie".split(),
    "zh": "猫 坐在 垫子上 一只 狗 跑向 那座 红色 石墙 的 老房子 外面 下着雨".split(),
    "tr": "kedi paspasın üzerinde oturdu ve bir köpek kırmızı duvarlı eski eve koştu dışarıda yağmur yağıyordu".split(),
}
TEXTS = [
    "", " ", "the cat", "die Katze saß", "le chien court vers la maison", "狗 跑向 老房子", "狗跑向老房子外面下着雨",
    "kedi eski eve koştu", "xyzzy", "q", "the\tcat\rsat\x0bon\x0cthe\x00mat", "  the   cat  ", "the cat </s> die Katze",
    "__label__de the cat", "__label__none the cat", "<the> cat>", "é", "ﬁancé naïve 😀 x", "The CAT sat",
    "one two three four five six seven eight nine ten", "the " * 700 + "Katze", "a" * 500, "1234 5678 ... !?", "chat maison Haus house ev",
]


def lines():
    state = 7
    for number in range(400):
        label = sorted(WORDS)[number % len(WORDS)] if number % 7 else "en"
        words = []
        for _ in range(8):
            state = (state * 1103515245 + 12345) % (1 << 31)
            words.append(WORDS[label][(state >> 8) % len(WORDS[label])])
        yield f"__label__{label} " + " ".join(words)


def main():
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "train.txt"
        text.write_text("\n".join(lines()) + "\n", encoding="utf-8")
        common = {"input": str(text), "dim": 6, "epoch": 8, "lr": 0.5, "thread": 1, "verbose": 0}
        kinds = {
            "softmax.bin": {"loss": "softmax"},
            "hierarchical.bin": {"loss": "hs", "minn": 2, "maxn": 4, "bucket": 300},
            "one_vs_all.bin": {"loss": "ova", "wordNgrams": 3, "bucket": 200},
            "negative_sampling.bin": {"loss": "ns", "wordNgrams": 2, "minn": 1, "maxn": 3, "bucket": 100},
            "hierarchical.ftz": {"loss": "hs", "minn": 2, "maxn": 4, "bucket": 700},
            "softmax.ftz": {"loss": "softmax", "wordNgrams": 2, "minn": 3, "maxn": 3, "bucket": 900},
        }
        for name, options in kinds.items():
            model = fasttext.train_supervised(**common, **options)
            if name == "hierarchical.ftz":
                model.quantize(input=str(text), cutoff=280, qnorm=True, retrain=False)
            elif name == "softmax.ftz":
                model.quantize(qnorm=False, dsub=4)
            model.save_model(str(here / name))
            model = fasttext.load_model(str(here / name))
            told[name] = [
                [[label.removeprefix("__label__"), probability] for probability, label in model.f.predict(t + "\n", 3, 0.0, "strict")]
                for t in TEXTS
            ]
        vectors = fasttext.train_unsupervised(str(text), dim=2, minCount=1, bucket=10, epoch=1, thread=1, verbose=0)
        vectors.save_model(str(here / "vectors.bin"))
    (here / "predictions.json").write_text(json.dumps({"texts": TEXTS, "models": told}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


main()
