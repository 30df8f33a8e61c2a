"""RedPajama-V2's MinHash signatures of the texts of seven slices, at all four similarities that it published:
every band as `redpajama inspect --minhash` shows it."""

import json

from account import Account, lines_of, sha256

SIMILARITIES = ["1.0", "0.9", "0.8", "0.7"]


def compare_slice(redpajama, golden, path):
    name = path.name.removesuffix(".minhash.jsonl.gz")
    rows = lines_of(path)
    texts = {row["id"]: row["text"] for row in lines_of(golden / f"texts/{name}.jsonl.gz")}
    raw = redpajama.scratch / f"minhash-{name}.jsonl"
    with open(raw, "w", encoding="utf-8") as lines:
        for row in rows:
            lines.write(json.dumps({"text": texts[row["id"]]}) + "\n")
    account = Account(f"{name}: MinHash signatures of RedPajama-V2")
    for similarity in SIMILARITIES:
        shown = redpajama.run("inspect", raw, "--slice", "c4", "--json", "--limit", len(rows), "--minhash", similarity)
        ours = [json.loads(line)["minhash"] for line in shown.splitlines() if line.startswith("{")]
        account.check("texts", f"similarity {similarity}", len(rows), len(ours))
        for row, bands in zip(rows, ours):
            expected = row[f"signature_sim{similarity}"]
            if expected is None or bands is None:
                account.check(f"signature_sim{similarity}", row["id"], expected, bands)
                continue
            whole = bytes.fromhex("".join(bands))
            found = {"band_bytes": len(bands[0]) // 2, "bands": len(bands), "sha256": sha256(whole), "hex": whole.hex()}
            # Not all signatures are there in full.
            found = {field: found[field] for field in expected}
            account.check(f"signature_sim{similarity}", row["id"], expected, found)
    expected = {f"signature_sim{similarity}": len(rows) for similarity in SIMILARITIES}
    return account.close({"texts": len(SIMILARITIES)} | expected)


def compare(redpajama, golden, inputs):
    return [compare_slice(redpajama, golden, path) for path in sorted((golden / "v2").glob("*.minhash.jsonl.gz"))]
