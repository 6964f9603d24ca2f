"""What a mark costs where tokens are made: SmolLM2 under transformers on this machine's CPUs, with the mark and without it.

    python decode.py MODEL.gguf [--tokens N] [--repetitions N] [--batch 1 8] [--top-p 1 0.95] [--scheme gumbel ...] [--threads N]

Both kinds run in turn, in an order that alternates, and the ratio is the median over pairs, so that a busy machine is busy for both.
`time in the mark` is what passes inside our processor, which as `generate` installs it has done the truncation too, as a share of the whole
call; `truncation alone` is what the engine's own takes of an unmarked call. Temperature 0.8, top-k 50; top-p 1 is none.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from taggant import Record, RootKey, Sampler
from taggant.transformers import WatermarkProcessor, generate

PROMPTS = [
    "Explain how a bicycle stays upright.", "Write a short story about a lighthouse keeper.", "What should I consider before adopting a dog?",
    "Describe the water cycle to a child.", "Give me a recipe for vegetable soup.", "Why did the Roman Empire decline?",
    "Write a letter to a friend about a journey by train.", "How do computers store numbers?",
]
SCHEMES = ("gumbel", "tournament", "greenlist")


class Inside:
    """Time that passes inside calls of these classes."""

    def __init__(self, *classes: type) -> None:
        self.seconds = 0.0
        for one in classes:
            self.watch(one, one.__call__)

    def watch(self, one: type, call: Any) -> None:
        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            answer = call(*args, **options)
            self.seconds += time.perf_counter() - start
            return answer

        one.__call__ = timed

    def take(self) -> float:
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--top-p", type=float, nargs="*", default=[1.0, 0.95])
    parser.add_argument("--scheme", nargs="*", choices=SCHEMES, default=SCHEMES)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the mark uses one")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(args.model.parent, gguf_file=args.model.name, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(args.model.parent, gguf_file=args.model.name, dtype=torch.float32).eval()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    vocabulary, root = model.config.vocab_size, RootKey.from_bytes(bytes(32))
    ours, engine = Inside(WatermarkProcessor), Inside(TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)
    print(f"torch {torch.__version__}, {args.threads} thread(s), transformers {transformers.__version__}; vocabulary {vocabulary}")
    print(f"{args.repetitions} pairs of {args.tokens} tokens a row\n")
    print("| batch | top-p | scheme | tokens/s, unmarked | tokens/s, marked | time, marked : unmarked (median; all pairs) | time in the mark | truncation alone |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in args.batch:
        texts = [f"<|im_start|>user\n{PROMPTS[row % len(PROMPTS)]}<|im_end|>\n<|im_start|>assistant\n" for row in range(rows)]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        keys = [root.derive(f"e/account/{row}") for row in range(rows)]
        for top_p in args.top_p:
            for scheme in args.scheme:
                samplers = [Sampler(Record(scheme, 2, key, tokenizer="00" * 32, vocabulary=vocabulary), key) for key in keys]
                options = {**inputs, "do_sample": True, "temperature": 0.8, "top_k": 50, "top_p": top_p}
                options |= {"max_new_tokens": args.tokens, "min_new_tokens": args.tokens}

                def once(marked: bool, clock: Inside) -> tuple[float, float]:
                    clock.take()
                    start = time.perf_counter()
                    output = generate(model, samplers, **options) if marked else model.generate(**options)
                    seconds = time.perf_counter() - start
                    assert output.shape[1] == inputs["input_ids"].shape[1] + args.tokens
                    return seconds, clock.take() / seconds

                once(True, ours)
                pairs = []
                for repetition in range(args.repetitions):
                    if repetition % 2:
                        marked, plain = once(True, ours), once(False, engine)
                    else:
                        plain, marked = once(False, engine), once(True, ours)
                    pairs.append((*plain, *marked))
                ratios = [marked / plain for plain, _, marked, _ in pairs]
                speed = [rows * args.tokens / statistics.median(pair[column] for pair in pairs) for column in (0, 2)]
                shares = [f"{100 * statistics.median(pair[column] for pair in pairs):.2f} %" for column in (3, 1)]
                spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
                shown = f"{top_p if top_p < 1 else '–'} | {scheme} | {speed[0]:.1f} | {speed[1]:.1f} | {spread} | {' | '.join(shares)}"
                print(f"| {rows} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
