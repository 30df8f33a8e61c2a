#!/usr/bin/env python3
"""Shards as other writers may lay them: several sequences in a document, every type that a token can have.

Writes each pair of files beside itself, and expected.json: of each the documents and what is wrong with the first
token that is no id below 50,000. It knows the format from its description alone and uses nothing but `struct`.
"""

import json
import struct
from pathlib import Path

HERE = Path(__file__).parent
# Of each type its code and how `struct` packs it. Of 6 and 7 Megatron-LM and GPT-NeoX say the opposite.
TYPES = {
    "u8": (1, "B"), "i8": (2, "b"), "i16": (3, "h"), "i32": (4, "i"), "i64": (5, "q"),
    "float6": (6, "f"), "float7": (7, "f"), "u16": (8, "H"),
}  # fmt: skip
# Sequences; their documents have two, none, one and three of them.
SEQUENCES = [[5, 6, 7], [0], [9, 9, 120, 0], [1], [], [2, 3]]
BOUNDS = [0, 2, 2, 3, 6]
# What else a type can hold, in a document of its own, sequence by sequence.
WIDE = {
    "u8": [[255]],
    "i8": [[127], [3, -1]],
    "i16": [[32_767, -32_768]],
    "i32": [[49_999], [65_536], [-7]],
    "i64": [[49_999, 50_000], [1 << 40]],
    "u16": [[65_535]],
}
VOCABULARY = 50_000


def write(name, code, letter, sequences, bounds):
    size = struct.calcsize("<" + letter)
    (HERE / f"{name}.bin").write_bytes(b"".join(struct.pack(f"<{len(s)}{letter}", *s) for s in sequences))
    offsets, offset = [], 0
    for sequence in sequences:
        offsets.append(offset)
        offset += len(sequence) * size
    idx = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sequences), len(bounds))
    idx += struct.pack(f"<{len(sequences)}i", *map(len, sequences))
    idx += struct.pack(f"<{len(sequences)}q", *offsets) + struct.pack(f"<{len(bounds)}q", *bounds)
    (HERE / f"{name}.idx").write_bytes(idx)


expected = {}
for name, (code, letter) in TYPES.items():
    own = WIDE.get(name, [])
    sequences = SEQUENCES + own
    bounds = BOUNDS + [len(sequences)] * bool(own)
    write(name, code, letter, sequences, bounds)
    if own:
        documents = [sum(sequences[begin:end], []) for begin, end in zip(bounds, bounds[1:])]
        places = [(d, p, t) for d, document in enumerate(documents) for p, t in enumerate(document)]
        wrong = next((list(place) for place in places if not 0 <= place[2] < VOCABULARY), None)
        expected[name] = {"documents": documents, "wrong": wrong}
(HERE / "expected.json").write_text(json.dumps(expected) + "\n")
