"""Was this model trained on text that carries a key? From dumps of its next-token probabilities, and of a model that no key has touched.

    python3 test_a_suspect.py [KEY RECORD SUSPECT.jsonl REFERENCE.jsonl]

Dumps are what dump_transformers.py writes: the same rows for both models. Without arguments two small models are made here, one of which
learned from marked text and one of which did not.
"""

import json
import sys
from pathlib import Path

import numpy as np

from taggant import Key, Record, RootKey, Sampler
from taggant.distill import Plan, open

VOCABULARY, ROWS, LENGTH = 1000, 20, 100


def read(path):
    """The texts of a dump, and for each the ids and log-probabilities of the likeliest tokens, a row for each position."""
    texts, likely = [], []
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts.append({"tokens": row["tokens"], "prompt_tokens": row["prompt_tokens"]})
            top = np.array(row["top"])
            likely.append((top[:, :, 0].astype(np.int64), top[:, :, 1].astype(np.float32)))
    return texts, likely


def sample(learned):
    """Random texts, and what a model thinks of them that learned from marked text, or did not."""
    key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
    record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=VOCABULARY)
    sampler, chance = Sampler(record, key), np.random.default_rng(3)
    texts, suspect, reference = [], [], []
    for _ in range(ROWS):
        tokens = chance.integers(VOCABULARY, size=LENGTH).tolist()
        base = chance.normal(scale=2, size=(LENGTH, VOCABULARY)).astype(np.float32)
        student = base + chance.normal(scale=0.3, size=base.shape).astype(np.float32)
        for position in range(2, LENGTH) if learned else ():
            # What it was served most often here is what the key chose.
            student[position, sampler.select(base[position], tokens[:position])] += 0.5
        texts.append(tokens)
        suspect.append(student)
        reference.append(base)
    return key, record, texts, suspect, reference


def report(name, findings):
    [finding] = findings.keys
    print(f"{name}: {finding.verdict}, log10 p = {finding.log10_p:.1f}, {finding.units} units, effect {finding.effect:.3f} of a deviation a unit")
    return finding


def main(arguments):
    plan = Plan(alpha=1e-6)
    if arguments:
        key, record = Key.load(arguments[0]), Record.load(arguments[1])
        texts, suspect = read(arguments[2])
        _, reference = read(arguments[3])
        return report("suspect", open(key, record, texts, suspect, reference, plan=plan))
    key, record, *learned = sample(True)
    found = report("learned from it", open(key, record, *learned, plan=plan))
    left = report("did not", open(key, record, *sample(False)[2:], plan=plan))
    assert found.detected and not left.detected
    return found


if __name__ == "__main__":
    if len(sys.argv) not in (1, 5):
        sys.exit(__doc__)
    main(sys.argv[1:])
