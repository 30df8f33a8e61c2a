"""Makes the small models here and what SentencePiece says of some texts: needs `sentencepiece` 0.2.3."""

import json
import pathlib
import tempfile

import sentencepiece

here = pathlib.Path(__file__).parent
LINES = """the cat sat on the mat and the dog ran to the old house
the old dog sat on the red wall while it was raining
a cat and a dog ran to the house with red walls, it was raining
it was raining on the old house and on the cat and on the dog
die Katze saß auf der alten Mauer und der Hund lief in den Garten
der alte Hund lief zu dem Haus mit roten Mauern, es regnete
where did the cat come from and where did the dog go, 1234 or 5678?
le chat était assis sur le vieux mur rouge et le chien courait
старый дом стоял у реки, и кошка сидела на стене
猫坐在红墙上，狗跑向老房子""".splitlines()
# Rules of ours: in code points, as SentencePiece reads them.
RULES = "41\t61\n42\t62\n43\t63\n3000\t20\n9\t20\nA0\t20\n61 301\tE1\nFB01\t66 69\n2026\t2E 2E 2E\nAD\t\n2460\t28 31 29\nB4\t20 301\n"
TEXTS = [
    "", " ", "   ", "the cat", "The CAT sat on A mat", "  two   spaces  between ", "\tthe\u3000cat\u00a0sat \u3000", "xyzzy qqq", "ﬁne…",
    "a\u0301 a\u0302 A\u0301", "soft\u00adhyphen", "①②", "´acute´", "die Katze saß im Garten", "猫坐在老房子上", "𝔘𝔫𝔦 😀😀 ok 😀", "▁the▁cat", "a▁ b",
    "<user> the cat<sep>sat", "<sep><sep>the", "<s>the</s><unk><0x41>", "line\nline\r\nline", "\u0000nul\u0001", "e" * 300,
    "the old cat " * 100, "1234567890" * 20, "!?.,;:", "שלום עולם", "ไทยไม่มีช่องว่าง", "á", "Σίσυφος", " \u0301 \u0301", "\u2581",
]


def main():
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "text").write_text("\n".join(LINES * 3) + "\n", encoding="utf-8")
        (folder / "rules.tsv").write_text(RULES)
        rules = {"normalization_rule_tsv": str(folder / "rules.tsv")}
        identity = {"normalization_rule_name": "identity"}
        own = {"user_defined_symbols": ["<user>", "<sep>", "red w"], "control_symbols": ["<pad>"]}
        kinds = {
            "unigram": {"model_type": "unigram", "vocab_size": 150, **rules},
            "unigram_bytes": {"model_type": "unigram", "vocab_size": 380, "byte_fallback": True, "character_coverage": 0.98, **identity, **own},
            "unigram_spaces": {"model_type": "unigram", "vocab_size": 150, "remove_extra_whitespaces": False, "add_dummy_prefix": False, **rules, **own},
            "unigram_suffix": {"model_type": "unigram", "vocab_size": 130, "treat_whitespace_as_suffix": True, "split_by_whitespace": False, **identity},
            "bpe": {"model_type": "bpe", "vocab_size": 150, **rules, **own},
            "bpe_bytes": {"model_type": "bpe", "vocab_size": 400, "byte_fallback": True, "character_coverage": 0.98, "split_digits": True, **identity},
        }
        for name, options in kinds.items():
            sentencepiece.SentencePieceTrainer.train(
                input=str(folder / "text"), model_prefix=str(folder / name), num_threads=1, minloglevel=2, hard_vocab_limit=False, **options
            )
            (here / f"{name}.model").write_bytes((folder / f"{name}.model").read_bytes())
            model = sentencepiece.SentencePieceProcessor(model_file=str(here / f"{name}.model"))
            models[name] = [[model.encode(text, out_type=int), model.encode(text, out_type=str)] for text in TEXTS]
    told = json.dumps({"texts": TEXTS, "models": models}, ensure_ascii=False)
    (here / "pieces.json").write_text(told.replace("]], [", "]],\n[") + "\n", encoding="utf-8")


main()
