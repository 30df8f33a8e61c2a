"""Wikipedia: a dump grown from the real ones, and the original's way of cleaning it in Python.

Run as a script it is that way: mwparserfromhell with the steps of the recipe, written by us from its
facts.

    bench/slices/wikipedia.py RAW…

Its last line is a JSON object: documents, the characters of their texts, CPU seconds, and those of
them that went into decompression.
"""

import bz2
import json
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

HEAD = '<mediawiki xml:lang="en">\n  <siteinfo><dbname>enwiki</dbname></siteinfo>\n'
FILES = re.compile(r"^(?:File|Image|Media):", re.IGNORECASE)
CATEGORIES = re.compile(r"^Category:", re.IGNORECASE)
SWITCHES = re.compile(r"__[A-Z]*__")
PAGE = re.compile(rb"<page>.*?</page>", re.DOTALL)


def cleaned(page, parser):
    sections = []
    for section in parser.parse(page).get_sections(flat=True, include_lead=True, include_headings=True):
        links = section.ifilter_wikilinks(recursive=True)
        for link in links:
            title = str(link.title)
            if FILES.match(title):
                removed(section, link)
            elif CATEGORIES.match(title):
                link.text = CATEGORIES.sub("", link.__strip__())
        for tag in section.ifilter_tags(matches=lambda tag: str(tag.tag) in ("ref", "table"), recursive=True):
            removed(section, tag)
        sections.append(SWITCHES.sub("", section.strip_code().strip()))
    return "\n\n".join(sections)


def removed(section, node):
    try:
        section.remove(node)
    except ValueError:
        pass


def main(raw):
    import mwparserfromhell

    documents = characters = 0
    for path in raw:
        for _, page in ElementTree.iterparse(path):
            if page.tag != "page":
                continue
            text = page.findtext("./revision/text")
            if page.findtext("./ns") == "0" and text and page.find("./redirect") is None:
                documents += 1
                characters += len(cleaned(text, mwparserfromhell))
            page.clear()
    seconds = time.process_time()
    print(json.dumps({"documents": documents, "characters": characters, "seconds": seconds, "decompress": 0.0}))


def grow(inputs, size, folder):
    """One plain dump with the articles of the real ones over and over, so that reading and cleaning are
    measured and bzip2 is not; its bytes."""
    pages = []
    for path in sorted((inputs / "wikipedia").glob("dbpedia_minidump_*.xml.bz2")):
        pages += PAGE.findall(bz2.decompress(path.read_bytes()))
    folder.mkdir(parents=True)
    path = folder / "enwiki-bench-pages-articles.xml"
    with open(path, "wb") as dump:
        dump.write(HEAD.encode())
        while dump.tell() < size:
            for page in pages:
                dump.write(page + b"\n")
        dump.write(b"</mediawiki>\n")
    return path.stat().st_size


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2] / "golden"))
    from environment import run_with

    run_with("mwparserfromhell==0.6.6")
    main([Path(argument) for argument in sys.argv[1:]])
