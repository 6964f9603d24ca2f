"""Sealed twins: of several drafts a key picks the one that is served, all are committed to, and later a suspect is asked which it knows.

The test needs no watermark, and an account's exchanges speak of that account alone. Draw the drafts of an exchange from one sampler, seal
them, serve the one that was picked, keep the rest, and have the root of the commitments time-stamped:

>>> from taggant import RootKey
>>> from taggant.twins import TwinTest, batch_root, seal
>>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")
>>> drafts = {f"x{number}": [f"answer {number}, {letter}" for letter in "abcde"] for number in range(60)}
>>> sealed = {id: seal(key, id, "7f3a", texts) for id, texts in drafts.items()}
>>> served = {id: texts[sealed[id].served] for id, texts in drafts.items()}
>>> root = batch_root([one.commitment for one in sealed.values()])

Later a suspect scores all drafts of each exchange, without knowing which was served. One that was trained on them knows those better:

>>> test = TwinTest()
>>> for id, texts in drafts.items():
...     test.add(id, "7f3a", sealed[id].served, [1.0 * (text in served.values()) for text in texts])
>>> [finding] = test.findings().accounts
>>> finding.name, finding.report.verdict
('7f3a', 'Detected')

The null hypothesis is that the suspect is independent of the choice. What must be settled without knowing it: the scores of all drafts,
which exchanges are tested, whose account each is, and the plan. A finding says that the suspect depends on what that account was served,
not that its holder trained it.
"""

from . import _taggant

Finding = _taggant._twins.Finding
Findings = _taggant._twins.Findings
Plan = _taggant._twins.Plan
Sealed = _taggant._twins.Sealed
TwinReport = _taggant._twins.TwinReport
TwinTest = _taggant._twins.TwinTest
batch_root = _taggant._twins.batch_root
exchange_commitment = _taggant._twins.exchange_commitment
seal = _taggant._twins.seal
serve = _taggant._twins.serve
twin_commitment = _taggant._twins.twin_commitment

__all__ = [
    "Finding",
    "Findings",
    "Plan",
    "Sealed",
    "TwinReport",
    "TwinTest",
    "batch_root",
    "exchange_commitment",
    "seal",
    "serve",
    "twin_commitment",
]
