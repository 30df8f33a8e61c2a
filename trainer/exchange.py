#!/usr/bin/env python3
"""Models on their way to transformers and back, in every form that they have: the same logits on both sides.

    python3 -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.17.0 safetensors
    venv/bin/python trainer/exchange.py --programs target/release

A small model with random weights of ours is written for every combination of what a model's files say: the dialect of
`config.json` (rotary_pct and torch_dtype, or rope_parameters and dtype), the residual, the bend by each of its names,
the width of the numbers, the share of a head that turns. The base of the positions, the epsilon of the normalisations
and the number of files change with them.

export   `redpajama-train export` writes it, transformers loads it.
import   transformers saves it (the newer dialect), or it lies there as files of years ago do, with masks and angles
         among the weights (the older one); `redpajama-train import` reads it.

Each gives a line: how far our logits of a text as long as the model takes are from transformers', as a share of the
largest logit. Both compute in f32 from the weights that the files hold, which must be the given ones rounded to the
nearest, to the last bit. What is exported is also loaded as its own `dtype` says, so that transformers computes in 16
bits, where we go on computing in f32.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

sys.path.insert(0, str(pathlib.Path(__file__).parent / "fixtures"))

import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file
from shapes import shapes
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

# So large that files of 1 MiB are several in every width.
V, D, LAYERS, HEADS, FF, T = 4096, 64, 2, 4, 96, 64
EXACT, TANH = ["gelu", "gelu_python"], ["gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"]
KINDS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
AXES = {
    "dialect": ["old", "new"],
    "residual": ["parallel", "sequential"],
    "bend": EXACT + TANH,
    "kind": list(KINDS),
    "share": [0.25, 1.0],
}
# How far logits may be from each other, as a share of the largest. Where both compute in f32 they only add in other
# orders, with a rounding of 6e-8. Where transformers computes in 16 bits it rounds each number to 2^-11 (f16) or 2^-8
# (bf16) of itself, some dozens of times from the first to the last.
BOUNDS = {"f32": 1e-5, "f16": 1e-2, "bf16": 8e-2}


def weights_of(seed):
    """Random weights, large enough that each of them matters."""
    generator = torch.Generator().manual_seed(seed)
    noise = {name: torch.randn(shape, generator=generator) for name, shape in shapes(V, D, FF, LAYERS).items()}
    return {name: 1 + 0.2 * one if name.endswith("norm.weight") else 0.2 * one for name, one in noise.items()}


def config_of(case):
    """`config.json`, in the words of one dialect."""
    shape = {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": V, "hidden_size": D,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FF, "max_position_embeddings": T,
        "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False, "layer_norm_eps": case["epsilon"],
        "hidden_act": case["bend"], "use_parallel_residual": case["residual"] == "parallel",
    }  # fmt: skip
    share, base = case["share"], case["base"]
    if case["dialect"] == "old":
        return shape | {"rotary_pct": share, "rotary_emb_base": base, "torch_dtype": NAMES[case["kind"]]}
    rope = {"partial_rotary_factor": share, "rope_theta": float(base), "rope_type": "default"}
    return shape | {"rope_parameters": rope, "dtype": NAMES[case["kind"]]}


def cases():
    for values in itertools.product(*AXES.values()):
        case = dict(zip(AXES, values))
        # So that each comes with each of the others.
        sum_of_places = sum(AXES[name].index(value) for name, value in case.items())
        base, epsilon = [(10000, 1e-5), (5000, 1e-3)][sum_of_places // 2 % 2]
        yield case | {"base": base, "epsilon": epsilon, "several": sum_of_places % 2 == 1}


def told(case):
    files = "several files" if case["several"] else "one file"
    return f"{case['dialect']} {case['residual']:10} {case['bend']:17} {case['kind']:4} {case['share']:4} {files:13}"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stderr}")


def write(folder, config, tensors):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def stored(folder):
    """All tensors of a folder, and in how many files they are."""
    files = sorted(folder.glob("*.safetensors"))
    tensors = {}
    for path in files:
        tensors |= load_file(path)
    return tensors, len(files)


def ours(train, folder, ids, scratch):
    path = scratch / "logits.npy"
    run(train, "generate", folder, "--ids", ",".join(map(str, ids)), "--tokens", 0, "--logits", path, "--threads", 1)
    return numpy.load(path)


def theirs(folder, ids, kind):
    """transformers' logits, computed in a kind; `auto` for that of the files."""
    model, said = AutoModelForCausalLM.from_pretrained(folder, dtype=kind, output_loading_info=True)
    assert not said["missing_keys"] and not said["mismatched_keys"], said
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0], model.dtype


def distance(one, other):
    """The largest difference, as a share of the largest number; infinite where there is something that is none."""
    one, other = (numpy.asarray(value, dtype=numpy.float64) for value in (one, other))
    if one.shape != other.shape or not (numpy.isfinite(one).all() and numpy.isfinite(other).all()):
        return math.inf
    return abs(one - other).max() / abs(other).max()


def rounded(tensors, kind):
    return {name: tensor.to(kind) for name, tensor in tensors.items()}


def same(tensors, others):
    """Whether they have the same names, kinds and bits."""
    alike = lambda one, other: one.dtype == other.dtype and torch.equal(one, other)
    return tensors.keys() == others.keys() and all(alike(tensors[name], others[name]) for name in tensors)


