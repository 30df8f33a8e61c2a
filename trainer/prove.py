#!/usr/bin/env python3
"""From shards to a model that other software loads: trains on a corpus, and checks what comes of it.

    redpajama build pipelines/sample.yaml
    trainer/prove.py --programs target/release --corpus out/sample

The loss of the last steps must lie well below the entropy of single tokens, in training and on windows
that were held out; a run that is killed must end with the bits of one that is not; the exported folder
must hold the run's weights. With `--transformers PYTHON`, an interpreter that has torch and transformers
loads it, must go on with the same tokens and the same text, and give the same logits at every position;
and so must small models in every form that their files have, there and back (`exchange.py`). Its torchrun
then starts two processes, in both of its ways to meet, which end with the bits of one.
"""

import argparse
import json
import math
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent


def tokens_of(path):
    """The tokens of a shard of 16-bit ids."""
    data = path.read_bytes()
    return struct.unpack(f"<{len(data) // 2}H", data)


def entropy(tokens):
    """Nats of a token that is drawn by how often each occurs."""
    counts = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    return -sum(n / len(tokens) * math.log(n / len(tokens)) for n in counts.values())


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def steps(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line], [line for line in lines if "held_out" in line]


def demand(holds, words):
    print(("holds: " if holds else "FAILS: ") + words)
    if not holds:
        sys.exit(1)


# Texts of several scripts, one with a special token within, and one that is cut in its middle.
TEXTS = ["The history of", "def f(x):\n    return", "日本 🦙", "naïve <|endoftext|>A", "In 1998,"]
# What transformers goes on with, greedily: of each text its ids, those that come, and what they say.
THEIRS = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
for text in json.loads(sys.argv[2]):
    ids = tokenizer(text)["input_ids"]
    out = model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    more = [token for token in out[0][len(ids):].tolist() if token != tokenizer.eos_token_id]
    print(json.dumps([ids, more, tokenizer.decode(ids + more)[len(tokenizer.decode(ids)):]]))
"""


# How far a logit may be from transformers'. Both compute in f32, whose rounding is 6e-8 of a number, and add in
# other orders: over some layers and sums of thousands of products that comes to 1e-5 or 1e-4 of logits near 10.
# What is truly another computation (a position off by one, the other GELU, another epsilon) shows from 1e-2 on.
BOUND = 1e-3
# The largest difference of logits, how many there are, and the largest logit: of ids, file by file.
DIFFERENCES = """
import json, sys, numpy, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
for ids, path in json.loads(sys.argv[2]):
    ours = numpy.load(path)
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, (ours.shape, theirs.shape)
    print(json.dumps([float(abs(ours - theirs).max()), ours.size, float(abs(theirs).max())]))
"""


def compare_logits(python, train, folder, texts):
    """Each logit of each position is transformers', of texts and of one as long as the model takes."""
    config = json.loads((folder / "config.json").read_text())
    size, longest = config["vocab_size"], config["max_position_embeddings"]
    texts = [*texts, [at * at * 31 % size for at in range(1, longest + 1)]]
    files = [(ids, str(folder / f"logits-{number}.npy")) for number, ids in enumerate(texts)]
    for ids, path in files:
        run(train, "generate", folder, "--ids", ",".join(map(str, ids)), "--tokens", 0, "--logits", path)
    lines = run(python, "-c", DIFFERENCES, folder, json.dumps(files)).splitlines()[-len(files):]
    differences, counts, sizes = zip(*map(json.loads, lines))
    # What is not a number is below no bound.
    demand(
        all(difference <= BOUND for difference in differences),
        f"{sum(counts)} logits of {len(texts)} texts, up to {max(sizes):.1f}, are transformers' within {max(differences):.2e}, the bound {BOUND}",
    )


