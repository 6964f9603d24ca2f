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

    [log]                           # write what is served into an issuance log, as `taggant log` keeps it
    path = "issuance.jsonl"
    pseudonyms = "pseudonyms.key"   # account ids never enter the log; without this key it has no accounts
    digests_only = true             # salted digests in place of token ids

Rules say which traffic is marked otherwise, or not at all; see `taggant.policy`. Detection reads the same file (`Marks.detect`), so both sides agree
on what was to be marked. File names are relative to the folder of this file. All records must be of one tokenizer. The file is read once in each process of the
engine, the one that takes requests included; after a change, restart it. From Python:

>>> from taggant.serving import Marks, Request
>>> marks = Marks.load("marks.toml")
>>> marks.decide(Request(account="everyone", temperature=0.8))
Decision(sampler=Sampler('gumbel/1'), reason='marked', name='everyone', twins=False)
>>> marks.decide(Request(account="internal")).reason
'account internal is not marked'
>>> marks.decide(Request(account="everyone", temperature=0.0)).reason
'temperature 0 leaves no choice to mark'
"""

import logging
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ._taggant import FormatError, IoError, IssuanceLog, Key, LimitError, MismatchError, ParameterError, Record, Report, Sampler, detect
from .issued import Issued
from .policy import Request, Rule, drawn, read_rules

__all__ = ["FIELD", "TOOLS", "VARIABLE", "Decision", "Marks", "Request", "RequestError", "account_of", "uses_tools"]

log = logging.getLogger(__name__)

FIELD = "taggant"
"""The field of a request's extra parameters that names its account."""
TOOLS = "taggant_tools"
"""The field that says whether the model may call tools; a gateway that knows writes it."""
VARIABLE = "TAGGANT_MARKS"
"""The environment variable that names the file of marks."""
GREEDY = 1e-5
"""Temperatures below this are greedy decoding, as engines have it."""


class RequestError(ParameterError, ValueError):
    """A request that cannot be served as it stands. Engines answer it to the client, as they do every ValueError."""


class Decision(NamedTuple):
    """What to mark a response with, or None and why it is not marked."""

    sampler: Sampler | None
    reason: str
    name: str | None = None
    """Which mark of the file it is."""
    twins: bool = False
    """Whether to draw several answers and serve the one that a key picks (`taggant twins`)."""


class Marks:
    """Marks by name. Samplers are made as requests come, so what is held does not grow with use."""

    def __init__(
        self,
        marks: Mapping[str, tuple[Record, Sequence[Key]]],
        default: str | None = None,
        unmarked: Iterable[str] = (),
        rules: Sequence[Rule] = (),
        log: Callable[[], Issued] | None = None,
    ) -> None:
        self._marks = {name: (record, list(keys)) for name, (record, keys) in marks.items()}
        self._default, self._unmarked, self._rules = default, frozenset(unmarked), tuple(rules)
        self._log = log
        self._issued: Issued | None = None
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
        name = self._name(account)
        return None if name is None else Sampler(*self._marks[name])

    def decide(self, request: Request) -> Decision:
        """What to mark a request's response with; the one place where that is decided."""
        name, reason, twins = self._name(request.account), "", 0.0
        if name is None:
            who = "a request that names no account" if request.account is None else f"account {_shown(request.account)}"
            reason = f"{who} is not marked"
        if (rule := next((rule for rule in self._rules if rule.fits(request)), None)) is not None:
            twins = rule.twins or 0.0
            if rule.mark is False:
                name, reason = None, rule.because
            elif isinstance(rule.mark, str):
                name = rule.mark
        if name is None:
            return Decision(None, reason)
        if request.temperature < GREEDY:
            return Decision(None, "temperature 0 leaves no choice to mark")
        return Decision(Sampler(*self._marks[name]), "marked", name, drawn(request, twins))

    def detect(self, rows: Iterable[Mapping[str, Any]], *, alpha: float = 1e-6) -> dict[str, Report]:
        """What carries a mark of this file: for each mark, a report on all rows that this file would have had marked with it.

        A row has ``tokens``, and what it was served with: ``account``, ``temperature``, ``structured``, ``tools``, ``max_tokens``, as far as
        the rules ask for it. Rows of accounts that the file does not know are a `RequestError`, because nobody can say what they carry.

        ``alpha`` is the chance of any false "Detected" among all marks that are reported: each is held to its equal share (Bonferroni).
        """
        fields = ("account", "temperature", "structured", "tools", "max_tokens")
        pools: dict[str, list[Any]] = {}
        for row in rows:
            request = Request(**{field: row[field] for field in fields if row.get(field) is not None})
            if (name := self.decide(request).name) is not None:
                pools.setdefault(name, []).append({key: row[key] for key in ("tokens", "prompt_tokens") if row.get(key) is not None})
        share = alpha / max(len(pools), 1)
        return {name: detect(self._marks[name][1], self._marks[name][0], pool, alpha=share) for name, pool in pools.items()}

    def issued(self) -> Issued | None:
        """Where what is served is written, if the file says so. A log has one writer: where another process has it, as another worker of the
        same server does, nothing is written here."""
        if self._issued is None and self._log is not None:
            try:
                self._issued = self._log()
            except LimitError as error:
                log.warning("nothing is logged by this process: %s", error)
                self._log = None
        return self._issued

    def _name(self, account: str | None) -> str | None:
        name = self._default if account is None else account
        if name is None or name in self._unmarked:
            return None
        if name not in self._marks:
            raise RequestError(f"{FIELD} names account {_shown(name)}, which is not known here; {self._known()}")
        return name

    def _known(self) -> str:
        names = sorted(self._marks)
        return f"known are {', '.join(map(_shown, names[:5]))}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"

    def __repr__(self) -> str:
        return f"Marks({len(self._marks)} marks, default={self._default!r})"


def uses_tools(fields: Mapping[str, Any] | None) -> bool:
    """Whether a request's extra parameters say that the model may call tools, which engines do not tell processors."""
    return bool((fields or {}).get(TOOLS))


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
    known = {"default": str, "unmarked": list, "mark": dict, "accounts": dict, "tiers": dict, "rule": list, "log": dict}
    _check(fields, "the file", known)
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
    return {
        "marks": marks,
        "default": fields.get("default"),
        "unmarked": fields.get("unmarked", []),
        "rules": read_rules(fields.get("rule", []), fields.get("tiers", {}), marks, folder),
        "log": _log(fields["log"], [record for record, _ in marks.values()], folder) if "log" in fields else None,
    }


def _log(entry: dict[str, Any], records: Sequence[Record], folder: Path) -> Callable[[], Issued]:
    """Opens the log that a file names, when something is served: who only reads the file writes nothing."""
    _check(entry, "log", {"path": str, "pseudonyms": str, "digests_only": bool}, {"path"})
    pseudonyms = Key.load(folder / entry["pseudonyms"]) if "pseudonyms" in entry else None
    if entry.get("digests_only") and pseudonyms is None:
        raise FormatError("log: digests_only needs pseudonyms, whose key is what salts are drawn from")
    path, digests_only = folder / entry["path"], bool(entry.get("digests_only"))
    return lambda: Issued(IssuanceLog(path, list(records), pseudonyms=pseudonyms, digests_only=digests_only), pseudonyms is not None)


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