def in_dialect(config, dialect):
    """What readers of one dialect see of a `config.json` that has both."""
    unseen = {"old": ["rope_parameters", "dtype"], "new": ["rotary_pct", "rotary_emb_base", "torch_dtype"]}[dialect]
    assert all(key in config for key in unseen), config
    return {key: value for key, value in config.items() if key not in unseen}


def export(train, case, tensors, ids, scratch):
    """How far off an exported model's logits are, by what they are computed in; and ours."""
    source, folder = scratch / "source", scratch / "exported"
    write(source, config_of(case), tensors)
    size = 1 if case["several"] else 4768
    run(train, "export", source, "--output", folder, "--dtype", case["kind"], "--file-size", size)
    kept, files = stored(folder)
    assert same(kept, rounded(tensors, KINDS[case["kind"]])), "the exported weights are not the given ones, rounded"
    assert (files > 1) == case["several"], files
    logits = ours(train, folder, ids, scratch)
    whole, _ = theirs(folder, ids, torch.float32)
    found = {"f32": distance(logits, whole)}
    if case["kind"] != "f32":
        half, kind = theirs(folder, ids, "auto")
        assert kind == KINDS[case["kind"]], kind
        found[case["kind"]] = distance(logits, half.float())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(in_dialect(config, case["dialect"])))
    reduced, _ = theirs(folder, ids, torch.float32)
    assert torch.equal(reduced, whole), f"readers of the {case['dialect']} dialect see another model"
    return found, logits


def import_(train, case, tensors, ids, scratch):
    """How far off an imported model's logits are."""
    source, folder = scratch / "source", scratch / "imported"
    kept = rounded(tensors, KINDS[case["kind"]])
    if case["dialect"] == "old":
        turned = int(D // HEADS * case["share"])
        for layer in range(LAYERS):
            name = f"gpt_neox.layers.{layer}.attention."
            kept[name + "bias"] = torch.ones(1, 1, T, T, dtype=torch.bool).tril()
            kept[name + "masked_bias"] = torch.tensor(-1e9)
            kept[name + "rotary_emb.inv_freq"] = case["base"] ** (-torch.arange(0, turned, 2) / turned)
        write(source, config_of(case), kept)
    else:
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**config_of(case)))
        state = {name.replace("embed_out", "lm_head"): tensor for name, tensor in tensors.items()}
        said = model.load_state_dict(state, strict=False)
        assert not said.unexpected_keys and all("inv_freq" in name for name in said.missing_keys), said
        model.to(KINDS[case["kind"]]).save_pretrained(source, max_shard_size="600KB" if case["several"] else "1GB")
        config = json.loads((source / "config.json").read_text())
        assert "rope_parameters" in config and "rotary_pct" not in config, config
        assert (stored(source)[1] > 1) == case["several"]
    run(train, "import", source, "--output", folder)
    expected = rounded(rounded(tensors, KINDS[case["kind"]]), torch.float32)
    assert same(stored(folder)[0], expected), "the imported weights are not those of the files"
    logits = ours(train, folder, ids, scratch)
    whole, _ = theirs(source, ids, torch.float32)
    return {"f32": distance(logits, whole)}, logits


def what_shows(models):
    """The least distance of two models that differ in one thing that is computed, from the same weights and text."""
    least = math.inf
    for (one, logits), (other, others) in itertools.combinations(models.items(), 2):
        if sum(a != b for a, b in zip(one, other)) == 1:
            least = min(least, distance(logits, others))
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("target/release"))
    args = parser.parse_args()
    train = args.programs / "redpajama-train"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    worst, failed, count, models = {}, 0, 0, {}
    tensors = weights_of(3)
    ids = torch.randint(0, V, (T,), generator=torch.Generator().manual_seed(5)).tolist()
    for case in cases():
        for way, compare in (("export", export), ("import", import_)):
            with tempfile.TemporaryDirectory() as scratch:
                found, logits = compare(train, case, tensors, ids, pathlib.Path(scratch))
            holds = all(distance <= BOUNDS[kind] for kind, distance in found.items())
            distances = ", ".join(f"{distance:.1e} in {kind}" for kind, distance in found.items())
            print(f"{'holds' if holds else 'FAILS'}: {way} {told(case)} {distances}", flush=True)
            failed += not holds
            count += 1
            for kind, distance_ in found.items():
                worst[way, kind] = max(worst.get((way, kind), 0.0), distance_)
            if case["kind"] == "f32":
                bend = "exact" if case["bend"] in EXACT else "tanh"
                key = (case["residual"], bend, case["share"], case["base"], case["epsilon"])
                models.setdefault(key, logits)
    for (way, kind), distance in sorted(worst.items()):
        print(f"{way}, computed in {kind}: at most {distance:.1e} of the largest logit, the bound {BOUNDS[kind]:.0e}")
    least = what_shows(models)
    print(f"what differs in one thing that is computed is {least:.1e} apart, or more")
    if least < 5 * BOUNDS["f32"]:
        sys.exit("error: the bound in f32 would not show every difference")
    if failed:
        sys.exit(f"error: {failed} of {count} combinations are out of bound")
    print(f"all {count} combinations hold")


main()
