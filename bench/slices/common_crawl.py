"""CommonCrawl: WET as it is shipped, and ways of reading it in Python.

Run as a script it reads raw files as cc_net does, line by line (written by us from the facts of the
recipe, not copied), and with the two usual libraries, warcio and FastWARC, up to the same text.

    bench/slices/common_crawl.py RAW…

Its last line is a JSON object: documents, CPU seconds, those of them that went into decompression,
and the same for each library.
"""

import gzip
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "golden")]

from environment import run_with  # noqa: E402


def grow(inputs, size, raw):
    """The same records again and again, with a gzip member for each, as Common Crawl ships them."""
    encoded = (inputs / "common_crawl/cc2026-12_part_dev.warc.wet.gz").read_bytes()
    each = len(gzip.decompress(encoded))
    raw.mkdir(parents=True)
    times = -(-size // each)
    with open(raw / "grown.warc.wet.gz", "wb") as out:
        for _ in range(times):
            out.write(encoded)
    return times * each


def line_by_line(path):
    """A document for each `conversion` record, as cc_net makes it."""
    documents = 0

    def end(header, body):
        if not header or not body or header[1].split()[1] != "conversion":
            return 0
        url, date, digest = (header[place].split()[1] for place in (2, 3, 6))
        try:
            length = int(header[9].split()[1])
        except (IndexError, ValueError):
            length = int(header[8].split()[1])
        last = -2 if len(body) > 1 and not body[-1] and not body[-2] else None
        lines = body[1:last]
        made = {"url": url, "date_download": date, "digest": digest, "length": length, "nlines": len(lines)}
        made |= {"source_domain": urlparse(url).netloc, "title": body[0], "raw_content": "\n".join(lines)}
        return bool(made)

    header, body, in_header = [], [], True
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if in_header:
                header.append(line)
                in_header = line != ""
            elif line == "WARC/1.0":
                documents += end(header, body)
                header, body, in_header = [line], [], True
            else:
                body.append(line)
    return documents + end(header, body)


def made_of(text, field):
    """The same document out of a record's text and header."""
    lines = [line.strip() for line in text.splitlines()]
    url = field("WARC-Target-URI")
    made = {"url": url, "date_download": field("WARC-Date"), "digest": field("WARC-Block-Digest")}
    made |= {"length": int(field("Content-Length")), "nlines": len(lines), "source_domain": urlparse(url).netloc}
    return made | {"title": lines[0] if lines else "", "raw_content": "\n".join(lines)}


def with_warcio(path):
    from warcio.archiveiterator import ArchiveIterator

    documents = 0
    with open(path, "rb") as raw:
        for record in ArchiveIterator(raw):
            if record.rec_type == "conversion":
                made_of(record.content_stream().read().decode(), record.rec_headers.get_header)
                documents += 1
    return documents


def with_fastwarc(path):
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    documents = 0
    with open(path, "rb") as raw:
        for record in ArchiveIterator(raw, record_types=WarcRecordType.conversion, parse_http=False):
            made_of(record.reader.read().decode(), record.headers.get)
            documents += 1
    return documents


def decompressed_by(read):
    """CPU seconds of decompression alone, with what the reader decompresses with."""
    if read is with_fastwarc:
        from fastwarc.stream_io import GzipReader

        def alone(path):
            with open(path, "rb") as raw:
                stream = GzipReader(raw)
                while stream.read(1 << 18):
                    pass
    else:

        def alone(path):
            with gzip.open(path, "rb") as stream:
                while stream.read(1 << 18):
                    pass

    return alone


def measured(read, paths):
    begin = time.process_time()
    documents = sum(read(path) for path in paths)
    seconds = time.process_time() - begin
    alone = decompressed_by(read)
    begin = time.process_time()
    for path in paths:
        alone(path)
    return {"documents": documents, "seconds": seconds, "decompress": time.process_time() - begin}


def main():
    run_with("warcio==1.8.1", "fastwarc==2.0.1")
    paths = [Path(path) for path in sys.argv[1:]]
    beside = {name: measured(read, paths) for name, read in [("warcio", with_warcio), ("FastWARC", with_fastwarc)]}
    print(json.dumps(measured(line_by_line, paths) | {"beside": beside}))


if __name__ == "__main__":
    main()
