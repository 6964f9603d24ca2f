"""Rules of the file of marks: which traffic is marked otherwise than its account's mark says, and why.

In the file that `taggant.serving` describes, the first rule that fits a request decides; a request that none fits gets its account's mark::

    [tiers]
    flagged = ["acct-17", "acct-90"]   # or a file with one account a line

    [[rule]]
    structured = true                  # JSON, a grammar or a regular expression was asked for
    mark = false
    because = "structured output leaves too little choice"

    [[rule]]
    tools = true
    mark = false
    because = "tool calls must come as the model means them"

    [[rule]]
    tier = "flagged"
    mark = "strong"                    # a mark of this file, in place of the account's own
    twins = 0.2                        # the share of these requests that is drawn several times, of which a key picks the one that is served

A rule fits where all its conditions hold: ``accounts`` (a list), ``tier``, ``structured``, ``tools``, ``temperature_below`` and
``max_tokens_below``. Marks that only choose among equals (gumbel, tournament) cost no quality where there is little to choose, so low
temperatures need no rule for quality's sake; a green list may.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._taggant import FormatError, IoError

__all__ = ["Request", "Rule", "drawn", "read_rules"]


@dataclass(frozen=True)
class Request:
    """What a decision may rest on."""

    account: str | None = None
    temperature: float = 1.0
    structured: bool = False
    """Whether the answer is held to a form: JSON, a grammar, a regular expression, a list of choices."""
    tools: bool = False
    """Whether the model may call tools."""
    max_tokens: int | None = None
    id: str | None = None
    """The engine's own name of the request, by which twins are drawn."""


@dataclass(frozen=True)
class Rule:
    """What is done with the requests that it fits. None as a condition asks for nothing."""

    mark: str | bool | None = None
    """A mark of the file, False for none, or None or True for the account's own."""
    twins: float | None = None
    because: str = ""
    accounts: Collection[str] | None = None
    structured: bool | None = None
    tools: bool | None = None
    temperature_below: float | None = None
    max_tokens_below: int | None = None

    def fits(self, request: Request) -> bool:
        """Whether all its conditions hold."""
        if self.accounts is not None and request.account not in self.accounts:
            return False
        if self.structured is not None and request.structured != self.structured:
            return False
        if self.tools is not None and request.tools != self.tools:
            return False
        if self.temperature_below is not None and not request.temperature < self.temperature_below:
            return False
        return self.max_tokens_below is None or (request.max_tokens is not None and request.max_tokens < self.max_tokens_below)


def drawn(request: Request, share: float) -> bool:
    """Whether a request is among a share of all; the same for the same id, so that a log can be held against it."""
    if request.id is None:
        return secrets.randbits(53) < share * 2**53
    digest = hashlib.sha256(b"taggant/v1/twins-share" + request.id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


KINDS: dict[str, type | tuple[type, ...]] = {
    "mark": (str, bool),
    "twins": (int, float),
    "because": str,
    "accounts": list,
    "tier": str,
    "structured": bool,
    "tools": bool,
    "temperature_below": (int, float),
    "max_tokens_below": int,
}


def read_rules(rules: list[Any], tiers: Mapping[str, Any], marks: Collection[str], folder: Path) -> list[Rule]:
    """The rules of a file, whose fields are checked: a rule that means nothing would leave traffic as it should not be."""
    members = {name: _members(name, value, folder) for name, value in tiers.items()}
    return [_rule(number, fields, members, marks) for number, fields in enumerate(rules, 1)]


def _members(name: str, value: Any, folder: Path) -> frozenset[str]:
    where = f"tier {name!r}"
    if isinstance(value, str):
        path = folder / value
        try:
            value = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise IoError(f"{where}: {path}: {error}") from error
    if not isinstance(value, list) or not all(isinstance(account, str) and account for account in value):
        raise FormatError(f"{where} must be a list of accounts, or the name of a file with one on each line")
    return frozenset(value)


def _rule(number: int, fields: Any, tiers: Mapping[str, frozenset[str]], marks: Collection[str]) -> Rule:
    where = f"rule {number}"
    if not isinstance(fields, dict):
        raise FormatError(f"{where} must be a table, [[rule]]")
    for name, value in fields.items():
        if name not in KINDS:
            raise FormatError(f"{where} has the field {name!r}; known are {', '.join(KINDS)}")
        kind = KINDS[name]
        # In Python true is a number; in a file it is a mistake.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, float))):
            raise FormatError(f"{where}: {name} is of type {type(value).__name__}")
    fields = dict(fields)
    mark, twins = fields.get("mark"), fields.get("twins")
    if isinstance(mark, str) and mark not in marks:
        raise FormatError(f"{where}: mark {mark!r} is not defined; known are {', '.join(sorted(marks)[:5])}")
    if mark is False and not fields.get("because"):
        raise FormatError(f"{where}: a rule that leaves text without a mark says `because` of what, for the log")
    if twins is not None and not 0 <= twins <= 1:
        raise FormatError(f"{where}: twins is {twins}; a share is from 0 to 1")
    if mark is False and twins:
        raise FormatError(f"{where}: text without a mark has no twins either; take `twins` away")
    if mark is None and twins is None:
        raise FormatError(f"{where} does nothing; give `mark` or `twins`")
    accounts = fields.pop("accounts", None)
    if accounts is not None and not all(isinstance(account, str) for account in accounts):
        raise FormatError(f"{where}: accounts must be names")
    if (tier := fields.pop("tier", None)) is not None:
        if tier not in tiers:
            raise FormatError(f"{where}: tier {tier!r} is not defined; known are {', '.join(sorted(tiers)) or 'none: add [tiers]'}")
        if accounts is not None:
            raise FormatError(f"{where} has both accounts and a tier; give one of them")
        accounts = tiers[tier]
    return Rule(**fields, accounts=None if accounts is None else frozenset(accounts))
