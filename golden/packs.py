"""Texts of seven slices, tokenized and packed: the ids of every document, `.bin` and `.idx`."""

import numpy
import polars
from account import Account, lines_of, sha256, stop

# The packs of golden/tokens hold the first documents of each slice, at most this many.
PACKED = 200


def sequences(idx, bin_path):
    """The documents of a shard, as numpy reads them: one array of ids each."""
    data = idx.read_bytes()
    magic, version, code = data[:9], int.from_bytes(data[9:17], "little"), data[17]
    if magic != b"MMIDIDX\0\0" or version != 1:
        stop(f"{idx} is no index")
    count = int.from_bytes(data[18:26], "little")
    sizes = numpy.frombuffer(data, "<i4", count, 34)
    pointers = numpy.frombuffer(data, "<i8", count, 34 + 4 * count)
    width = numpy.dtype({8: "<u2", 4: "<i4"}[code])
    tokens = numpy.fromfile(bin_path, width)
    return [tokens[at // width.itemsize :][:size] for at, size in zip(pointers, sizes)]


def shard_of(out):
    """The one shard that a small run writes."""
    shards = sorted((out / "shards/c4").glob("*.bin"))
    if len(shards) != 1:
        stop(f"{out} has {len(shards)} shards where one was expected")
    return shards[0], shards[0].with_suffix(".idx"), shards[0].with_suffix(".provenance.parquet")


def compare(redpajama, golden, _):
    # The texts have no url and no timestamp, and C4's source is the one that needs neither.
    pipeline = redpajama.written("pack", [{"tokenize": {}}, {"pack": {}}], {"c4": {}})
    packs = {row["id"]: row for row in lines_of(golden / "tokens/pack.jsonl.gz") if "bin_sha256" in row}
    account = Account("packs: texts of every slice, tokenized and packed as GPT-NeoX does")
    n_ids = n_documents = 0
    for slice_name, pack in packs.items():
        texts = golden / "texts" / f"{slice_name}.jsonl.gz"
        out = redpajama.build(f"pack-{slice_name}", pipeline, texts, "--limit", PACKED)
        bin_path, idx, _ = shard_of(out)
        account.check("documents", slice_name, pack["n_docs"], len(sequences(idx, bin_path)))
        account.check(".bin", slice_name, pack["bin_sha256"], sha256(bin_path.read_bytes()))
        account.check(".idx", slice_name, pack["idx_sha256"], sha256(idx.read_bytes()))

        # All texts, also those beyond the pack, each with its ids; the last one ends the document.
        out = redpajama.build(f"tokens-{slice_name}", pipeline, texts)
        bin_path, idx, provenance = shard_of(out)
        documents = sequences(idx, bin_path)
        places = {row["record"]: row["ordinal"] for row in polars.read_parquet(provenance).to_dicts()}
        names = [text["id"] for text in lines_of(texts)]
        tokens = {row["id"]: row for row in lines_of(golden / f"tokens/{slice_name}.jsonl.gz")}
        account.check("texts with ids", slice_name, sorted(tokens), sorted(names))
        for record, name in enumerate(names):
            n_ids += 1
            ours = documents[places[record]] if record in places else None
            digest = None if ours is None else sha256(ours[:-1].astype("<u2").tobytes())
            account.check("ids of a document", name, tokens[name]["ids_sha256"], digest)
            account.check("end of a document", name, 0, None if ours is None else int(ours[-1]))
        n_documents += 1
    expected = dict.fromkeys(["documents", ".bin", ".idx", "texts with ids"], n_documents)
    return [account.close(expected | dict.fromkeys(["ids of a document", "end of a document"], n_ids))]
