"""Other systems' marks: which of these keys, in which engine's format, marked this text?

>>> from taggant.interop import scan
>>> keys = [{"name": "old", "key": 1, "context_width": 4}, {"name": "new", "key": 2, "context_width": 4}]
>>> found = scan(keys, [range(500)], formats=["vllm-gumbel", "hf-kgw-lefthash"])        # a text that neither marked
>>> found.detected, len(found.tried)
([], 2)
>>> found.skipped[0][:2]                    # a format that would take the key and lacks something
('old', 'hf-kgw-lefthash')

Each format is read bit for bit as its engine writes it, and tested with tails that hold: a unit counts once, whatever the engine's own
detector does. A finding under such a mark says what the mark can: where keys are short or the keyed function is no cryptographic one,
`Tried.warning` says what that excludes.
"""

from . import _taggant

Scan = _taggant._interop.Scan
Tried = _taggant._interop.Tried
formats = _taggant._interop.formats
scan = _taggant._interop.scan

__all__ = ["Scan", "Tried", "formats", "scan"]
