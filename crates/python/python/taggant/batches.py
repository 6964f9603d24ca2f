"""What a serving plug-in keeps of a batch: one `Response` for each marked row. Engines' plug-ins use it; users need not.

An engine knows the tokens of a response, and a plug-in is told of them with a delay of a step or not at all while the next is computed
already. But where the mark chooses the token and masks all others, the plug-in knows what the engine will find. So a `Response` takes the
engine's word for all tokens that the engine has reported, and its own for those that are still on their way.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._taggant import LogitsError, Sampler, TokenError, select_batch

__all__ = ["LEFT", "Batch", "Response", "Sampling", "choose", "seeded"]

REMEMBERED = 16
LEFT = -1
"""In place of a token: the row is left to the engine."""

T = TypeVar("T")


class Sampling(NamedTuple):
    """What is still to be done to the logits before the mark acts; what the engine has done already stays neutral here."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


class Response:
    """One response in the making. `tokens` is the engine's own list, which the engine appends to."""

    def __init__(self, sampler: Sampler, tokens: Sequence[int] = (), sampling: Sampling = Sampling(), seed: int | None = None) -> None:
        self.tokens, self.sampling, self.seed = tokens, sampling, seed
        self.stream = sampler.stream()
        self._last: int | None = None
        # Our latest choices, newest last.
        self._recent: deque[int] = deque(maxlen=REMEMBERED)

    def follow(self, known: Sequence[int], pending: int = 0) -> bool:
        """Brings the state to the response so far: what the engine reports, then the newest `pending` of our own choices.

        False if some of these are not ours, so that nobody here knows them.
        """
        if pending > len(self._recent):
            return False
        ours = list(self._recent)[len(self._recent) - pending :] if pending else []
        length, last = len(known) + pending, ours[-1] if ours else known[-1] if len(known) else None
        # A stream that has our last choice at this place has the tokens before it too: it was brought here one token at a time.
        if len(self.stream) != length or self._last != last:
            self.stream.follow([*known, *ours])
            self._last = last
        return True

    def pending(self, known: Sequence[int]) -> int:
        """How many of our choices, 0 or 1, the engine has not yet reported: told by where its newest tokens are among our choices.

        Both can only hold where the newest tokens are all the same, and so are the windows then.
        """
        if not self._recent:
            return 0
        if not len(known):
            return 1
        recent = list(self._recent)
        newest, older = _common(known, recent), _common(known, recent[:-1])
        return 1 if older > newest else 0

    def chose(self, token: int) -> None:
        """Remembers a choice that the stream has taken already."""
        self._recent.append(token)
        self._last = token

    def coin(self) -> int | None:
        """The random bits of this position, if the request has a seed: the same for the same seed, whatever else is in the batch."""
        return None if self.seed is None else seeded(self.seed, len(self.stream))


class Batch(Generic[T]):
    """Rows of a batch that changes from step to step; rows without an entry are not marked."""

    def __init__(self) -> None:
        self.rows: dict[int, T] = {}

    def update(self, removed: Iterable[int], added: Iterable[tuple[int, T | None]], moved: Iterable[tuple[int, int, bool]]) -> list[T]:
        """Applies one step's changes in the order that engines mean: removed, added, then moved as (from, to, whether they change places).

        Gives the entries that are gone: those of rows that were removed, and of rows whose place another took.
        """
        gone = [self.rows.pop(row, None) for row in removed]
        for row, entry in added:
            gone.append(self.rows.get(row))
            self._put(row, entry)
        for source, target, swap in moved:
            entry, other = self.rows.pop(source, None), self.rows.pop(target, None)
            self._put(target, entry)
            if swap:
                self._put(source, other)
            else:
                gone.append(other)
        return [entry for entry in gone if entry is not None]

    def _put(self, row: int, entry: T | None) -> None:
        if entry is None:
            self.rows.pop(row, None)
        else:
            self.rows[row] = entry


def choose(responses: Sequence[Response], logits: NDArray[np.float32], coins: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The next token of each response, from its row of logits. Rows that no distribution can be made of are left to the engine, as -1."""
    tokens = np.full(len(responses), LEFT, dtype=np.int64)
    coins = coins.copy()
    alike: dict[Sampling, list[int]] = {}
    for row, response in enumerate(responses):
        alike.setdefault(response.sampling, []).append(row)
        if (coin := response.coin()) is not None:
            coins[row] = coin
    for sampling, rows in alike.items():
        own = logits if len(rows) == len(responses) else logits[rows]
        streams = [responses[row].stream for row in rows]
        before = [len(stream) for stream in streams]
        try:
            tokens[rows] = select_batch(streams, np.ascontiguousarray(own), coins=coins[rows], **sampling._asdict())
        except LogitsError:
            for row, stream, length in zip(rows, streams, before):
                tokens[row] = _alone(responses[row], logits[row], int(coins[row]), length)
    for response, token in zip(responses, tokens.tolist()):
        if token != LEFT:
            response.chose(token)
    return tokens


def seeded(seed: int, position: int) -> int:
    """The 64 random bits of a position under a seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed},{position}".encode(), digest_size=8).digest(), "little")


def _alone(response: Response, logits: NDArray[np.float32], coin: int, length: int) -> int:
    """One row of a batch in which another row was faulty."""
    if len(response.stream) > length:
        # It was served before the faulty one came up.
        return response.stream.tokens[-1]
    try:
        return response.stream.select(np.ascontiguousarray(logits), coin=coin, **response.sampling._asdict())
    except (LogitsError, TokenError):
        return LEFT


def _common(known: Sequence[int], ours: Sequence[int]) -> int:
    """How many tokens both end with."""
    count = 0
    for one, other in zip(reversed(known), reversed(ours)):
        if one != other:
            break
        count += 1
    return count
