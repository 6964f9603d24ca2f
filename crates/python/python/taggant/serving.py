"""Which mark a request gets: a file names the marks, a request names one of them.

Serving plug-ins (`taggant.vllm`, `taggant.sglang`) load the file that ``TAGGANT_MARKS`` names. It is TOML and holds no secret; keys stay in
files of their own, which only their owner may be able to read, and never travel in a request::

    default = "everyone"            # for requests that name no account; without this line they are not marked
    unmarked = ["internal"]         # accounts whose text carries no mark

    [mark.everyone]
    record = "record.json"
    keys = ["campaign.key"]         # with two layers the campaign's key, then the account's

    [accounts]                      # one mark for each key of a file, named by the last part of the key's path
    records = "records.json"        # as `taggant generate --account-keys` writes them
    keys = "accounts.jsonl"
    campaign = "campaign.key"       # where records have two layers

File names are relative to the folder of this file. All records must be of one tokenizer. The file is read once in each process of the
engine, the one that takes requests included; after a change, restart it. From Python:

>>> from taggant.serving import Marks, Request
>>> marks = Marks.load("marks.toml")
>>> marks.decide(Request(account="everyone", temperature=0.8))
Decision(sampler=Sampler('gumbel/1'), reason='marked')
>>> marks.decide(Request(account="internal")).reason
'account internal is not marked'
>>> marks.decide(Request(account="everyone", temperature=0.0)).reason
'temperature 0 leaves no choice to mark'
"""

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ._taggant import FormatError, IoError, Key, MismatchError, ParameterError, Record, Sampler

__all__ = ["FIELD", "VARIABLE", "Decision", "Marks", "Request", "RequestError", "account_of"]

FIELD = "taggant"
"""The field of a request's extra parameters that names its account."""
VARIABLE = "TAGGANT_MARKS"
"""The environment variable that names the file of marks."""
GREEDY = 1e-5
"""Temperatures below this are greedy decoding, as engines have it."""


class RequestError(ParameterError, ValueError):
    """A request that cannot be served as it stands. Engines answer it to the client, as they do every ValueError."""


@dataclass(frozen=True)
class Request:
    """What the decision may rest on."""

    account: str | None = None
    temperature: float = 1.0


class Decision(NamedTuple):
    """What to mark a response with, or None and why it is not marked."""

    sampler: Sampler | None
    reason: str


class Marks:
    """Marks by name. Samplers are made as requests come, so what is held does not grow with use."""

    def __init__(self, marks: Mapping[str, tuple[Record, Sequence[Key]]], default: str | None = None, unmarked: Iterable[str] = ()) -> None:
        self._marks = {name: (record, list(keys)) for name, (record, keys) in marks.items()}
        self._default, self._unmarked = default, frozenset(unmarked)
        if not self._marks:
            raise ParameterError("no marks; name at least one record with its keys")
        if both := self._unmarked & set(self._marks):
            raise ParameterError(f"{_shown(min(both))} has a mark and is among the unmarked; take one of them away")
        if default is not None and default not in self._marks:
            raise ParameterError(f"the default mark is {_shown(default)}, which is not defined; {self._known()}")
        first = next(iter(self._marks.values()))[0]
        self.tokenizer, self.vocabulary = first.tokenizer, first.vocabulary
        for name, (record, keys) in self._marks.items():
            if (record.tokenizer, record.vocabulary) != (self.tokenizer, self.vocabulary):
                raise MismatchError(
                    f"mark {_shown(name)} is of another tokenizer than the first, with {record.vocabulary} tokens beside {self.vocabulary}; "
                    "one server has one tokenizer"
                )
            # A record without its key must be heard of now, not when the first request comes.
            Sampler(record, keys)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Marks":
        """Reads a file of marks, with the records and keys it names."""
        path = Path(path)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise IoError(f"{path}: {error}") from error
        try:
            fields = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise FormatError(f"{path}: {error}") from error
        try:
            return cls(**_read(fields, path.parent))
        except (FormatError, MismatchError, ParameterError) as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def served(cls) -> "Marks":
        """The marks of the file that ``TAGGANT_MARKS`` names, read once in a process."""
        if not (path := os.environ.get(VARIABLE)):
            raise ParameterError(f"{VARIABLE} is not set; it names the file of marks, as in {VARIABLE}=/etc/taggant/marks.toml")
        return _served(path)

    @property
    def names(self) -> list[str]:
        """The names that have a mark."""
        return list(self._marks)

    def choose(self, account: str | None) -> Sampler | None:
        """The sampler of an account, or None if its text is not marked. An account that the file does not know is a `RequestError`."""
        name = self._default if account is None else account
        if name is None or name in self._unmarked:
            return None
        if name not in self._marks:
            raise RequestError(f"{FIELD} names account {_shown(name)}, which is not known here; {self._known()}")
        return Sampler(*self._marks[name])

    def decide(self, request: Request) -> Decision:
        """What to mark a request's response with; the one place where that is decided."""
        sampler = self.choose(request.account)
        if sampler is None:
            who = "a request that names no account" if request.account is None else f"account {_shown(request.account)}"
            return Decision(None, f"{who} is not marked")
        if request.temperature < GREEDY:
            return Decision(None, "temperature 0 leaves no choice to mark")
        return Decision(sampler, "marked")

    def _known(self) -> str:
        names = sorted(self._marks)
        return f"known are {', '.join(map(_shown, names[:5]))}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"

    def __repr__(self) -> str:
        return f"Marks({len(self._marks)} marks, default={self._default!r})"


