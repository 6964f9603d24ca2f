"""What a mark costs beside an engine's own sampling and beside peers' marks: microseconds for each token, medians over steps.

    python cost.py [--steps N] [--threads N] [--vocabulary 32000 128000] [--batch 1 8 64]

Needs torch and transformers. Every step runs all of it, one after the other, so that a busy machine is busy for all alike:

- `truncation` is what the engine does between the model and its draw: temperature 0.8, top-k 50, and top-p 0.95 or none;
- `draw` is its softmax and one draw, which stay as they are with a mark;
- `marked` is our processor as `taggant.transformers.generate` installs it, which does the truncation too; `added` is `marked - truncation`;
- `behind` is our processor after the engine's own truncation, as `watermarking_config=Watermark(...)` puts it: all of it is added;
- `KGW` and `SynthID` are transformers' own marks in that same place: all of it is added;
- `list` is `select_batch` among the 100 tokens that an engine holds already, with the choice: what the mark itself takes.

Logits are random, responses some 200 tokens long.
"""

import argparse
import platform
import statistics
import time
from collections import defaultdict
from typing import Any, Callable

import numpy as np
import torch
import transformers
from transformers import LogitsProcessorList, SynthIDTextWatermarkingConfig, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, WatermarkingConfig

from taggant import Record, RootKey, Sampler, select_batch
from taggant.transformers import WatermarkProcessor

SCHEMES = ("gumbel", "tournament", "greenlist")
LENGTH = 200
# SynthID holds 30 numbers of 64 bits for every logit, several times over.
LARGEST = 64 * 32_000


def engine(top_p: float) -> LogitsProcessorList:
    steps = [TemperatureLogitsWarper(0.8), TopKLogitsWarper(50), TopPLogitsWarper(top_p)]
    return LogitsProcessorList(steps if top_p < 1 else steps[:2])


def samplers(scheme: str, rows: int, vocabulary: int) -> list[Sampler]:
    """One for each row, with keys of its own."""
    root = RootKey.from_bytes(bytes(32))
    keys = [root.derive(f"e/account/{row}") for row in range(rows)]
    return [Sampler(Record(scheme, 2, key, tokenizer="00" * 32, vocabulary=vocabulary), key) for key in keys]


class Clock:
    """Microseconds for each token, by name."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.times: dict[str, list[float]] = defaultdict(list)

    def time(self, name: str, work: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        answer = work(*args)
        self.times[name].append((time.perf_counter() - start) * 1e6 / self.rows)
        return answer

    def median(self, name: str, less: str | None = None) -> str:
        # The first step makes working memory and begins streams.
        found = self.times[name][1:]
        if not found:
            return "–"
        return f"{statistics.median(a - b for a, b in zip(found, self.times[less][1:])) if less else statistics.median(found):.1f}"


def run(vocabulary: int, rows: int, top_p: float, steps: int) -> Clock:
    clock, rng = Clock(rows), np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(scale=3, size=(4, rows, vocabulary)).astype(np.float32))
    response = torch.from_numpy(rng.integers(vocabulary, size=(rows, LENGTH + steps + 1)))
    marked, behind, streams = {}, {}, {}
    for scheme in SCHEMES:
        own = samplers(scheme, rows, vocabulary)
        marked[scheme] = WatermarkProcessor(own, prompt_length=0, temperature=0.8, top_k=50, top_p=top_p, reuse=True)
        behind[scheme] = WatermarkProcessor(own, prompt_length=0)
        streams[scheme] = [sampler.stream(response[row, :LENGTH].numpy()) for row, sampler in enumerate(own)]
    peers = {"KGW": WatermarkingConfig(greenlist_ratio=0.25, bias=2.0).construct_processor(vocabulary, "cpu")}
    if rows * vocabulary <= LARGEST:
        keys = [int(key) for key in rng.integers(1, 2**16, size=30)]
        peers["SynthID"] = SynthIDTextWatermarkingConfig(keys=keys, ngram_len=5).construct_processor(vocabulary, "cpu")
    processors, coins = engine(top_p), np.zeros(rows, dtype=np.uint64)
    for step in range(steps + 1):
        # As the engine does, a new array of all tokens for every step.
        ids, scores = response[:, : LENGTH + step].clone(), logits[step % len(logits)]
        left = clock.time("truncation", processors, ids, scores)
        clock.time("draw", lambda: torch.multinomial(left.softmax(-1), 1))
        # The first finds a colder cache, so each is first in turn.
        for scheme in SCHEMES[step % 3 :] + SCHEMES[: step % 3]:
            clock.time(f"marked {scheme}", marked[scheme], ids, scores)
            clock.time(f"behind {scheme}", behind[scheme], ids, left.clone())
            some = scores.topk(100)
            values, tokens = some.values.numpy(), some.indices.numpy()
            clock.time(f"list {scheme}", lambda: select_batch(streams[scheme], values, ids=tokens, temperature=0.8, coins=coins))
        if step <= max(3, steps // 10):  # they are slow, and steady
            for name, peer in peers.items():
                clock.time(name, peer, ids, left.clone())
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the mark uses one")
    parser.add_argument("--vocabulary", type=int, nargs="*", default=[32_000, 128_000])
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8, 64])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} thread(s), transformers {transformers.__version__}, numpy {np.__version__}, {platform.machine()}")
    print(f"{args.steps} steps; microseconds for each token; cells with three figures: {', '.join(SCHEMES)}\n")
    print("| vocabulary | batch | top-p | truncation | draw | marked | added | behind | KGW | SynthID | list |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for vocabulary in args.vocabulary:
            for rows in args.batch:
                for top_p in (1.0, 0.95):
                    clock = run(vocabulary, rows, top_p, args.steps)

                    def three(name: str, less: str | None = None) -> str:
                        return " / ".join(clock.median(f"{name} {scheme}", less) for scheme in SCHEMES)

                    cells = [clock.median("truncation"), clock.median("draw"), three("marked"), three("marked", "truncation"), three("behind")]
                    cells += [clock.median("KGW"), clock.median("SynthID"), three("list")]
                    print(f"| {vocabulary} | {rows} | {top_p if top_p < 1 else '–'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
