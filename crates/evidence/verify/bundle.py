"""Checks a bundle (crates/evidence/SPEC.md §9) against a trust file: a second implementation, of the standard library and openssl.

    python3 bundle.py DIR TRUST.json     one line a check: its status, code and detail; then PASS, FAIL or INCOMPLETE

Exit 0 if every check passed, 1 if not, 2 if nothing could be read. Numbers of the analysis are not computed again: that check says NOT CHECKED and does not count against the bundle here."""

import base64
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import case
from case import need

NAME = re.compile("[a-z0-9][a-z0-9._-]{0,254}")
MANIFEST, SUMS = "manifest.dsse.json", "manifest-sha256.txt"
EPOCH, RECORD, PLAN, POOL = "commitment/epoch.json", "mark/record.json", "plan/plan.dsse.json", "plan/pool.jsonl"
ASKED, RECORDS, OPENINGS, TRANSCRIPT = (f"transcript/{name}" for name in ("asked.jsonl", "records.jsonl", "openings.jsonl", "transcript.dsse.json"))
KEYS, CONTROLS, SUSPECTS, ANALYSIS, ACCOUNTS = "reveal/keys.jsonl", "reveal/controls.jsonl", "reveal/suspects.dsse.json", "analysis/analysis.json", "exhibits/accounts.dsse.json"
LOG, LOG_HEAD, REGISTER = "register/log.txt", "register/log.note", "register/plans.dsse.json"
SPENT_UNKNOWN = {"timed-out", "cut-off", "unreadable"}
SKEW = 10_000
LARGEST, CONTROL_KEYS = 1 << 28, 999
HEADERS = {"x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray", "openai-version", "date", "server"}
WORDS = {
    "opened": {"format": str, "plan": str, "asked": str, "prompts": int, "answers": int, "max_tokens": int, "collector": str, "program": dict, "suspects": list},
    "sent": {"attempt": int, "suspect": int, "prompt": int, "answer": int, "request": str},
    "answered": {"attempt": int, "body": str, "bytes": int, "tokens?": int, "headers?": dict, "milliseconds": int},
    "failed": {"attempt": int, "cause": str, "status?": int, "body?": str, "headers?": dict, "milliseconds": int},
    "lost": {"attempt": int},
    "resumed": {"version": str, "binary": str},
    "closed": {"because": str, "words?": str},
}
CAUSES = {"unreachable", "timed-out", "cut-off", "throttled", "server-error", "refused", "unreadable"}


def sha256(*parts):
    return hashlib.sha256(b"".join(parts))


def openssl(*arguments, files=()):
    """Runs openssl; each of `files` is written out, and its path takes the place of a None."""
    with tempfile.TemporaryDirectory() as folder:
        paths = iter([os.path.join(folder, str(number)) for number in range(len(files))])
        for path, data in zip([os.path.join(folder, str(number)) for number in range(len(files))], files):
            with open(path, "wb") as file:
                file.write(data)
        return subprocess.run(["openssl", *(next(paths) if word is None else word for word in arguments)], capture_output=True)


def millis(text):
    """A time as the formats write it, in milliseconds after 1970."""
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), f"{text}: no time")
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return round(moment.timestamp() * 1000)


def shaped(value, fields, what):
    """Refuses an object with other fields than these, or other kinds of values; numbers are counts."""
    known = {name.rstrip("?"): kind for name, kind in fields.items()}
    need(type(value) is dict and value.keys() <= known.keys(), f"{what}: fields that are not known")
    need(all(name.endswith("?") or name in value for name in fields), f"{what}: a field is missing")
    need(all(type(one) is known[name] and (type(one) is not int or one >= 0) for name, one in value.items()), f"{what}: a value of another kind")


def spelled(data, what):
    """Reads JSON that must be spelled as it would be written: in one way."""
    value = json.loads(data, object_pairs_hook=case.unique)
    need(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() == data, f"{what}: spelled in another way")
    return value


def answer(body):
    """Text and count of an answer, or None."""
    try:
        body = json.loads(body)
        choice = body["choices"][0]
        if choice.get("message") is not None and choice.get("text") is None:
            text = choice["message"].get("content") or ""
        elif choice.get("message") is None and type(choice.get("text")) is str:
            text = choice["text"]
        else:
            return None
        return (text, (body.get("usage") or {}).get("completion_tokens")) if type(text) is str else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def unbase64(text):
    """Bytes, of which there is one spelling."""
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data


def ed25519(key, signature, message):
    public = bytes.fromhex("302a300506032b6570032100") + key
    ran = openssl("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", None, "-rawin", "-in", None, "-sigfile", None, files=(public, message, signature))
    return ran.returncode == 0


def verifier_key(text):
    """Name, id, type and key of a C2SP verifier key."""
    name, number, rest = text.split("+", 2)
    rest = base64.b64decode(rest, validate=True)
    need(len(rest) == 33 and sha256(name.encode(), b"\n", rest).digest()[:4].hex() == number, f"{name}: its id is not its key's")
    return name, bytes.fromhex(number), rest[0], rest[1:]


