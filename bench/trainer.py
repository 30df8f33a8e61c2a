#!/usr/bin/env python3
"""Measures a training step of `redpajama-train` beside PyTorch's on the CPU: the same model, the same batch.

    cargo build --release --workspace
    bench/trainer.py --model pythia-14m --batch 4 --sequence 512

PyTorch runs transformers' GPTNeoXForCausalLM in f32 (its fused attention, its foreach AdamW), eagerly, with
as many threads. Both do one step that is not measured and then some that are, in turns. Wall time and the
CPU time that the system counted; on a machine that does other things too, look at the latter. Beside them,
what a product of two matrices of 1024 x 1024 numbers reaches with each one's library: PyTorch's wheels bring
MKL, which is slower on AMD's processors than on Intel's. Prints Markdown.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))

from environment import REPOSITORY, python_with  # noqa: E402

TORCH = r"""
import json, sys, time
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
shape, batch, sequence, steps, threads = json.loads(sys.argv[1]), *map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, attn_implementation="sdpa")).float().train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, foreach=True)
tokens = torch.randint(0, shape["vocab_size"], (batch, sequence + 1))
def step():
    optimizer.zero_grad(set_to_none=True)
    logits = model(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
step()
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(steps):
    step()
spent = (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
square, best = torch.ones(1024, 1024), 0
for _ in range(12):
    wall = time.perf_counter()
    square @ square
    best = max(best, 2 * 1024**3 / (time.perf_counter() - wall))
print(*spent, best)
"""

PRESETS = {  # layers, width, heads, vocabulary, sequential
    "pythia-14m": (6, 128, 4, 50304, False),
    "pythia-31m": (6, 256, 8, 50304, False),
    "pythia-70m": (6, 512, 8, 50304, False),
    "pythia-160m": (12, 768, 12, 50304, False),
}


def shape_of(model):
    layers, width, heads, vocabulary, sequential = PRESETS[model]
    return json.dumps(
        {
            "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": 4 * width, "max_position_embeddings": 2048, "rotary_pct": 1.0 if sequential else 0.25,
            "use_parallel_residual": not sequential, "hidden_act": "gelu_pytorch_tanh",
        }
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=REPOSITORY / "target/release/redpajama-train")
    parser.add_argument("--model", choices=PRESETS, default="pythia-14m")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help="an interpreter with torch and transformers; without it one is made")
    args = parser.parse_args()
    python = args.python or python_with("torch==2.11.0", "transformers==5.17.0")
    common = [args.batch, args.sequence, args.steps, args.threads]
    ours_command = [
        args.program, "bench", args.model, "--batch", args.batch, "--sequence", args.sequence,
        "--steps", args.steps, "--threads", args.threads,
    ]  # fmt: skip
    ours, theirs = [], []
    for _ in range(args.rounds):
        said = run(ours_command)
        ours.append(tuple(float(x) for x in re.search(r"([\d.]+) s a step, ([\d.]+) s of CPU", said).groups()) + (peak_of(said),))
        said = run([python, "-c", TORCH, shape_of(args.model), *common])
        theirs.append(tuple(float(x) for x in said.split()[-3:]))
    tokens = args.batch * args.sequence
    print(f"{args.model}, {args.batch} x {args.sequence} tokens a step, {args.threads} threads, best of {args.rounds}\n")
    print("| | s a step | CPU-s a step | tokens/s | tokens/CPU-s | a product, GFLOP/s |\n|---|---|---|---|---|---|")
    least = {}
    for name, rows in [("redpajama-train", ours), ("PyTorch", theirs)]:
        wall, cpu = min(row[0] for row in rows), min(row[1] for row in rows)
        product = max(row[2] for row in rows) / 1e9
        least[name] = cpu
        print(f"| {name} | {wall:.3f} | {cpu:.3f} | {tokens / wall:,.0f} | {tokens / cpu:,.0f} | {product:,.0f} |")
    print(f"\n{least['PyTorch'] / least['redpajama-train']:.2f} times as many tokens a CPU-second as PyTorch\n")


def peak_of(said):
    """What `redpajama-train bench` said of its products: `of 262.18 BFLOP/s (measured`."""
    number, unit = re.search(r", of ([\d.]+) ([MBT])FLOP/s \(measured", said).groups()
    return float(number) * {"M": 1e6, "B": 1e9, "T": 1e12}[unit]


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {command[0]}\n{done.stderr[-4000:]}")
    return done.stdout


main()
