"""StackExchange: a site grown from the real ones, and the original's way of reading it in Python.

Run as a script it is that way: written by us from the facts of the recipe, not copied.

    bench/slices/stack_exchange.py RAW…

Its last line is a JSON object: documents, the characters of their texts, CPU seconds, and those of
them that went into decompression.
"""

import json
import re
import sys
import time
import warnings
from pathlib import Path
from xml.etree import ElementTree

NUMBERS = re.compile(r'(?<= )(Id|ParentId|AcceptedAnswerId)="(\d+)"')
HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n'
MARKS = {"<li>": "\n*", "</li>": "", "<ol>": "\n*", "</ol>": ""}


def main(raw):
    from bs4 import BeautifulSoup

    def cleaned(html):
        for mark, by in MARKS.items():
            html = html.replace(mark, by)
        return BeautifulSoup(html, "lxml").get_text()

    warnings.filterwarnings("ignore")
    documents = characters = 0
    for site in raw:
        rows, answers = [], {}
        with open(site / "Posts.xml", encoding="utf-8-sig") as lines:
            for line in lines:
                if not line.lstrip().startswith("<row"):
                    continue
                row = ElementTree.fromstring(line).attrib
                if "ParentId" in row:
                    answer = {"text": row["Body"], "score": row["Score"]}
                    answers.setdefault(row["ParentId"], []).append(answer)
                else:
                    rows.append(row)
        for row in rows:
            if "Title" not in row:
                continue
            text = "Q: " + cleaned(f"{row['Title']} {row['Body']}")
            best = sorted(answers.get(row["Id"], []), key=lambda answer: answer["score"], reverse=True)
            for answer in best:
                text += "\nA: " + cleaned(answer["text"])
            documents += 1
            characters += len(text)
    seconds = time.process_time()
    print(json.dumps({"documents": documents, "characters": characters, "seconds": seconds, "decompress": 0.0}))


def grow(inputs, size, folder):
    """One site with the posts of the real ones over and over, under numbers of their own, in the order
    of these; its bytes."""
    sites = []
    for path in sorted((inputs / "stack_exchange").glob("*/Posts.xml")):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        sites.append([line for line in lines if line.lstrip().startswith("<row")])
    site = folder / "grown.stackexchange.com"
    site.mkdir(parents=True)
    first = 0
    with open(site / "Posts.xml", "w", encoding="utf-8", newline="\n") as to:
        to.write(HEAD)
        while to.tell() < size:
            for rows in sites:
                shift = first
                for row in rows:
                    to.write(NUMBERS.sub(lambda found: f'{found[1]}="{int(found[2]) + shift}"', row) + "\n")
                # Post numbers of these sites are below this.
                first += 100_000
        to.write("</posts>\n")
    return (site / "Posts.xml").stat().st_size


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2] / "golden"))
    from environment import run_with

    run_with("beautifulsoup4==4.12.3", "lxml==4.9.4")
    main([Path(argument) for argument in sys.argv[1:]])
