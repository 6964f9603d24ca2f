"""Checks what a plan drew and what a reveal opens (crates/evidence/SPEC.md §7.2, crates/core/SPEC.md §2.7), standard library only.

    python3 case.py draw PLAN.dsse.json VALUE     rows of the pool and the seeds of their answers, one JSON object a line
    python3 case.py reveal REVEAL.json ROOT       whether the key was committed to under the root

Exit 0 done or committed, 1 not committed, 2 unread. Signatures and time-stamps are for openssl; this recomputes what follows from them."""

import base64
import hashlib
import json
import re
import sys

HEX = re.compile("[0-9a-f]{64}")
PATH = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}/(campaign|account|twin|canary|pseudonym|control|decoy)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
REVEAL = {"format": "taggant-reveal/1", "family": re.compile("forensic|public"), "path": PATH, "salt": HEX, "key": HEX, "index": int, "size": int, "proof": list, "root": HEX}


def need(condition, what):
    if not condition:
        raise ValueError(what)


def unique(pairs):
    need(len(dict(pairs)) == len(pairs), "a field stands there twice")
    return dict(pairs)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def words(seed, purpose, start=0):
    """The stream of 64-bit words of a purpose, from block `start`."""
    while True:
        block = sha256(seed, len(purpose).to_bytes(8, "big"), purpose.encode(), start.to_bytes(4, "big"))
        yield from (int.from_bytes(block[at : at + 8], "big") for at in range(0, 32, 8))
        start += 1


def below(stream, n):
    last = 2**64 - 1
    return next(word for word in stream if word < last - last % n) % n


def drawn(plan, digest, value):
    """Rows of the pool, from 1, and the seeds of their answers."""
    value = bytes.fromhex(value)
    need(1 <= len(value) <= 1024, "a beacon value has 1 to 1,024 bytes")
    seed = sha256(b"taggant/v1/draw", bytes.fromhex(digest), len(value).to_bytes(2, "big"), value)
    (answers,) = (rule["answers"] for rule in plan["stopping"].values())
    rows, stream = list(range(plan["pool"]["prompts"])), words(seed, "prompts")
    for i in range(plan["pool"]["drawn"]):
        j = i + below(stream, len(rows) - i)
        rows[i], rows[j] = rows[j], rows[i]
        yield rows[i] + 1, [next(words(seed, "seeds", i * answers + answer)) >> 11 for answer in range(answers)]


def draw(envelope, value):
    envelope = json.load(open(envelope))
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"], validate=True)
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    for row, seeds in drawn(json.loads(payload)["predicate"], sha256(signed).hex(), value):
        print(json.dumps({"row": row, "seeds": seeds}))
    return True


def commitment(opened):
    path = f"{opened['family']}/{opened['path']}".encode()
    return sha256(b"taggant/v1/commit", len(path).to_bytes(2, "big"), path, bytes.fromhex(opened["salt"]), bytes.fromhex(opened["key"]))


def reveal(file, root):
    return opens(json.load(open(file), object_pairs_hook=unique), root)


def opens(opened, root):
    """Whether a reveal leads to the root."""
    need(type(opened) is dict and opened.keys() == REVEAL.keys(), "other fields than a reveal has")
    for name, kind in REVEAL.items():
        value = opened[name]
        right = value == kind if isinstance(kind, str) else type(value) is kind if isinstance(kind, type) else type(value) is str and kind.fullmatch(value)
        need(right, f"its {name} is none")
    need(all(type(node) is str and HEX.fullmatch(node) for node in opened["proof"]), "a proof of something else than hashes")
    node = sha256(b"\0", commitment(opened))
    index, size = opened["index"], opened["size"]
    full = 11 <= len(opened["proof"]) <= 63 and size == 1 << len(opened["proof"]) and 0 <= index < size
    for sibling in map(bytes.fromhex, opened["proof"]):
        node = sha256(b"\1", sibling, node) if index & 1 else sha256(b"\1", node, sibling)
        index >>= 1
    return full and node.hex() == root == opened["root"]


if __name__ == "__main__":
    try:
        command, *arguments = sys.argv[1:]
        sys.exit(not {"draw": draw, "reveal": reveal}[command](*arguments))
    except Exception as error:  # whatever it is, nothing was found out
        sys.exit(print(f"case.py: {error!r}", file=sys.stderr) or 2)