def account_of(fields: Mapping[str, Any] | None) -> str | None:
    """The account that a request's extra parameters name."""
    account = (fields or {}).get(FIELD)
    if account is None or (isinstance(account, str) and account):
        return account
    raise RequestError(f"{FIELD} must be the name of an account, as text; it is of type {type(account).__name__}, or empty")


@lru_cache(maxsize=4)
def _served(path: str) -> Marks:
    return Marks.load(path)


def _read(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments of `Marks` that a file's fields mean."""
    _check(fields, "the file", {"default": str, "unmarked": list, "mark": dict, "accounts": dict})
    marks: dict[str, tuple[Record, Sequence[Key]]] = {}
    for name, entry in fields.get("mark", {}).items():
        where = f"mark {_shown(name)}"
        _check(entry, where, {"record": str, "keys": list}, {"record", "keys"})
        if not all(isinstance(key, str) for key in entry["keys"]):
            raise FormatError(f"{where}: keys must be names of files")
        marks[name] = Record.load(folder / entry["record"]), [Key.load(folder / key) for key in entry["keys"]]
    if accounts := fields.get("accounts"):
        _check(accounts, "accounts", {"records": str, "keys": str, "campaign": str}, {"records", "keys"})
        for name, mark in _accounts(accounts, folder):
            if name in marks:
                raise FormatError(f"two marks are named {_shown(name)}; names must differ")
            marks[name] = mark
    return {"marks": marks, "default": fields.get("default"), "unmarked": fields.get("unmarked", [])}


def _accounts(entry: dict[str, Any], folder: Path) -> Iterable[tuple[str, tuple[Record, list[Key]]]]:
    """Every record with the keys that it names by their commitments."""
    keys = Key.load_many(folder / entry["keys"])
    campaign = [Key.load(folder / entry["campaign"])] if "campaign" in entry else []
    held = {key.commitment: key for key in [*keys, *campaign]}
    own = {key.commitment for key in keys}
    for number, record in enumerate(Record.load_many(folder / entry["records"]), 1):
        named = [layer.commitment for layer in record.layers]
        if missing := [commitment for commitment in named if commitment not in held]:
            raise MismatchError(f"{entry['records']}, record {number}: no key has commitment {missing[0][:8]}…; was it derived again?")
        names = [held[commitment].path.rpartition("/")[2] for commitment in named if commitment in own]
        if len(names) != 1:
            raise MismatchError(f"{entry['records']}, record {number}: {len(names)} of its keys are in {entry['keys']}; it must be one")
        yield names[0], (record, [held[commitment] for commitment in named])


def _check(fields: Any, where: str, kinds: dict[str, type], needed: Iterable[str] = ()) -> None:
    if not isinstance(fields, dict):
        raise FormatError(f"{where} must be a table")
    for name, value in fields.items():
        if name not in kinds:
            raise FormatError(f"{where} has the field {_shown(name)}; known are {', '.join(kinds)}")
        if not isinstance(value, kinds[name]):
            raise FormatError(f"{where}: {name} is of type {type(value).__name__}; it must be a {kinds[name].__name__}")
    for name in needed:
        if name not in fields:
            raise FormatError(f"{where} has no {name}")


def _shown(name: str) -> str:
    # Names come from requests, and messages go to logs.
    return name if len(name) <= 60 and name.isprintable() else f"{name[:60]!r}…"
