"""arXiv: monthly tars of real submissions, and the original's way of reading them in Python.

Run as a script it is that way: written by us from the facts of the recipe, not copied.

    bench/slices/arxiv.py RAW…

Its last line is a JSON object: documents, the characters of their texts, CPU seconds, and those of
them that went into decompression.
"""

import gzip
import io
import json
import re
import sys
import tarfile
import time
from pathlib import Path

# Header commands with their arguments; of the last two only both together are one.
ARGUMENTS = r"\*?(?:\[.*?\])?\{.*?\}"
SECTIONS = "|".join(rf"\\{name}\b{ARGUMENTS}" for name in ["chapter", "part", "section", "subsection", "subsubsection"])
HEADER = re.compile(rf"{SECTIONS}|\\paragraph\b{ARGUMENTS}\\subparagraph\b{ARGUMENTS}", re.DOTALL)
LINE_COMMENT = re.compile(r"^%.*\n?", re.MULTILINE)
COMMENT = re.compile(r"[^\\]%.+$", re.MULTILINE)
END = re.compile(
    r"(?:\\appendix|\\begin\{references\}|\\begin\{REFERENCES\}|\\begin\{thebibliography\}|\\bibliography\{.*\}).*$",
    re.DOTALL,
)
MACROS = [
    re.compile(r"\\newcommand\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", re.MULTILINE),
    re.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", re.MULTILINE),
]


def macros_of(texts):
    """Names and values, escaped for `re.sub`."""
    found = {}
    for text in texts:
        for pattern in MACROS:
            for name, value in pattern.findall(text):
                found[name.encode("unicode-escape").decode()] = value.encode("unicode-escape").decode()
    return found


def cleaned(text, macros):
    header = HEADER.search(text)
    if not header:
        return ""
    text = LINE_COMMENT.sub("", text[header.start() :])
    text = END.sub("", COMMENT.sub("", text))
    for name, value in macros.items():
        text = re.sub(f"({name})([^a-zA-Z0-9])", value + r"\2", text)
    return text


def made(texts):
    """A submission's text: that of its files, one after the other."""
    macros = macros_of(texts)
    return "\n".join(cleaned(text, macros) for text in texts)


def files_of(archive):
    """The LaTeX of a decompressed submission: a tar archive, or one file."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            members = [member for member in opened.getmembers() if member.name.endswith(".tex")]
            return [opened.extractfile(member).read().decode() for member in members]
    except tarfile.ReadError:
        return [archive.decode()]


def main(raw):
    documents = characters = 0
    decoding = 0.0
    for path in raw:
        with tarfile.open(path) as month:
            for member in month:
                if not member.name.endswith(".gz"):
                    continue
                packed = month.extractfile(member).read()
                begin = time.process_time()
                archive = gzip.decompress(packed)
                decoding += time.process_time() - begin
                try:
                    text = made(files_of(archive))
                except (UnicodeDecodeError, re.error):
                    continue
                documents += bool(text)
                characters += len(text)
    seconds = time.process_time()
    print(json.dumps({"documents": documents, "characters": characters, "seconds": seconds, "decompress": decoding}))


def without_figures(packed):
    """A submission's LaTeX alone. What is skipped costs its decompression and nothing else, and most
    of a submission is figures: with them any speed could be shown."""
    archive = gzip.decompress(packed)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            slim = io.BytesIO()
            with tarfile.open(fileobj=slim, mode="w") as kept:
                for member in opened.getmembers():
                    if member.isfile() and member.name.endswith(".tex"):
                        kept.addfile(member, opened.extractfile(member))
            return slim.getvalue()
    except tarfile.ReadError:
        return archive


def grow(inputs, size, folder):
    """Monthly tars of the real submissions' LaTeX, over and over, with identifiers of their own; their
    decompressed bytes in sum."""
    submissions = []
    with tarfile.open(inputs / "arxiv/arXiv_src_2001_001.tar") as month:
        submissions += [month.extractfile(member).read() for member in month if member.isfile()]
    submissions += [path.read_bytes() for path in sorted((inputs / "arxiv").glob("*.gz"))]
    archives = [without_figures(submission) for submission in submissions]
    lengths = [len(archive) for archive in archives]
    submissions = [gzip.compress(archive) for archive in archives]
    folder.mkdir(parents=True)
    total, number = 0, 0
    while total < size:
        with tarfile.open(folder / f"arXiv_src_2101_{number // 200 + 1:03}.tar", "w") as month:
            while total < size and (number % 200 or not month.members):
                member = tarfile.TarInfo(f"2101/2101.{number + 1:05}.gz")
                submission = submissions[number % len(submissions)]
                member.size, member.mtime = len(submission), 1609459200
                month.addfile(member, io.BytesIO(submission))
                total += lengths[number % len(submissions)]
                number += 1
    return total


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
