"""What the tests share: committed vectors, and marks made of them."""

import json
import os
from pathlib import Path
from typing import Any, Iterator

from taggant import Key, Record, RootKey, Sampler

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests" / "vectors"
DIGEST = "07" * 32


def vectors(area: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and scenario of every vector of an area."""
    paths = sorted((VECTORS / area).glob("*.json"))
    assert paths, f"no vectors in {VECTORS / area}"
    for path in paths:
        yield path.name, json.loads(path.read_text())["scenario"]


def mark(root: str, scheme: dict[str, Any], windows: list[int], vocabulary: int) -> tuple[list[Key], Record]:
    """The keys and the record that a vector means, as tests/vectors.rs makes them."""
    tree = RootKey.from_bytes(bytes.fromhex(root))
    keys = [tree.derive(path) for path in ("e/campaign/c", "e/account/a")[: len(windows)]]
    parameters = {name: value for name, value in scheme.items() if name != "id"}
    record = Record(scheme["id"], windows[0], keys, parameters=parameters, tokenizer=DIGEST, vocabulary=vocabulary)
    # Layers with different windows have no constructor; a record file can say them.
    fields = json.loads(record.to_json())
    for layer, window in zip(fields["layers"], windows):
        layer["window"] = window
    return keys, Record.from_json(json.dumps(fields))


def sampler(scheme: str = "gumbel", vocabulary: int = 1000, path: str = "2026-12/campaign/east", window: int = 2) -> tuple[Key, Record, Sampler]:
    """A key of an insecure root with its record and sampler."""
    key = RootKey.from_bytes(bytes(32)).derive(path)
    record = Record(scheme, window, key, tokenizer=DIGEST, vocabulary=vocabulary)
    return key, record, Sampler(record, key)


def resident() -> int:
    """Bytes of memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
