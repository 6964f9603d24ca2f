"""Was this model trained on text that carries a key? The distillation test, for models that show answers and for those that show
probabilities.

>>> from taggant import RootKey, Record
>>> from taggant.distill import Plan, closed
>>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
>>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
>>> answers = [{"tokens": range(start, start + 200), "prompt_tokens": [1, 2, 3]} for start in range(0, 20_000, 200)]
>>> [finding] = closed(key, record, answers, plan=Plan(1e-6)).keys
>>> finding.verdict, finding.units                      # a model that never saw the key, and too little to say no
('Inconclusive', 19798)

A student shows its teacher's mark much more weakly than the teacher's text does, in the windows that it saw often more than elsewhere.
So there are three statistics, of which one decides and is settled before anyone looks: "plain", in which every distinct unit of the
suspect counts once; "supervised", in which units weigh by how often the provider served their window; and "difference", what the suspect
says more often than a reference that no key has touched.

The null hypothesis is that the suspect is independent of the key. Under it each statistic has the law that its p-value is from, whatever
the language, the weights or the model.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from . import _taggant
from ._taggant import Key, ParameterError, Record

AccountFinding = _taggant._distill.AccountFinding
Finding = _taggant._distill.Finding
Findings = _taggant._distill.Findings
Outcome = _taggant._distill.Outcome
Plan = _taggant._distill.Plan
Sequential = _taggant._distill.Sequential
Test = _taggant._distill.Test
WindowIndex = _taggant._distill.WindowIndex

__all__ = ["AccountFinding", "Finding", "Findings", "Outcome", "Plan", "Sequential", "Test", "WindowIndex", "closed", "open"]


def closed(
    key: Key | Sequence[Key],
    record: Record,
    answers: Iterable[Any],
    *,
    served: Iterable[Any] | None = None,
    reference: Iterable[Any] | None = None,
    plan: Plan | None = None,
    campaign: Key | None = None,
    threads: int = 1,
    tokenizer: str | None = None,
) -> Findings:
    """Tests a model by its answers, as ``taggant test --mode closed``.

    `key` is a Key that the record names, or a list of Keys held together by Holm's method. `answers` are rows as for `detect`, best with
    `prompt_tokens`. `served` are rows that were served under the keys, or a `WindowIndex` of them. `reference` are answers of a model that
    no key has touched, best to the same prompts. The layer is the record's first; of two layers, `campaign` is then `key` unless given.
    """
    campaign = _campaign(key, record, campaign)
    if served is not None and not isinstance(served, WindowIndex):
        served = WindowIndex(record, served, campaign=campaign)
    test = Test.closed(record, plan, campaign=campaign, reference=reference is not None, tokenizer=tokenizer)
    test.suspect(answers)
    if reference is not None:
        test.reference(reference)
    return test.findings(key, served, threads=threads)


def open(
    key: Key | Sequence[Key],
    record: Record,
    texts: Iterable[Any],
    suspect: Iterable[Any],
    reference: Iterable[Any] | None = None,
    *,
    served: Iterable[Any] | None = None,
    plan: Plan | None = None,
    top_k: int = 32,
    kind: str | None = None,
    campaign: Key | None = None,
    threads: int = 1,
    tokenizer: str | None = None,
) -> Findings:
    """Tests a model by what it expects before each token of some texts, as ``taggant test --mode open``.

    `texts` are rows as for `detect`; `suspect` and `reference` give for each what `Test.probabilities` takes, and may make it when it is
    asked for. Texts had best not carry the key. The other arguments are those of `closed`.

    >>> import numpy
    >>> from taggant.distill import open
    >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
    >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=100)
    >>> texts = numpy.random.default_rng(1).integers(100, size=(20, 50))
    >>> logits = numpy.random.default_rng(2).normal(size=(2, 20, 50, 100))
    >>> open(key, record, texts, suspect=logits[0], reference=logits[1]).keys[0].statistic
    'difference'
    """
    # NumPy, which it needs, is loaded no sooner than there are arrays.
    from ._arrow import each

    campaign = _campaign(key, record, campaign)
    if served is not None and not isinstance(served, WindowIndex):
        served = WindowIndex(record, served, campaign=campaign)
    test = Test.open(record, plan, campaign=campaign, reference=reference is not None, tokenizer=tokenizer)
    numbers, others = iter(suspect), None if reference is None else iter(reference)
    count, end = 0, object()
    for row in each(texts):
        own, other = next(numbers, end), None if others is None else next(others, end)
        if own is end or other is end:
            side = "suspect" if own is end else "reference"
            raise ParameterError(f"the {side} has {count} texts, and there are more; one for each is needed")
        try:
            test.probabilities(row, own, other, top_k=top_k, kind=kind)
        except _taggant.TaggantError as error:
            raise type(error)(f"text {count}: {error}") from None
        count += 1
    if next(numbers, end) is not end or (others is not None and next(others, end) is not end):
        raise ParameterError(f"suspect or reference has more than the {count} texts; one for each is needed")
    return test.findings(key, served, threads=threads)


def _campaign(key: Key | Sequence[Key], record: Record, campaign: Key | None) -> Key | None:
    return key if campaign is None and len(record.layers) > 1 and isinstance(key, Key) else campaign
