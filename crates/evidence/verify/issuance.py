"""Checks issuance logs (crates/evidence/SPEC.md §1), standard library only: `python3 issuance.py LOG...`; exit 0 intact, 1 broken, 2 unread."""

import datetime
import hashlib
import json
import re
import sys

HEX, LONGEST, KINDS = re.compile(r"[0-9a-f]{64}"), 2**28, {"torn", "changed", "misplaced", "unlinked", "backwards", "unknown"}
TAIL, TIME = re.compile(rb',"hash":"([0-9a-f]{64})"\}'), re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z")
CONTENT = {"text": str, "text_digest": HEX, "tokens": list, "tokens_digest": HEX}
EXCHANGE = {"id": str, "account": HEX, "prompt": dict, "response": dict, "mark": HEX, "keys": list, "unmarked": str, "twins": HEX}
LINE = {"line": int, "previous": HEX, "time": TIME, "genesis": dict, "mark": dict, "exchange": dict, "hash": HEX}
SAYS = {"genesis": {"format": str, "records": list}, "mark": {"record": str}, "exchange": EXCHANGE}


def need(condition, kind="malformed"):
    if not condition:
        raise ValueError(kind)


def parse(text):
    unique = lambda pairs: need(len(dict(pairs)) == len(pairs)) or dict(pairs)
    return json.loads(text, object_pairs_hook=unique)


def fields(value, known):  # all known and of the right type; null counts as absent
    right = lambda v, t: type(v) is t if isinstance(t, type) else type(v) is str and t.fullmatch(v)
    need(all(v is None or right(v, known[name]) for name, v in value.items()))
    return {name: v for name, v in value.items() if v is not None}


def check(raw, number, previous, last, marks):
    """Checks one line; returns its hash, its time and whether it is an exchange."""
    need(raw.endswith(b"\n") or len(raw) > LONGEST, "torn")
    tail = TAIL.fullmatch((raw := raw.removesuffix(b"\n"))[-75:])
    need(tail and len(raw) <= LONGEST)
    need(hashlib.sha256(b"taggant/v1/issuance-line" + raw[:-75]).hexdigest() == tail[1].decode(), "changed")
    line = fields(parse(raw.decode()), LINE)
    kind, = line.keys() & {"genesis", "mark", "exchange"}
    said, added = fields(line[kind], SAYS[kind]), {}
    if kind == "exchange":
        need(("mark" in said) == bool(keys := said.get("keys", [])) != ("unmarked" in said))
        need(0 < len(said["id"].encode()) <= 1024 and all(HEX.fullmatch(key) for key in keys))
        for content in (fields(said["prompt"], CONTENT), fields(said["response"], CONTENT)):
            need(not any({name, f"{name}_digest"} <= content.keys() for name in ("text", "tokens")))
            need(all(type(token) is int and 0 <= token < 2**32 for token in content.get("tokens", [])))
    else:
        need(kind == "mark" or said["format"] == "taggant-issuance/1")
        for text in said["records"] if kind == "genesis" else [said["record"]]:
            need((record := parse(text))["format"] == "taggant-record/1")
            added[hashlib.sha256(text.encode()).hexdigest()] = {layer["key"] for layer in record["layers"]}
    need(datetime.datetime.fromisoformat(line["time"]).year >= 1970)
    need(line["line"] == number and (kind == "genesis") == (number == 1), "misplaced")
    need(line["previous"] == previous, "unlinked")
    need(line["time"] >= last, "backwards")
    need(kind != "exchange" or not keys or set(keys) <= marks.get(said["mark"], set()), "unknown")
    marks.update(added)
    return line["hash"], line["time"], kind == "exchange"


def verify(log):
    number, exchanges, head, last, marks = 0, 0, "0" * 64, "", {}
    try:
        while raw := log.readline(LONGEST + 1):
            head, last, exchange = check(raw, number + 1, head, last, marks)
            number, exchanges = number + 1, exchanges + exchange
        need(number, "torn")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        return f"line {number + 1}: {fault if str(fault) in KINDS else 'malformed'}"
    return f"intact: {number} lines, {exchanges} exchanges, head {head}"


if __name__ == "__main__":
    try:
        answers = [verify(open(path, "rb")) for path in sys.argv[1:]]
    except OSError as error:
        sys.exit(print(error, file=sys.stderr) or 2)
    print(*map("{}: {}".format, sys.argv[1:], answers), sep="\n")
    sys.exit(not all(answer.startswith("intact") for answer in answers))
