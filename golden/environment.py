"""Runs the script that imports it in a virtual environment which holds the packages it asks for.

The environment is made once, below `target/python/`, and made anew when the packages change.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def python_with(*packages):
    """The interpreter of an environment that holds these packages, made if it is not there."""
    asked = f"{sys.version_info[:2]} {packages}"
    folder = REPOSITORY / "target" / "python" / hashlib.sha256(asked.encode()).hexdigest()[:12]
    python = folder / "bin" / "python"
    whole = folder / "whole"
    if not whole.exists():
        print(f"making a Python environment with {', '.join(packages)}", file=sys.stderr)
        try:
            venv.create(folder, with_pip=True, clear=True)
        except subprocess.CalledProcessError:
            sys.exit("error: Python cannot make a virtual environment\nhint: on Debian, install python3-venv")
        try:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        except subprocess.CalledProcessError:
            sys.exit(
                f"error: pip could not install {', '.join(packages)}\n"
                "hint: this step needs the network or a folder of wheels (PIP_FIND_LINKS)"
            )
        whole.touch()
    return python


def run_with(*packages):
    """Starts the running script again in such an environment, unless it already runs there."""
    python = python_with(*packages)
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])
