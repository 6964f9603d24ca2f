"""What a mark costs in vLLM, beside the engine's own step and beside transformers' marks on the same engine in the same run.

    python cost_vllm.py MODEL [--steps N] [--batch 1 8 64]

MODEL is a folder, such as tests/unpack.py makes of SmolLM2. For each batch the same prompts are served plain, under Taggant's
three schemes, and under transformers' KGW and SynthID processors, put into the same place of the engine, in turns. `step` is the
engine's own decode step without a mark, model and sampling; the other columns are the medians of what each processor's `apply`
takes, in milliseconds for a step, and as a share of it. """

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ |= {"VLLM_USE_V2_MODEL_RUNNER": "0", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import torch
from transformers import SynthIDTextWatermarkLogitsProcessor, WatermarkLogitsProcessor
from vllm import LLM, SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor

from taggant import Record, RootKey
from taggant.batches import Batch
from taggant.vllm import Mark

SCHEMES = ("gumbel", "tournament", "greenlist")
PEERS = ("KGW", "SynthID")
SECONDS: list[float] = []
ACTIVE = "plain"


class Ours(Mark):
    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        start = time.perf_counter()
        logits = super().apply(logits)
        if ACTIVE in SCHEMES:
            SECONDS.append(time.perf_counter() - start)
        return logits


class Peer(LogitsProcessor):
    """transformers' processors where ours is, with the tokens that they look at."""

    def __init__(self, vllm_config, device, is_pin_memory) -> None:
        self.batch, self.width, self.made = Batch(), vllm_config.model_config.get_vocab_size(), {}

    def is_argmax_invariant(self) -> bool:
        return True

    def update_state(self, batch_update) -> None:
        if batch_update is not None:
            moved = [(source, target, direction.name == "SWAP") for source, target, direction in batch_update.moved]
            self.batch.update(batch_update.removed, [(row, tokens) for row, _, _, tokens in batch_update.added], moved)

    def processor(self, rows: int):
        if (ACTIVE, rows) not in self.made:
            if ACTIVE == "KGW":
                self.made[ACTIVE, rows] = WatermarkLogitsProcessor(self.width, "cpu", greenlist_ratio=0.25, bias=2.0, context_width=1)
            else:
                keys = list(range(1, 31))
                self.made[ACTIVE, rows] = SynthIDTextWatermarkLogitsProcessor(5, keys, 2**16, 0, 1024, "cpu")
        return self.made[ACTIVE, rows]

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        if ACTIVE not in PEERS:
            return logits
        start = time.perf_counter()
        ids = torch.tensor([([0] * 8 + list(self.batch.rows[row]))[-8:] for row in range(len(logits))])
        logits = self.processor(len(logits))(ids, logits)
        SECONDS.append(time.perf_counter() - start)
        return logits


def marks(folder: Path, vocabulary: int) -> Path:
    root, lines = RootKey.from_bytes(bytes(32)), []
    for scheme in SCHEMES:
        key = root.derive(f"e/account/{scheme}")
        key.save(folder / f"{scheme}.key")
        Record(scheme, 2, key, tokenizer="00" * 32, vocabulary=vocabulary).save(folder / f"{scheme}.json")
        lines.append(f'[mark.{scheme}]\nrecord = "{scheme}.json"\nkeys = ["{scheme}.key"]\n')
    (folder / "marks.toml").write_text("\n".join(lines))
    return folder / "marks.toml"


def main() -> None:
    global ACTIVE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8, 64])
    args = parser.parse_args()
    from transformers import AutoConfig

    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAGGANT_MARKS"] = str(marks(Path(folder), AutoConfig.from_pretrained(args.model).vocab_size))
        llm = LLM(
            args.model, dtype="float32", enforce_eager=True, max_model_len=512, max_num_seqs=max(args.batch), logits_processors=[Ours, Peer]
        )
        steps: list[float] = []
        inner = llm.llm_engine.step

        def timed():
            start = time.perf_counter()
            found = inner()
            steps.append(time.perf_counter() - start)
            return found

        llm.llm_engine.step = timed
        names = ("plain", *SCHEMES, *PEERS)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {args.steps} steps of each")
        print(f"| batch | sampling | step, plain | {' | '.join(names[1:])} |")
        print(f"|{'---|' * (len(names) + 2)}")
        for rows in args.batch:
            for shown, options in (("top-p 0.95", {"top_p": 0.95}), ("top-k 50", {"top_k": 50})):
                median = {}
                for ACTIVE in names:
                    extra = {"taggant": ACTIVE} if ACTIVE in SCHEMES else None
                    params = SamplingParams(temperature=0.8, max_tokens=args.steps + 3, ignore_eos=True, extra_args=extra, **options)
                    SECONDS.clear()
                    steps.clear()
                    llm.generate([f"Tell me story number {row} about the sea." for row in range(rows)], params, use_tqdm=False)
                    # The first steps read the prompts.
                    median[ACTIVE] = 1e3 * statistics.median((steps if ACTIVE == "plain" else SECONDS)[3:])
                plain = median.pop("plain")
                added = " | ".join(f"{one:.1f} ({100 * one / plain:.1f} %)" for one in median.values())
                print(f"| {rows} | {shown} | {plain:.1f} | {added} |", flush=True)


if __name__ == "__main__":
    main()
