"""Score a data frame of responses, with pandas or polars.

    python3 detect_with_pandas.py [ROWS.jsonl KEY RECORD]

ROWS has a column `tokens`, as `taggant generate` writes it. Without arguments some rows are made here, half of them marked.
"""

import sys

import numpy as np
import pandas as pd

from taggant import Detector, Key, Record, RootKey, Sampler


def sample():
    """Forty responses of random words, every other one marked."""
    key = RootKey.generate().derive("2026-12/campaign/east")
    record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=1000)
    sampler, chance = Sampler(record, key), np.random.default_rng(1)
    rows = []
    for number in range(40):
        stream, tokens = sampler.stream(), []
        for logits in chance.normal(scale=2, size=(150, 1000)).astype(np.float32):
            likely = np.exp(logits - logits.max())
            tokens.append(stream.select(logits) if number % 2 else int(chance.choice(1000, p=likely / likely.sum())))
        rows.append({"id": number, "account": "east" if number % 2 else "none", "tokens": tokens})
    return pd.DataFrame(rows), key, record


def main(arguments):
    if arguments:
        rows, key, record = pd.read_json(arguments[0], lines=True), Key.load(arguments[1]), Record.load(arguments[2])
    else:
        rows, key, record = sample()

    # Two lines.
    detector = Detector(key, record)
    rows["log10_p"] = [detector.row(tokens).log10_p for tokens in rows["tokens"]]

    print(rows.drop(columns="tokens").sort_values("log10_p").head(5).to_string(index=False))
    # All rows together, every unit counted once. What a p-value of many rows means is said by the number of rows: ask for less.
    pooled = detector.pooled()
    single = (rows["log10_p"] < -6 - np.log10(len(rows))).sum()
    print(f"{len(rows)} rows, {single} detected by themselves; pooled: {pooled.verdict}, log10 p = {pooled.log10_p:.1f}")

    try:
        import polars as pl
    except ImportError:
        return rows
    # The same with polars.
    frame = pl.DataFrame({"id": rows["id"].to_list(), "tokens": rows["tokens"].to_list()})
    frame = frame.with_columns(pl.Series("log10_p", [detector.row(tokens.to_numpy()).log10_p for tokens in frame["tokens"]]))
    assert frame["log10_p"].to_list() == rows["log10_p"].to_list()
    return rows


if __name__ == "__main__":
    if len(sys.argv) not in (1, 4):
        sys.exit(__doc__)
    scored = main(sys.argv[1:])
    if len(sys.argv) == 1:
        # The example's own check: every marked row, and no other.
        assert ((scored["log10_p"] < -7.6) == (scored["account"] == "east")).all()
