"""Watermarks for language-model output: detect marks, and choose marked tokens.

Does this text carry the mark? Three lines, given a key, the mark's record, and token ids:

>>> from taggant import Key, Record, detect
>>> key, record = Key.load("east.key"), Record.load("record.json")
>>> detect(key, record, [tokens]).verdict
'Detected'

The error rate is exact and anyone can check it: the text is held fixed, the key is what was random, so every distinct pair of a window
and the token after it is an independent draw. The p-value needs no model of the language:

>>> report = detect(key, record, [tokens])
>>> report.units, report.log10_p < -20, report.scheme
(198, True, 'gumbel/1')

A row is a list or NumPy array of token ids, or a dict with ``tokens`` and ``prompt_tokens`` as in the command's JSONL. `Detector` takes
rows as they come and answers for each; `detect_each` holds one pool against many keys, which is how accounts are told apart.
Wherever rows are taken, a column of lists will do, or a table with those columns, of pyarrow, polars or pandas.

Whether a model was trained on marked text is another question: `taggant.distill` asks it of answers and of probabilities. `taggant.twins`
picks and seals which draft is served, `taggant.stats` has the tails and the plans.

Marks are made where tokens are chosen. A `Sampler` applies temperature and truncation, then the mark:

>>> import numpy
>>> from taggant import Sampler
>>> sampler = Sampler(record, key)
>>> logits = numpy.random.default_rng(1).normal(size=record.vocabulary).astype(numpy.float32)    # from the model
>>> sampler.select(logits, [17, 4], temperature=0.8, top_p=0.95) == sampler.select(logits, [17, 4], temperature=0.8, top_p=0.95)
True

`Sampler.bias` changes logits for an engine that chooses by itself, `select_batch` and `bias_batch` serve whole batches in which
each row may have its own keys, and `taggant.transformers` marks what `generate` of that library writes. Engines that serve have
plug-ins: `taggant.vllm`, `taggant.sglang` and `taggant.llama_cpp`; `taggant.serving` says which request gets which mark.

Keys are files that only their owner can read, made by ``taggant key new`` and ``taggant key derive`` or here:

>>> from taggant import RootKey
>>> root = RootKey.generate()
>>> root.derive("2026-12/campaign/east").path
'2026-12/campaign/east'

What is served is written down as it is served, hash-chained and without account ids, with an `IssuanceLog`; `verify_log` checks one, and
`verify_case` a case that others closed.

Key bytes never reach Python. Nothing here holds the interpreter's lock while it computes, and there are no threads but those you start
or ask for. Every error is a `TaggantError`.

What this cannot show: that a text without a detected mark was written by a person, or who wrote one that has it. Text of low entropy
carries little of a mark, and at temperature 0 there is none.
"""

from ._taggant import (
    CaseCheck,
    Check,
    Detector,
    FormatError,
    IoError,
    IssuanceLog,
    Key,
    KeyFileError,
    KeyReport,
    Layer,
    LimitError,
    LogReport,
    LogitsError,
    MismatchError,
    Page,
    ParameterError,
    PathError,
    Record,
    RecordError,
    Report,
    RootKey,
    Sampler,
    Stream,
    TaggantError,
    TokenError,
    UnsupportedError,
    __version__,
    bias_batch,
    detect,
    detect_each,
    select_batch,
    verify_case,
    verify_log,
)

__all__ = [
    "CaseCheck",
    "Check",
    "Detector",
    "FormatError",
    "IoError",
    "IssuanceLog",
    "Key",
    "KeyFileError",
    "KeyReport",
    "Layer",
    "LimitError",
    "LogReport",
    "LogitsError",
    "MismatchError",
    "Page",
    "ParameterError",
    "PathError",
    "Record",
    "RecordError",
    "Report",
    "RootKey",
    "Sampler",
    "Stream",
    "TaggantError",
    "TokenError",
    "UnsupportedError",
    "__version__",
    "bias_batch",
    "detect",
    "detect_each",
    "select_batch",
    "verify_case",
    "verify_log",
]