def compare(python, train, folder):
    """The exported folder, loaded by transformers, goes on with texts as it does here."""
    theirs = [json.loads(line) for line in run(python, "-c", THEIRS, folder, json.dumps(TEXTS)).splitlines()[-len(TEXTS):]]
    for text, (ids, more, words) in zip(TEXTS, theirs):
        given = ",".join(map(str, ids))
        ours = run(train, "generate", folder, "--ids", given, "--tokens", 24).strip()
        demand(ours == ",".join(map(str, more)), f"transformers goes on from {text!r} with the same {len(more)} tokens")
        ours = run(train, "generate", folder, "--prompt", text, "--tokens", 24)[:-1]
        demand(ours == words, f"and with the same text: {words!r}")
    compare_logits(python, train, folder, [ids for ids, _, _ in theirs])


def launched(python, pretrain, scratch):
    """What torchrun starts ends with the bits of one process."""
    torchrun = [pathlib.Path(python).parent / "torchrun", "--nproc-per-node", 2]
    few = ["--set", "steps=4", "--set", "eval_every=0", "--output"]
    run(*pretrain, *few, scratch / "one")
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
    for number, options in enumerate([["--master-port", port], ["--standalone", "--max-restarts", 1]]):
        output = scratch / f"launched-{number}"
        run(*torchrun, *options, "--no-python", *pretrain, *few, output)
        name = "checkpoints/step-000000004/model.safetensors"
        same = (output / name).read_bytes() == (scratch / "one" / name).read_bytes()
        demand(same, f"two processes of {' '.join(map(str, ['torchrun', *options]))} end with the weights of one")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("target/release"))
    parser.add_argument("--corpus", type=pathlib.Path, default=pathlib.Path("out/sample"))
    parser.add_argument("--tokenizer", default="tests/slices/tokenizer.json")
    parser.add_argument("--transformers", metavar="PYTHON")
    args = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp())
    try:
        prove(args, scratch)
    finally:
        shutil.rmtree(scratch)


def prove(args, scratch):
    config, whole, pieces = HERE / "sample.yaml", scratch / "whole", scratch / "pieces"
    given = ["--set", f"data.from={args.corpus}", "--set", f"tokenizer={args.tokenizer}"]
    train = args.programs / "redpajama-train"
    pretrain = [train, "pretrain", config, *given, "--output"]
    begin = time.monotonic()
    run(args.programs / "redpajama", "train", args.corpus, config, *given[2:], "--output", whole)
    told, held = steps(whole)
    seconds = time.monotonic() - begin
    print(f"{len(told)} steps in {seconds:.0f} s, {told[-1]['tokens'] / seconds:.0f} tokens/s")

    catalog = json.loads((args.corpus / "catalog.json").read_text())
    shards = [args.corpus / shard["bin"]["name"] for entry in catalog["slices"].values() for shard in entry["shards"]]
    bound = entropy([token for shard in shards for token in tokens_of(shard)])
    last = sum(line["loss"] for line in told[-20:]) / 20
    demand(last < bound - 1, f"the last steps' loss is {last:.3f}, the entropy of single tokens {bound:.3f}")
    table = held[-1]["held_out"].values()
    unseen = sum(row["loss"] * row["tokens"] for row in table) / sum(row["tokens"] for row in table)
    demand(unseen < bound, f"the loss of held-out windows is {unseen:.3f}")
    print(run(train, "eval", whole, "--config", config, *given).rstrip())

    # Killed somewhere in the middle, by the clock.
    process = subprocess.Popen([str(part) for part in [*pretrain, pieces]], stderr=subprocess.DEVNULL)
    time.sleep(seconds * 0.6)
    process.kill()
    process.wait()
    run(*pretrain, pieces)
    name = "checkpoints/step-000000300/model.safetensors"
    demand((whole / name).read_bytes() == (pieces / name).read_bytes(), "killed and resumed, it has the same weights")

    exported = scratch / "exported"
    run(train, "export", whole, "--output", exported)
    ids = "100,200,300"
    ours = run(train, "generate", exported, "--ids", ids, "--tokens", 24).strip()
    demand(ours == run(train, "generate", whole, "--ids", ids, "--tokens", 24).strip(), f"exported, it goes on with {ours}")
    if args.transformers:
        compare(args.transformers, train, exported)
        print(run(args.transformers, HERE / "exchange.py", "--programs", args.programs).rstrip())
        launched(args.transformers, [train.resolve(), "pretrain", config, *given], scratch)
    else:
        print("transformers was not asked (--transformers PYTHON)")


main()
