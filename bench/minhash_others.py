"""Near-duplicates as others find them: datatrove's MinHash in its stages, rensa, datasketch.

    bench/minhash_others.py TOOL RAW FOLDER

Written by us against the packages' own interfaces, with the options that they recommend. Reads
`RAW/*.json.gz`, lines with a `text`; the last line that it prints is a JSON object: documents, CPU
seconds up to the removal list and in all, and the list, as pairs of file and line.
"""

import gzip
import json
import re
import struct
import sys
import time
from pathlib import Path

WORD = re.compile(r"\w+")
NGRAM = 5
THRESHOLD = 0.8


def documents(raw):
    for number, path in enumerate(sorted(raw.glob("*.json.gz"))):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line, record in enumerate(lines):
                yield (number, line), json.loads(record)["text"]


def shingles(text):
    """The shingles that we compare: five words in small letters, without punctuation."""
    words = WORD.findall(text.lower())
    return {" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))} if words else set()


def datatrove(raw, folder):
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    # FineWeb's: 5 words, 14 buckets of 8 hashes.
    config = MinhashConfig()
    files = len(list(raw.glob("*.json.gz")))

    def run(name, tasks, *pipeline):
        executor = LocalPipelineExecutor(
            list(pipeline), tasks=tasks, workers=1, logging_dir=str(folder / "logs" / name), skip_completed=False
        )
        executor.run()

    reader = JsonlReader(str(raw), glob_pattern="*.json.gz")
    run("1", files, reader, MinhashDedupSignature(str(folder / "1"), config=config))
    buckets = MinhashDedupBuckets(str(folder / "1"), str(folder / "2"), config=config)
    run("2", config.num_buckets, buckets)
    run("3", 1, MinhashDedupCluster(str(folder / "2"), str(folder / "3"), config=config))
    listed = time.process_time()
    run("4", files, reader, MinhashDedupFilter(str(folder / "3")), JsonlWriter(str(folder / "4")))
    removed = []
    for path in sorted((folder / "3").glob("*.remove")):
        removed += [(int(path.stem), line) for (line,) in struct.iter_unpack("<I", path.read_bytes())]
    return listed, removed


def rensa(raw, folder):
    from rensa import RMinHash, RMinHashLSH

    # 16 bands of 8: about the threshold. It only proposes; an estimate by all numbers decides.
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=128, num_bands=16)
    known, removed = [], []
    for at, (place, text) in enumerate(documents(raw)):
        sketch = RMinHash(num_perm=128, seed=1)
        sketch.update(list(shingles(text)))
        if any(sketch.jaccard(known[other][1]) >= THRESHOLD for other in index.query(sketch)):
            removed.append(place)
        else:
            index.insert(len(known), sketch)
            known.append((place, sketch))
    return time.process_time(), removed


def datasketch(raw, folder):
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    known, removed = [], []
    for place, text in documents(raw):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        if any(sketch.jaccard(known[other]) >= THRESHOLD for other in index.query(sketch)):
            removed.append(place)
        else:
            index.insert(len(known), sketch)
            known.append(sketch)
    return time.process_time(), removed


def main(tool, raw, folder):
    listed, removed = {"datatrove": datatrove, "rensa": rensa, "datasketch": datasketch}[tool](Path(raw), Path(folder))
    print()
    print(json.dumps({"listed": listed, "seconds": time.process_time(), "removed": removed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
