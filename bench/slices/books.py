"""Books: text files grown from the real ones, and the plain way of reading them in Python.

Run as a script it is that way: written by us from the facts of the recipe, not copied. A file is
decoded as the original decodes it; with `--strip` header and footer are cut at their marks, too.

    bench/slices/books.py [--strip] RAW…

Its last line is a JSON object: documents, the characters of their texts, CPU seconds, and those of
them that went into decompression.
"""

import json
import re
import sys
import time
from pathlib import Path

START = re.compile(r"^\*\*\* ?START OF TH[^*]*\*\*\*", re.MULTILINE)
END = re.compile(r"^(?:\*\*\* ?END OF TH|End of (?:the |The )?Project Gutenberg)", re.MULTILINE)
CREDITS = re.compile(r"\s*(?:Produced|Prepared|Transcribed|Scanned) by(?:.+\n)+")


def main(raw, strip):
    documents = characters = 0
    for path in raw:
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        if strip:
            text = text.replace("\r\n", "\n")
            end = END.search(text)
            text = text[: end.start()] if end else text
            start = START.search(text)
            text = text[start.end() :] if start else text
            credits = CREDITS.match(text)
            text = (text[credits.end() :] if credits else text).strip("\n")
        documents += 1
        characters += len(text)
    print(json.dumps({"documents": documents, "characters": characters, "seconds": time.process_time(), "decompress": 0.0}))


def grow(inputs, size, folder):
    """Copies of the real books, each with a first line of its own; their bytes."""
    folder.mkdir(parents=True)
    books = [path.read_bytes() for path in sorted((inputs / "books").glob("*.txt"))]
    written = number = 0
    while written < size:
        content = books[number % len(books)]
        cut = content.index(b"\n") + 1
        content = content[:cut] + b"Copy %d\r\n" % number + content[cut:]
        (folder / f"{number:05}.txt").write_bytes(content)
        written += len(content)
        number += 1
    return written


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main([Path(argument) for argument in arguments if argument != "--strip"], "--strip" in arguments)
