"""What a mark costs beside an engine's own sampling: microseconds for each token, medians over steps.

    python cost.py [--steps N] [--threads N] [--vocabulary 32000 128000] [--batch 1 8 64]

With torch and transformers, `engine` is what `generate` does between the model and the next token (temperature 0.8, top-k 50, top-p 0.95,
softmax, one draw), and `added` what the mark adds when it runs after that. `ours` is `select_batch`, which replaces all of it, and needs NumPy
alone. Logits are random, responses 200 tokens long.
"""

import argparse
import platform
import statistics
import time
from typing import Any, Callable

import numpy as np

from taggant import Record, RootKey, Sampler, bias_batch, select_batch

try:
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    from taggant.transformers import WatermarkProcessor
except ImportError:
    torch = None

SCHEMES = ("gumbel", "tournament", "greenlist")
LENGTH = 200


def median(work: Callable[[int], Any], steps: int, rows: int, warm: bool = True) -> float:
    """Microseconds for each token."""
    if warm:
        work(0)
    times = []
    for step in range(steps):
        start = time.perf_counter()
        work(step)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6 / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the mark uses one")
    parser.add_argument("--vocabulary", type=int, nargs="*", default=[32_000, 128_000])
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8, 64])
    args = parser.parse_args()
    if torch:
        torch.set_num_threads(args.threads)
        print(f"torch {torch.__version__}, {args.threads} thread(s), ", end="")
    print(f"numpy {np.__version__}, {platform.machine()}")
    print("| vocabulary | batch | scheme | engine | added by the mark | share | ours alone | bias, all tokens |")
    print("|---|---|---|---|---|---|---|---|")
    root = RootKey.from_bytes(bytes(32))
    for vocabulary in args.vocabulary:
        for rows in args.batch:
            rng = np.random.default_rng(1)
            logits = rng.normal(scale=3, size=(rows, vocabulary)).astype(np.float32)
            response = rng.integers(vocabulary, size=(rows, LENGTH + args.steps + 1))
            engine = plain(logits, args.steps, rows) if torch else None
            for scheme in SCHEMES:
                keys = [root.derive(f"e/account/{row}") for row in range(rows)]
                records = [Record(scheme, 2, key, tokenizer="00" * 32, vocabulary=vocabulary) for key in keys]
                samplers = [Sampler(record, key) for record, key in zip(records, keys)]
                streams = [sampler.stream() for sampler in samplers]
                coins = np.zeros(rows, dtype=np.uint64)
                ours = median(
                    lambda step: select_batch(
                        streams, logits, response[:, : LENGTH + step], temperature=0.8, top_k=50, top_p=0.95, coins=coins
                    ),
                    args.steps,
                    rows,
                )
                out = logits.copy()
                whole = median(lambda step: bias_batch(streams, logits, response[:, : LENGTH + step], out=out), args.steps, rows)
                added = "–", "–"
                if torch:
                    cost = mark(samplers, logits, response, args.steps, rows)
                    added = f"{cost:.1f}", f"{100 * cost / engine:.1f} %"
                shown = f"{engine:.1f}" if torch else "–"
                print(f"| {vocabulary} | {rows} | {scheme} | {shown} | {added[0]} | {added[1]} | {ours:.1f} | {whole:.1f} |", flush=True)


def engine_steps() -> Any:
    return LogitsProcessorList([TemperatureLogitsWarper(0.8), TopKLogitsWarper(50), TopPLogitsWarper(0.95)])


def plain(logits: np.ndarray, steps: int, rows: int) -> float:
    """The engine's own sampling."""
    scores, processors, ids = torch.from_numpy(logits), engine_steps(), torch.zeros((rows, LENGTH), dtype=torch.long)
    return median(lambda _: torch.multinomial(processors(ids, scores).softmax(-1), 1), steps, rows)


def mark(samplers: list[Sampler], logits: np.ndarray, response: np.ndarray, steps: int, rows: int) -> float:
    """What comes on top when the mark runs after truncation, as `Watermark` puts it: the processor alone, on what the engine has left."""
    ids, processor = torch.from_numpy(response), WatermarkProcessor(samplers, prompt_length=0)
    left = engine_steps()(ids, torch.from_numpy(logits))
    processor(ids[:, :LENGTH], left)
    return median(lambda step: processor(ids[:, : LENGTH + 1 + step], left), steps, rows, warm=False)


if __name__ == "__main__":
    main()
