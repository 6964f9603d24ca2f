"""Writes down what is served, beside the engine and not in its way. Engines' plug-ins use it; users need not.

Rows wait in memory until a thread has brought them to the disk, many at a time: what a killed server had not written yet is not in the log,
which then says less than was served and nothing that was not.
"""

import atexit
import logging
import queue
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._taggant import IssuanceLog, Record, TaggantError

__all__ = ["Issued", "Serving"]

log = logging.getLogger(__name__)
TOGETHER = 512
"""Most rows that are brought to the disk at once."""


class Issued:
    """The issuance log of a server."""

    def __init__(self, log: IssuanceLog, accounts: bool) -> None:
        # Without a key for pseudonyms a log takes no accounts.
        self._log, self._accounts = log, accounts
        self._rows: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="taggant-issued", daemon=True)
        self._writer.start()
        atexit.register(self.close)

    def served(self, serving: "Serving") -> None:
        """Takes a response that has ended. Returns at once; one that cannot be logged is an error in the server's log."""
        if (row := serving.row(self._accounts)) is not None:
            self._rows.put(row)

    def close(self) -> None:
        """Writes what waits, and ends. What comes later is lost."""
        self._rows.put(None)
        self._writer.join()
        self._log.close()
        atexit.unregister(self.close)

    def _write(self) -> None:
        ended = False
        while not ended:
            rows = [self._rows.get()]
            while len(rows) < TOGETHER and rows[-1] is not None:
                try:
                    rows.append(self._rows.get_nowait())
                except queue.Empty:
                    break
            ended = rows[-1] is None
            self._append([row for row in rows if row is not None])

    def _append(self, rows: list[dict[str, Any]]) -> None:
        try:
            if rows:
                self._log.append(rows)
        except (TaggantError, TypeError, ValueError) as error:
            if len(rows) == 1:
                log.error("a response is not in the issuance log: %s", error)
            else:
                # One bad row keeps none of the others out.
                for row in rows:
                    self._append([row])


@dataclass
class Serving:
    """A response on its way, and what its row will say."""

    tokens: Sequence[int]
    prompt: Sequence[int] | None
    account: str | None
    record: Record | None
    reason: str

    def row(self, with_account: bool) -> dict[str, Any] | None:
        """The row, or None if nothing was served. Ids below 0 stand for tokens that the engine had not fetched when it ended."""
        tokens = [token for token in self.tokens if token >= 0]
        if not tokens:
            return None
        row: dict[str, Any] = {"id": uuid.uuid4().hex, "tokens": tokens}
        if self.prompt:
            row["prompt_tokens"] = list(self.prompt)
        if with_account and self.account is not None:
            row["account"] = self.account
        return row | ({"record": self.record} if self.record is not None else {"unmarked": self.reason})
