#!/usr/bin/env python3
"""Compares what `redpajama` makes of real inputs with what the original code made of them.

    golden/compare.py --redpajama target/release/redpajama [--only github]

One module of `slices/` for each slice, `dedups.py`, `minhash.py`: signatures of texts of seven
slices, and `packs.py`: the same texts, tokenized and packed.
Each builds real inputs and joins what came out with the original's records; README.md beside this
file says more. A slice is compared by being there: its module has
`compare(redpajama, golden, inputs)`, which gives a list of outcomes.

Exit status: 0 if everything is equal, 1 if something differs or is missing, 2 if it cannot run.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import REPOSITORY, run_with

run_with("numpy>=2", "polars>=1", "pyyaml>=6", "zstandard>=0.23")

from account import Redpajama, stop  # noqa: E402


def comparisons():
    """Every comparison by its name."""
    for path in sorted((Path(__file__).parent / "slices").glob("*.py")):
        yield path.stem, importlib.import_module(f"slices.{path.stem}")
    yield "dedups", importlib.import_module("dedups")
    yield "minhash", importlib.import_module("minhash")
    yield "packs", importlib.import_module("packs")
    yield "signals", importlib.import_module("signals")


def main():
    shared = REPOSITORY.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redpajama", type=Path, default=REPOSITORY / "target/release/redpajama", help="the binary")
    parser.add_argument("--golden", type=Path, default=shared / "golden", help="the original's outputs")
    parser.add_argument("--inputs", type=Path, help="the real inputs, unpacked; otherwise unpacked for this run")
    parser.add_argument("--only", action="append", metavar="NAME", help="one slice, `dedups`, `minhash` or `packs`; may be repeated")
    parser.add_argument("--keep", type=Path, help="where to leave what was built")
    options = parser.parse_args()
    if not options.redpajama.exists():
        stop(f"there is no {options.redpajama}\nhint: `cargo build --release` makes it")
    if not options.golden.is_dir():
        stop(f"there is no folder {options.golden}")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        inputs = options.inputs
        if inputs is None:
            unpack = options.golden.parent / "data/unpack"
            unpacked = subprocess.run([unpack, scratch / "unpacked"], check=True, capture_output=True, text=True)
            inputs = Path(unpacked.stdout.strip())
        if options.keep:
            scratch = options.keep
            scratch.mkdir(parents=True, exist_ok=True)
        redpajama = Redpajama(options.redpajama.resolve(), (inputs / "models/20B_tokenizer.json").resolve(), scratch)
        chosen = [module for name, module in comparisons() if not options.only or name in options.only]
        if not chosen:
            stop(f"nothing is called {', '.join(options.only)}")
        outcomes = [outcome for module in chosen for outcome in module.compare(redpajama, options.golden, inputs)]
    print(f"\n{sum(outcomes)} of {len(outcomes)} comparisons are equal throughout")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