class Trust:
    def __init__(self, path):
        file = json.load(open(path), object_pairs_hook=case.unique)
        need(file["format"] == "taggant-trust/1", "not a trust file")
        self.authorities, self.beacons = file["authorities"], {beacon["chain"]: beacon for beacon in file.get("beacons", [])}
        self.signers = [(signer["role"], verifier_key(signer["key"])) for signer in file.get("signers", [])]
        self.keys, self.rules, self.quorum = [], {}, None
        for line in file.get("logs", []):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "log":
                self.keys.append(verifier_key(words[1]))
            elif words[0] == "witness":
                self.keys.append(verifier_key(words[2]))
                self.rules[words[1]] = self.keys[-1]
            elif words[0] == "group":
                members = words[3:]
                self.rules[words[1]] = ({"any": 1, "all": len(members)}.get(words[2]) or int(words[2]), members)
            else:
                self.quorum = words[1]
        self.parties = self.distinct()

    def distinct(self):
        """For each authority the first that shares a key with it."""
        def keys(authority):
            certificates = [authority["root"], authority["signer"], *authority.get("between", [])]
            return {openssl("x509", "-inform", "DER", "-in", None, "-noout", "-pubkey", files=(base64.b64decode(one),)).stdout for one in certificates}

        own = [keys(authority) for authority in self.authorities]
        parties = list(range(len(own)))
        for b in range(len(own)):
            for a in range(b):
                if own[a] & own[b]:
                    low, high = sorted((parties[a], parties[b]))
                    parties = [low if party == high else party for party in parties]
        return parties

    def reached(self, name, seen):
        if name == "none":
            return True
        rule = self.rules[name]
        return seen(rule) if len(rule) == 4 else sum(self.reached(member, seen) for member in rule[1]) >= rule[0]

    def stamp(self, digest, token):
        """Party and time of a token, in milliseconds, and from when on others can make such tokens."""
        shown = openssl("ts", "-reply", "-in", None, "-text", files=(token,))
        form = []
        if shown.returncode:
            form = ["-token_in"]
            shown = openssl("ts", "-reply", "-in", None, *form, "-text", files=(token,))
        text = shown.stdout.decode(errors="replace")
        found = re.search(r"Time stamp: (\w+ +\d+ [\d:]+)(\.\d+)? (\d{4}) GMT", text)
        need(found, "no time-stamp")
        moment = datetime.datetime.strptime(f"{found[1]} {found[3]}", "%b %d %H:%M:%S %Y").replace(tzinfo=datetime.timezone.utc)
        time = round(moment.timestamp() * 1000) + -(-int(float(found[2] or 0) * 1e6) // 1000)
        accuracy = re.search(r"Accuracy: (?:0x(\w+) seconds|unspecified)(?:, (?:0x(\w+) millis|unspecified))?(?:, (?:0x(\w+) micros|unspecified))?", text)
        if accuracy:
            seconds, milli, micro = (int(part, 16) if part else 0 for part in accuracy.groups())
            time += seconds * 1000 + milli + -(-micro // 1000)
        for authority, party in zip(self.authorities, self.parties):
            signer = base64.b64decode(authority["signer"])
            if sha256(signer).digest() not in token or not millis(authority["from"]) <= time < millis(authority["until"]):
                continue
            pem = lambda der: b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
            chain = b"".join(pem(base64.b64decode(one)) for one in [authority["signer"], *authority.get("between", [])])
            at = str(round(moment.timestamp()))
            root = pem(base64.b64decode(authority["root"]))
            ran = openssl("ts", "-verify", "-digest", digest, "-in", None, *form, "-CAfile", None, "-untrusted", None, "-attime", at, files=(token, root, chain))
            need(ran.returncode == 0, f"authority {authority['name']} does not vouch for it")
            broken = [millis(one["broken"]) for one, other in zip(self.authorities, self.parties) if other == party and one.get("broken")]
            return party, time, min(broken, default=None)
        raise ValueError("none of the trust file's authorities signed it")

    def logged(self, digest, proof):
        """The time by which a quorum of witnesses had seen a file in a log."""
        index, path, note = tlog_proof(proof)
        _, size, root, seen = self.head(note)
        node, first, last = sha256(b"\0", bytes.fromhex(digest)).digest(), index, size - 1
        need(0 <= first <= last, "its path leads nowhere")
        for sibling in path:  # RFC 9162 §2.1.3.2
            need(last > 0, "its path is too long")
            sibling = base64.b64decode(sibling, validate=True)
            if first & 1 or first == last:
                node = sha256(b"\1", sibling, node).digest()
                while not first & 1 and first:
                    first, last = first >> 1, last >> 1
            else:
                node = sha256(b"\1", node, sibling).digest()
            first, last = first >> 1, last >> 1
        need(last == 0 and node == root, "its path does not lead to the root")
        return seen

    def head(self, note):
        """Origin, size and root of a log's signed head, and the time by which a quorum of witnesses had seen it."""
        body, signatures = note.rsplit("\n\n", 1)
        body += "\n"
        need(note.endswith("\n") and not note.endswith("\n\n"), "no signed note")
        origin, size, root = body.split("\n")[:3]
        need(re.fullmatch("0|[1-9][0-9]{0,18}", size) and len(unbase64(root)) == 32, "no checkpoint")
        signed, logs, lines = {}, False, signatures.removesuffix("\n").split("\n")
        need(len(lines) <= 64, "more than 64 signatures")
        for line in lines:
            name, blob = re.fullmatch("\u2014 ([^\\s+]+) (\\S+)", line).groups()
            blob = unbase64(blob)
            need(len(blob) > 4, f"no signature of {name}")
            for key in self.keys:
                if (key[0], key[1]) != (name, blob[:4]):
                    continue
                if key[2] == 1:
                    need(ed25519(key[3], blob[4:], body.encode()), f"a wrong signature of {name}")
                    logs |= name == origin
                else:
                    time = int.from_bytes(blob[4:12], "big")
                    need(ed25519(key[3], blob[12:], f"cosignature/v1\ntime {time}\n{body}".encode()), f"a wrong cosignature of {name}")
                    # Of one that cosigned twice, the first line counts.
                    signed.setdefault(key, time * 1000)
        need(logs, "no log of the policy signed its checkpoint")
        if self.quorum == "none":
            return origin, int(size), base64.b64decode(root), None
        reached = [time for time in sorted(signed.values()) if self.reached(self.quorum, lambda key: signed.get(key, time + 1) <= time)]
        need(reached, "too few witnesses")
        return origin, int(size), base64.b64decode(root), reached[0]


def tlog_proof(text):
    """Index, path and checkpoint of a C2SP tlog-proof."""
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    need(lines.pop(0) == "c2sp.org/tlog-proof@v1", "no tlog-proof")
    if lines[0].startswith("extra "):
        lines.pop(0)
    index = int(re.fullmatch("index (0|[1-9][0-9]{0,18})", lines.pop(0))[1])
    need(len(lines) <= 63 and all(len(unbase64(line)) == 32 for line in lines), "a path that is none")
    return index, lines, note


def merkle_root(digests):
    """The RFC 6962 root over entries, each the leaf of its digest."""
    level = [sha256(b"\0", bytes.fromhex(digest)).digest() for digest in digests]
    while len(level) > 1:
        # An odd one goes up as it is: the tree is filled from the left.
        level = [sha256(b"\1", *level[at : at + 2]).digest() if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
    return level[0] if level else sha256().digest()


class Bundle:
    def __init__(self, root, trust):
        self.root, self.trust, self.names, self.results, self.empty = root, trust, set(), [], []
        self.list("", 0)
        need(sum(os.path.getsize(os.path.join(root, name)) for name in self.names) <= 1 << 36, "more than 2^36 bytes in all")

    def list(self, prefix, depth):
        entries = list(os.scandir(os.path.join(self.root, prefix)))
        if depth and not entries:
            self.empty.append(prefix)
        for entry in entries:
            need(NAME.fullmatch(entry.name), f"{prefix}{entry.name}: no name of a bundle's file")
            if entry.is_dir(follow_symlinks=False):
                need(depth < 3, f"{prefix}{entry.name}: too deep")
                self.list(f"{prefix}{entry.name}/", depth + 1)
            else:
                need(entry.is_file(follow_symlinks=False), f"{prefix}{entry.name}: neither a file nor a folder")
                self.names.add(prefix + entry.name)

    def read(self, name):
        need(name in self.names, f"{name}: it is not in the bundle")
        with open(os.path.join(self.root, name), "rb") as file:
            need(name in (RECORDS, OPENINGS) or os.fstat(file.fileno()).st_size <= LARGEST, f"{name}: more than {LARGEST} bytes")
            return file.read()

    def digest(self, name):
        return sha256(self.read(name)).hexdigest()

    def listed(self):
        return {name for name in self.names if name != SUMS and not re.fullmatch(re.escape(MANIFEST) + r"(\.tlog-proof|(\.[^./]+\.tsr)*)", name)}

    def statement(self, name, kind, roles):
        """Subjects and predicate of a statement that a key of each role signed and nobody else, and the digest of what is signed. A role is its name, or its name and the key's."""
        try:
            data = self.read(name)
            need(data.endswith(b"\n"), "its last line is torn")
            envelope = spelled(data[:-1], "the envelope")
            shaped(envelope, {"payload": str, "payloadType": str, "signatures": list}, "the envelope")
            own = {name: envelope[name] for name in ("payload", "payloadType")}
            own["signatures"] = [{"keyid": one["keyid"], "sig": one["sig"]} for one in envelope["signatures"]]
            need(json.dumps(own) == json.dumps(envelope), "the envelope: spelled in another way")
            need(len({one["sig"] for one in envelope["signatures"]}) == len(envelope["signatures"]), "a signature stands there twice")
            payload = unbase64(envelope["payload"])
            type_ = envelope["payloadType"].encode()
            signed = b"DSSEv1 %d %s %d %s" % (len(type_), type_, len(payload), payload)
            signatures = [unbase64(one["sig"]) for one in envelope["signatures"]]
            ids = [one["keyid"] for one in envelope["signatures"]]
            good = set()
            for role in roles:
                role, *who = role if type(role) is tuple else (role,)
                keys = [key for own, key in self.trust.signers if own == role and (not who or key[0] == who[0])]
                own = {number for number, one in enumerate(signatures) if any(ids[number] == key[1].hex() and ed25519(key[3], one, signed) for key in keys)}
                need(own, f"no signature of a trusted {role}")
                good |= own
            need(len(good) == len(signatures), "a signature of somebody else")
            statement = json.loads(payload, object_pairs_hook=case.unique)
            need(type_ == b"application/vnd.in-toto+json" and statement["_type"] == "https://in-toto.io/Statement/v1" and statement["predicateType"] == kind, "a statement of another type")
            subjects = [(subject["name"], subject["digest"]["sha256"]) for subject in statement["subject"]]
            return subjects, statement["predicate"], sha256(signed).hexdigest()
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error

    def check(self, code, function, *rest):
        """Runs a check on what it rests on; nothing comes of one that failed or rests on nothing."""
        if any(value is None for value in rest):
            self.results.append(("NOT CHECKED", code, "what it rests on does not hold"))
            return None
        try:
            value = function(*rest)
            self.results.append(("PASS", code, ""))
            return True if value is None else value
        except Exception as error:  # hostile files fail in every way; each is a fault of the bundle
            self.results.append(("FAIL", code, f"{error}" if isinstance(error, ValueError) else repr(error)))
            return None

    def manifest(self):
        subjects, contents, _ = self.statement(MANIFEST, "urn:taggant:bundle:v1", ["examiner", "collector"])
        need(self.read(SUMS).decode() == "".join(f"{digest}  {name}\n" for name, digest in subjects), f"{SUMS}: not the list of {MANIFEST}")
        return subjects, contents

    def files(self, manifest):
        subjects = dict(manifest[0])
        need(len(subjects) == len(manifest[0]), "a file is listed twice")
        for name in sorted(subjects.keys() | self.listed()):
            need(name in self.names and name in subjects, f"{name}: it is {'there and not listed' if name in self.names else 'listed and not there'}")
            need(self.digest(name) == subjects[name], f"{name}: another digest than listed")
        need(not self.empty, f"{self.empty}: folders without files")

    def plan(self, manifest):
        envelope = json.loads(self.read(PLAN), object_pairs_hook=case.unique)
        payload, type_ = unbase64(envelope["payload"]), envelope["payloadType"].encode()
        signed = b"DSSEv1 %d %s %d %s" % (len(type_), type_, len(payload), payload)
        keys = [key[3] for own, key in self.trust.signers if own == "examiner"]
        signatures = [unbase64(one["sig"]) for one in envelope["signatures"]]
        need(any(ed25519(key, one, signed) for key in keys for one in signatures), f"{PLAN}: no signature of a trusted examiner")
        statement = json.loads(payload, object_pairs_hook=case.unique)
        need((statement["_type"], statement["predicateType"]) == ("https://in-toto.io/Statement/v1", "urn:taggant:plan:v1"), f"{PLAN}: a statement of another type")
        subjects, plan, digest = [(one["name"], one["digest"]["sha256"]) for one in statement["subject"]], statement["predicate"], sha256(signed).hexdigest()
        need(subjects == [("pool", plan["pool"]["sha256"]), ("mark", plan["mark"])], f"{PLAN}: about other files than it names")
        need(manifest is True or manifest[1] == {"case": plan["case"], "plan": digest}, f"{PLAN}: another case or plan than the manifest names")
        return plan, digest

    def anchored(self, name):
        """The time on the word of two authorities, and that by which a log's witnesses had seen it."""
        times, seen = self.stamped(name)
        need(len(times) >= 2, f"{name}: it lacks time-stamps of two authorities")
        need(f"{name}.tlog-proof" in self.names, f"{name}.tlog-proof: it is not there")
        return times[1], seen

    def sealed(self):
        """Two authorities and a log vouch for the manifest, and every stamp over one of its stamps holds."""
        stamped = {re.sub(r"\.[^./]+\.tsr$", "", name) for name in self.names - self.listed() if name.endswith(".tsr")}
        for file in sorted(stamped - {MANIFEST}):
            need(file in self.names, f"{file}: it is not there, and there is a stamp over it")
            self.stamped(file)
        return self.anchored(MANIFEST)

    def stamped(self, name):
        """Whoever vouches for a file: the first time of each authority, in order, and the log's, if there are any."""
        digest, firsts, seen = self.digest(name), {}, None
        tokens = sorted(other for other in self.names if re.fullmatch(re.escape(name) + r"\.[^./]+\.tsr", other))
        need(len(tokens) <= 64, f"{name}: more than 64 time-stamps")
        for token in tokens:
            try:
                party, time, broken = self.trust.stamp(digest, self.read(token))
            except ValueError as error:
                raise ValueError(f"{token}: {error}") from error
            # V-6: stamps over the token, or over the manifest that lists it, show that it is older than the break.
            shown = [self.stamped(file)[0][1:2] for file in [token] + [MANIFEST] * (token in self.listed() and MANIFEST in self.names)] if broken else []
            if not broken or any(times[0] < broken for times in shown if times):
                firsts[party] = min(time, firsts.get(party, time))
        if f"{name}.tlog-proof" in self.names:
            try:
                seen = self.trust.logged(digest, self.read(f"{name}.tlog-proof").decode())
            except Exception as error:
                raise ValueError(f"{name}.tlog-proof: {error!r}") from error
        return sorted(firsts.values()), seen

    def ready(self, plan, sealed):
        beacon = self.trust.beacons[plan[0]["beacon"]["chain"]]
        number = plan[0]["beacon"]["round"]
        time = millis(beacon["genesis"]) + (number - 1) * beacon["period"] * 1000
        need(sealed[1] is not None, "the log policy asks for no witness")
        need(time > max(sealed), "the round is not later than the plan")
        values = [value["value"] for value in beacon["values"] if value["round"] == number]
        need(values, "the trust file has no value of the round")
        return time, values[0]

    def asked(self, plan, ready):
        need(self.digest(POOL) == plan[0]["pool"]["sha256"], f"{POOL}: not the pool that the plan names")
        pool = [json.loads(line, object_pairs_hook=case.unique)["prompt"] for line in self.read(POOL).decode().split("\n") if line.strip()]
        need(len(pool) == plan[0]["pool"]["prompts"], f"{POOL}: another number of prompts than the plan's")
        beacon = plan[0]["beacon"]
        head = {"format": "taggant-asked/1", "plan": plan[1], "chain": beacon["chain"], "round": beacon["round"], "value": ready[1]}
        rows = [{"row": row, "prompt": pool[row - 1], "seeds": seeds} for row, seeds in case.drawn(plan[0], plan[1], ready[1])]
        own = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in [head, *rows])
        need(self.read(ASKED) == own.encode(), f"{ASKED}: not what plan and round draw")
        return rows

    def chain(self):
        """Opened, closed, counts and times of the transcript."""
        openings = iter(self.read(OPENINGS).decode().split("\n"))

        def shown(attempt, field, digest):
            place = f"{OPENINGS}: attempt {attempt}, {field}"
            text = next(openings, "")
            need(text, f"{place}: it is not there")
            opening = spelled(text.encode(), place)
            shaped(opening, {"attempt": int, "field": str, "salt?": str, "text?": str, "base64?": str, "withheld?": dict}, place)
            need((opening["attempt"], opening["field"]) == (attempt, field), f"{place}: another field stands there")
            if "withheld" in opening:
                need(opening.keys() == {"attempt", "field", "withheld"}, f"{place}: shown and withheld")
                shaped(opening["withheld"], {"by": str, "reason": str}, place)
                story["withheld"] += 1
                return None
            need(("text" in opening) != ("base64" in opening), f"{place}: neither text nor bytes, or both")
            data = opening["text"].encode() if "text" in opening else unbase64(opening["base64"])
            if "base64" in opening:
                try:
                    data.decode()
                except UnicodeDecodeError:
                    pass
                else:
                    raise ValueError(f"{place}: text in base64")
            tag = sha256(b"taggant/v1/transcript-field", attempt.to_bytes(8, "big"), len(field).to_bytes(8, "big"), field.encode(), bytes.fromhex(opening["salt"]), data)
            need(tag.hexdigest() == digest, f"{place}: not what the transcript's digest stands for")
            return data

        story = {"withheld": 0, "attempts": 0, "answers": 0, "tokens": 0, "unknown": 0, "opened": None, "closed": None, "first": None, "last": None, "doors": [], "requests": []}
        head, under_way, places, answered = "0" * 64, {}, set(), set()
        lines = self.read(RECORDS).split(b"\n")
        need(lines.pop() == b"", f"{RECORDS}: its last line is torn")
        for number, line in enumerate(lines, 1):
            where = f"{RECORDS}: line {number}"
            body, tail = line[:-75], re.fullmatch(b',"hash":"([0-9a-f]{64})"}', line[-75:])
            need(tail and sha256(b"taggant/v1/transcript-line", body).hexdigest() == tail[1].decode(), f"{where}: changed")
            said = spelled(line, where)
            need(list(said)[:3] == ["line", "previous", "time"] and list(said)[4:] == ["hash"] and type(said["line"]) is int, f"{where}: not a line")
            need(said.pop("line") == number and said.pop("previous") == head and story["closed"] is None, f"{where}: not the next")
            head, time = said.pop("hash"), millis(said.pop("time"))
            need(story["last"] is None or time >= story["last"], f"{where}: backwards")
            story["last"] = time
            ((kind, entry),) = said.items()
            need(kind in WORDS, f"{where}: says what is not known")
            shaped(entry, WORDS[kind], where)
            need(list(entry) == [name.rstrip("?") for name in WORDS[kind] if name.rstrip("?") in entry], f"{where}: spelled in another way")
            headers = entry.get("headers", {"date": ""})
            need(headers and headers.keys() <= HEADERS and list(headers) == sorted(headers) and all(type(one) is str for one in headers.values()), f"{where}: a header that is not kept")
            need((number == 1) == (kind == "opened"), f"{where}: out of turn")
            if kind == "opened":
                story["opened"] = entry
                need(entry["format"] == "taggant-transcript/1", f"{where}: another format")
                for place, suspect in enumerate(entry["suspects"]):
                    shaped(suspect, {"id": str, "door": str}, where)
                    story["doors"].append(shown(0, f"door.{place}", suspect["door"]))
                questions = len(entry["suspects"]) * entry["prompts"] * entry["answers"]
            elif kind == "sent":
                story["first"] = story["first"] if story["first"] is not None else time
                story["attempts"] += 1
                question = (entry["suspect"], entry["prompt"], entry["answer"])
                limits = (len(story["opened"]["suspects"]), story["opened"]["prompts"], story["opened"]["answers"])
                need(entry["attempt"] == story["attempts"] and all(0 <= a < b for a, b in zip(question, limits)), f"{where}: no such question")
                need(question not in answered and question not in places, f"{where}: it was answered or is being asked")
                under_way[entry["attempt"]] = question
                places.add(question)
                story["requests"].append((question, shown(entry["attempt"], "request", entry["request"])))
            elif kind in ("answered", "failed", "lost"):
                question = under_way.pop(entry["attempt"])
                places.remove(question)
                most = story["opened"]["max_tokens"]
                if kind == "answered":
                    answered.add(question)
                    story["answers"] += 1
                    story["tokens"] += min(entry.get("tokens", 0), most)
                    story["unknown"] += "tokens" not in entry
                else:
                    story["unknown"] += kind == "lost" or entry["cause"] in SPENT_UNKNOWN
                    need(kind == "lost" or entry["cause"] in CAUSES, f"{where}: a cause that is not known")
                if "body" in entry:
                    body = shown(entry["attempt"], "body", entry["body"])
                    place = f"{OPENINGS}: attempt {entry['attempt']}, body"
                    if kind == "answered" and body is not None:
                        told = answer(body)
                        need(told and (len(body), told[1]) == (entry["bytes"], entry.get("tokens")), f"{place}: no answer, or another length or count")
                    need(kind == "answered" or body is None or entry.get("status") != 200 or not answer(body), f"{place}: an answer that is called a failure")
            elif kind == "closed":
                need(not under_way and (len(answered) == questions) == (entry["because"] == "complete"), f"{where}: it does not end so")
                need((entry["because"] == "abandoned") == ("words" in entry) and entry["because"] in ("complete", "budget", "unanswered", "abandoned"), f"{where}: it does not end so")
                story["closed"] = entry
            else:
                need(kind == "resumed", f"{where}: says what is not known")
        need(story["closed"], f"{RECORDS}: it was not closed")
        need(list(openings) == [""], f"{OPENINGS}: more texts than the transcript speaks of")
        return story | {"lines": len(lines), "head": head}

    def under_plan(self, story, plan, rows):
        opened, (plan, digest) = story["opened"], plan
        need((opened["plan"], opened["asked"]) == (digest, self.digest(ASKED)), f"{RECORDS}: another plan or draw")
        need((opened["prompts"], opened["answers"]) == (len(rows), len(rows[0]["seeds"])), f"{RECORDS}: another draw")
        need(opened["max_tokens"] == plan["sampling"]["max_tokens"], f"{RECORDS}: another length of answers")
        need([one["id"] for one in opened["suspects"]] == [one["id"] for one in plan["suspects"]], f"{RECORDS}: other suspects")
        spent = story["tokens"] + story["unknown"] * plan["sampling"]["max_tokens"]
        need(story["attempts"] <= plan["budget"]["requests"] and spent <= plan["budget"]["tokens"], f"{RECORDS}: over budget")

    def requests(self, story, plan, rows):
        """Every request asks what was drawn, of the model that its suspect's door names."""
        doors = [door and json.loads(door, object_pairs_hook=case.unique) for door in story["doors"]]
        for door, suspect in zip(doors, plan[0]["suspects"]):
            need(door is None or (door.keys() <= {"url", "model", "weights"} and (suspect["access"] != "weights" or "weights" in door)), f"{OPENINGS}: a door that is not the plan's")
        sampling = plan[0]["sampling"]
        for (suspect, prompt, number), body in story["requests"]:
            if body is None:
                continue
            asks, row, door = json.loads(body, object_pairs_hook=case.unique), rows[prompt], doors[suspect]
            turn = asks.pop("messages", None)
            need(turn is None or ("prompt" not in asks and len(turn) == 1 and turn[0].keys() == {"role", "content"} and turn[0]["role"] == "user"), f"{OPENINGS}: request for suspect {suspect}, prompt {prompt}: not what was drawn")
            asked = asks.pop("prompt", None) if turn is None else turn[0]["content"]
            model = asks.pop("model", None)
            drawn = {"temperature": float(sampling["temperature"]), "top_p": float(sampling["top_p"]), "max_tokens": sampling["max_tokens"], "seed": row["seeds"][number]}
            need(asked == row["prompt"] and asks == drawn and (door is None or model == door.get("model")), f"{OPENINGS}: request for suspect {suspect}, prompt {prompt}, answer {number}: not what was drawn")

    def signed(self, story, plan):
        subjects, said, _ = self.statement(TRANSCRIPT, "urn:taggant:transcript:v1", [("collector", story["opened"]["collector"])])
        found = {"plan": plan[1], "because": story["closed"]["because"]} | {name: story[name] for name in ("lines", "head", "attempts", "answers")}
        need(said == found, f"{TRANSCRIPT}: it speaks of another transcript")
        need(subjects == [("asked.jsonl", self.digest(ASKED)), ("records.jsonl", self.digest(RECORDS))], f"{TRANSCRIPT}: it speaks of other files")

    def registered(self, plan):
        """Every entry of the case's log is a file of the bundle, and what became of each plan among them is said."""
        origin, size, root, seen = self.trust.head(self.read(LOG_HEAD).decode())
        need(seen is not None, f"{LOG_HEAD}: the log policy asks for no witness")
        text = self.read(LOG).decode()
        entries = text.removesuffix("\n").split("\n") if text else []
        need(all(re.fullmatch("[0-9a-f]{64}", entry) for entry in entries) and (not text or text.endswith("\n")), f"{LOG}: no list of digests")
        need(len(entries) == size and merkle_root(entries) == root, f"{LOG}: not the entries under {LOG_HEAD}")
        need(len(set(entries)) == size, f"{LOG}: an entry stands there twice")
        self.continued(origin, size, root, entries)
        # A file that stands there twice is known by the first of its names.
        files = {self.digest(name): name for name in sorted(self.listed(), reverse=True)}
        plans, collected = {}, []
        for number, entry in enumerate(entries):
            need(entry in files, f"{LOG}: entry {number} is no file of the bundle")
            kind, what = self.entered(files[entry], plan[0]["case"])
            if kind == "plan":
                plans[files[entry]] = what
            elif kind == "transcript":
                need(what != plan[1] or files[entry] == TRANSCRIPT, f"{files[entry]}: another transcript of the same plan")
                collected.append(what)
        subjects, said, _ = self.statement(REGISTER, "urn:taggant:register:v1", ["examiner"])
        need(subjects == [(LOG, self.digest(LOG))], f"{REGISTER}: about another {LOG}")
        need(said.keys() == {"plans"}, f"{REGISTER}: other fields")
        for one in said["plans"]:
            shaped(one, {"file": str, "fate": dict}, REGISTER)
            fates = [(kind, why) for kind, why in one["fate"].items() if kind in ("carried-out", "abandoned", "pending") and type(why) is str and why.strip()]
            need(len(one["fate"]) == len(fates) == 1, f"{REGISTER}: no fate")
        need([one["file"] for one in said["plans"]] == list(plans), f"{REGISTER}: not the plans of {LOG}, in its order")
        for one in said["plans"]:
            need("carried-out" in one["fate"] or plans[one["file"]] not in collected, f"{REGISTER}: {one['file']} was carried out")
        need(any(one["file"] == PLAN and "carried-out" in one["fate"] for one in said["plans"]), f"{REGISTER}: {PLAN} is not said to have been carried out")

    def continued(self, origin, size, root, entries):
        """Every proof of this log is of a head that it continues, plan and transcript have one, and the manifest comes next."""
        entered, known = set(), {(size, root)}
        for name in sorted(name for name in self.names if name.endswith(".tlog-proof")):
            index, _, note = tlog_proof(self.read(name).decode())
            log, earlier, earlier_root, _ = self.trust.head(note)
            if log != origin:
                continue
            file = name.removesuffix(".tlog-proof")
            if file == MANIFEST:
                need(index == size, f"{name}: entry {index}, and the register has {size} entries")
                continue
            if (earlier, earlier_root) not in known:
                need(earlier <= size and merkle_root(entries[:earlier]) == earlier_root, f"{name}: {LOG} does not continue its head")
                known.add((earlier, earlier_root))
            entered.add(file)
        need({PLAN, TRANSCRIPT} <= entered, f"{LOG}: plan or transcript is not entered in {origin}")

    def entered(self, name, case_name):
        """What an entry is: a plan that an examiner signed, which must be of this case, a collector's word on a transcript, or neither; and the plan's digest."""
        if os.path.getsize(os.path.join(self.root, name)) > 1 << 24:
            return None, None
        try:
            envelope = json.loads(self.read(name), object_pairs_hook=case.unique)
            payload, type_ = unbase64(envelope["payload"]), envelope["payloadType"].encode()
            signatures = [unbase64(one["sig"]) for one in envelope["signatures"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, None
        signed = b"DSSEv1 %d %s %d %s" % (len(type_), type_, len(payload), payload)
        roles = {role for role, key in self.trust.signers if any(ed25519(key[3], one, signed) for one in signatures)}
        need(roles, f"{name}: entered in the log, and signed by nobody who is known")
        if type_ != b"application/vnd.in-toto+json" or not roles & {"examiner", "collector"}:
            return None, None
        statement = json.loads(payload, object_pairs_hook=case.unique)
        kind = statement.get("predicateType")
        if "collector" in roles and kind == "urn:taggant:transcript:v1":
            return "transcript", statement["predicate"]["plan"]
        if "examiner" not in roles or kind != "urn:taggant:plan:v1":
            return None, None
        need(statement["predicate"]["case"] == case_name, f"{name}: a plan of another case")
        self.stamped(name)
        return "plan", sha256(signed).hexdigest()

    def texts(self, story):
        """Holds if it is run at all."""

    def record(self, plan):
        need(self.digest(RECORD) == plan[0]["mark"], f"{RECORD}: not the mark that the plan names")
        need(json.loads(self.read(RECORD))["tokenizer"]["digest"] == plan[0]["tokenizer"], f"{RECORD}: another tokenizer")

    def epoch(self):
        epoch = json.loads(self.read(EPOCH), object_pairs_hook=case.unique)
        level = [sha256(b"\0", bytes.fromhex(leaf)).digest() for leaf in epoch["leaves"]]
        need(epoch["leaves"] == sorted(set(epoch["leaves"])) and len(level) >= 2048 and len(level) & (len(level) - 1) == 0, f"{EPOCH}: no epoch's leaves")
        size = len(level)
        while len(level) > 1:
            level = [sha256(b"\1", level[at], level[at + 1]).digest() for at in range(0, len(level), 2)]
        need(epoch["format"] == "taggant-epoch/1", f"{EPOCH}: another format")
        need(level[0].hex() == epoch["root"], f"{EPOCH}: its root is not its leaves'")
        return epoch["root"], size, epoch["epoch"]

    def reveals(self, name, epoch):
        opened = []
        for number, line in enumerate(self.read(name).decode().removesuffix("\n").split("\n"), 1):
            one = json.loads(line, object_pairs_hook=case.unique)
            need(case.opens(one, epoch[0]) and one["size"] == epoch[1] and one["path"].split("/")[0] == epoch[2], f"{name}, line {number}: no key of the epoch")
            opened.append(one)
        return opened

    def keys(self, plan, epoch):
        need(all(one["path"].split("/")[1] not in ("control", "decoy") for one in self.reveals(KEYS, epoch)), f"{KEYS}: a key that was never issued")
        own = [{"commitment": case.commitment(one).hex(), "epoch": epoch[0]} for one in self.reveals(KEYS, epoch)]
        need(own == plan[0]["keys"], f"{KEYS}: not the keys that the plan names")

    def controls(self, plan, epoch):
        paths = [one["path"] for one in self.reveals(CONTROLS, epoch)]
        need(paths == [f"{epoch[2]}/control/{number:04}" for number in range(CONTROL_KEYS)], f"{CONTROLS}: not the epoch's control keys, by number")
        need(len(paths) >= plan[0]["controls"]["keys"], f"{CONTROLS}: too few")

    def named(self, plan):
        subjects, named, _ = self.statement(SUSPECTS, "urn:taggant:suspects:v1", ["examiner"])
        need(subjects == [(ANALYSIS, self.digest(ANALYSIS))], f"{SUSPECTS}: about another {ANALYSIS}")
        need(named.keys() == {"suspects"}, f"{SUSPECTS}: other fields")
        for one in named["suspects"]:
            shaped(one, {"name": str, "salt": str}, SUSPECTS)
            need(re.fullmatch("[0-9a-f]{64}", one["salt"]), f"{SUSPECTS}: no salt")
        own = [sha256(b"taggant/v1/identity", bytes.fromhex(one["salt"]), one["name"].encode()).hexdigest() for one in named["suspects"]]
        need(own == [suspect["identity"] for suspect in plan[0]["suspects"]], f"{SUSPECTS}: not the names that the plan holds")

    def accounts(self):
        subjects, found, _ = self.statement(ACCOUNTS, "urn:taggant:accounts:v1", ["provider"])
        need(subjects == [(EPOCH, self.digest(EPOCH))], f"{ACCOUNTS}: about another {EPOCH}")
        need(found.keys() == {"accounts"} and found["accounts"], f"{ACCOUNTS}: no account, or other fields")
        for one in found["accounts"]:
            shaped(one, {"pseudonym": str, "terms": str, "accepted": str, "indicators": list}, ACCOUNTS)
            need(all(re.fullmatch("[0-9a-f]{64}", one[field]) for field in ("pseudonym", "terms")), f"{ACCOUNTS}: no digest")
            millis(one["accepted"])
            need(all(type(text) is str for text in one["indicators"]), f"{ACCOUNTS}: an indicator that is no text")
        need(len({one["pseudonym"] for one in found["accounts"]}) == len(found["accounts"]), f"{ACCOUNTS}: an account that stands there twice")

    def order(self, commitment, sealed, ready, story, collected, opened):
        first = story["first"] if story["first"] is not None else story["last"]
        events = [("commitment", commitment[0], 0), ("plan", sealed[0], 0), ("round", ready[0], 0), ("first-query", first, 1), ("last-line", story["last"], 1), ("transcript", collected[0], 0)] + ([("reveal", opened[0], 0)] if opened else [])
        for place, (after, later, word) in enumerate(events):
            for before, earlier, other in events[:place]:
                need(earlier <= later + (SKEW if word != other else 0), f"{before}-{after}")

    def verify(self):
        manifest = self.check("files.manifest", self.manifest)
        self.check("files.listed", self.files, manifest)
        if any(name.startswith(f"{MANIFEST}.") for name in self.names - self.listed()):
            self.check("manifest.anchored", self.sealed)
        plan = self.check("plan.signed", self.plan, manifest or True)
        commitment = self.check("commitment.anchored", self.anchored, EPOCH)
        sealed = self.check("plan.anchored", self.anchored, PLAN)
        collected = self.check("transcript.anchored", self.anchored, TRANSCRIPT)
        opened = None
        if any(name.startswith(f"{KEYS}.") for name in self.names):
            opened = self.check("reveal.anchored", self.anchored, KEYS)
        ready = self.check("plan.ready", self.ready, plan, sealed)
        rows = self.check("draw.asked", self.asked, plan, ready)
        # Of several logs nothing says which is the case's.
        if {LOG, LOG_HEAD, REGISTER} & self.names and sum(key[2] == 1 for key in self.trust.keys) == 1:
            self.check("plans.registered", self.registered, plan)
        else:
            self.check("plans.registered", self.texts, None)
        story = self.check("transcript.chain", self.chain)
        self.check("transcript.plan", self.under_plan, story, plan, rows)
        self.check("transcript.signed", self.signed, story, plan)
        self.check("transcript.requests", self.requests, story, plan, rows)
        self.check("transcript.complete", self.texts, story if story and story["closed"]["because"] == "complete" else None)
        self.check("transcript.texts", self.texts, story if story and story["withheld"] == 0 else None)
        self.check("mark.record", self.record, plan)
        epoch = self.check("commitment.epoch", self.epoch)
        self.check("reveal.keys", self.keys, plan, epoch)
        self.check("reveal.controls", self.controls, plan, epoch)
        self.check("order", lambda *events: self.order(*events, opened), commitment, sealed, ready, story, collected)
        if ACCOUNTS in self.names:
            self.check("exhibit.accounts", self.accounts)
        if SUSPECTS in self.names:
            self.check("suspects.named", self.named, plan)
        return self.results


if __name__ == "__main__":
    try:
        folder, trust = sys.argv[1:]
        results = Bundle(folder, Trust(trust)).verify()
    except Exception as error:  # whatever it is, nothing was found out
        sys.exit(print(f"bundle.py: {error!r}", file=sys.stderr) or 2)
    for status, code, detail in results:
        print(f"{status:11}  {code:22}  {detail}")
    print("NOT CHECKED  analysis.recomputed     this program does not score")
    statuses = {status for status, _, _ in results}
    overall = "FAIL" if "FAIL" in statuses else "INCOMPLETE" if "NOT CHECKED" in statuses else "PASS"
    print(overall)
    sys.exit(overall != "PASS")
