"""A file of marks for tests: two accounts, one name that is not marked."""

from pathlib import Path

from support import DIGEST

from taggant import Key, Record, RootKey

ACCOUNTS = ("east", "west")


def write(
    folder: Path, vocabulary: int, scheme: str = "gumbel", default: str | None = None, digest: str = DIGEST
) -> tuple[Path, dict[str, tuple[Key, Record]]]:
    """The file, and each account's key and record."""
    root = RootKey.from_bytes(bytes(32))
    marks, lines = {}, ['unmarked = ["internal"]', *([f'default = "{default}"'] if default else [])]
    for name in ACCOUNTS:
        key = root.derive(f"e/account/{name}")
        record = Record(scheme, 2, key, tokenizer=digest, vocabulary=vocabulary)
        key.save(folder / f"{name}.key")
        record.save(folder / f"{name}.json")
        marks[name] = key, record
        lines += [f"[mark.{name}]", f'record = "{name}.json"', f'keys = ["{name}.key"]']
    path = folder / "marks.toml"
    path.write_text("\n".join(lines) + "\n")
    return path, marks


def with_log(path: Path) -> Path:
    """Adds an issuance log to a file of marks; gives the log's path."""
    RootKey.from_bytes(bytes(32)).derive("e/pseudonym/all").save(path.parent / "pseudonyms.key")
    with path.open("a") as file:
        file.write('[log]\npath = "issuance.jsonl"\npseudonyms = "pseudonyms.key"\n')
    return path.parent / "issuance.jsonl"
