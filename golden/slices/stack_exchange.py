"""StackExchange: `pipelines/original/stack_exchange.yaml` over every question of five sites, each from
the folder of its tables, and of one also from its 7z archive."""

import json

from account import Account, lines_of, sha256, table

# The raw file, and the site whose records it has to give.
SITES = {
    "bicycles.meta.stackexchange.com": "bicycles.meta.stackexchange.com",
    "coffee.stackexchange.com": "coffee.stackexchange.com",
    "conlang.meta.stackexchange.com": "conlang.meta.stackexchange.com",
    "conlang.meta.stackexchange.com.7z": "conlang.meta.stackexchange.com",
    "datascience.meta.stackexchange.com_old": "datascience.meta.stackexchange.com_old",
    "history.meta.stackexchange.com": "history.meta.stackexchange.com",
}


def compare_site(redpajama, golden, inputs, raw, site):
    rows = lines_of(golden / f"stack_exchange/{site}.records.jsonl.gz")
    model = f"language_model={(inputs / 'models/lid.176.ftz').resolve()}"
    out = redpajama.build(raw, "original/stack_exchange", inputs / "stack_exchange" / raw, "--set", model)
    documents = table(out, "documents", "stack_exchange")
    lines = redpajama.exported(out, "stack_exchange")
    account = Account(f"stack_exchange, {raw}: pipelines/original/stack_exchange.yaml")
    account.check("number of questions", "the documents", len(rows), len(documents))
    account.check("number of questions", "the export", len(rows), len(lines))
    ours = {document["url"]: (document, line) for document, line in zip(documents, lines)}
    for row in rows:
        at = row["meta"]["url"]
        document, line = ours.get(at, ({}, None))
        answers = json.loads(document.get("meta") or "{}").get("answers", [])
        account.check("text", at, row["text_sha256"], sha256(document.get("text", "").encode()))
        account.check("language", at, row["meta"]["language"], document.get("language"))
        account.check("answers", at, row["answer_ids_sorted"], [str(answer["answer_id"]) for answer in answers])
        account.check("scores", at, row["answer_scores_sorted"], [str(answer["score"]) for answer in answers])
        account.check("exported line", at, row["record_line_sha256"], line)
    each = dict.fromkeys(["text", "language", "answers", "scores", "exported line"], len(rows))
    return account.close({"number of questions": 2} | each)


def compare(redpajama, golden, inputs):
    return [compare_site(redpajama, golden, inputs, raw, site) for raw, site in SITES.items()]
