"""A real model, marked by real engines under keys from our tree, and found again: see README.md.

    python smollm2.py --gguf smollm2-135m.gguf [--taggant PATH] [--out DIR] [--markdown FILE]

`taggant key export` writes each engine's configuration, the engine's own class loads it and marks what SmolLM2 says, and `taggant detect`
and `taggant scan` must find every mark, under no wrong key and in no plain text. Exit status 1 if anything else happens.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import torch

import packages

PROMPTS = [
    "Explain how a bicycle stays upright.",
    "Write a short story about a lighthouse keeper.",
    "What should I consider before adopting a dog?",
    "Describe the water cycle to a child.",
    "Give me a recipe for vegetable soup.",
    "Why did the Roman Empire decline?",
    "Write a letter to a friend about a journey by train.",
    "How do computers store numbers?",
]
# What each engine writes, and whether its own `generate` marks or we drive its sampler token by token.
ENGINES = {
    "transformers-lefthash": "hf-kgw-lefthash",
    "transformers": "hf-kgw-selfhash",
    "transformers-synthid": "hf-synthid",
    "vllm": "vllm-gumbel",
    "vllm-dual": "vllm-dual",
    "sglang": "sglang-gumbel",
    "sglang-dual": "sglang-gumbel",
    "synthid": "deepmind-synthid",
    "textseal": "textseal-gumbel",
    "textseal-greenlist": "textseal-greenlist",
}
# With its table, synthid-text is the function of transformers; without the table's size among the hints, only that one is tried with it.
SAME = {"deepmind-synthid": "hf-synthid"}
KEY_FIELDS = ("hashing_key", "keys", "key", "secret_key")

Generate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Model:
    def __init__(self, gguf: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        self.model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.width = self.model.config.vocab_size
        self.eos = self.tokenizer.eos_token_id
        texts = [f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n" for prompt in PROMPTS]
        self.prompts = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        self.batch = self.tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")

    @torch.no_grad()
    def generate(self, tokens: int, seed: int, marking: Any = None) -> list[list[int]]:
        """What transformers' own `generate` samples at temperature 1 from all tokens."""
        torch.manual_seed(seed)
        more = {"watermarking_config": marking} if marking is not None else {}
        found = self.model.generate(
            **self.batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=tokens, min_new_tokens=tokens,
            pad_token_id=self.tokenizer.pad_token_id, **more,
        )
        return found[:, self.batch["input_ids"].shape[1] :].tolist()

    @torch.no_grad()
    def drive(self, tokens: int, seed: int, choose: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]) -> list[list[int]]:
        """Tokens that `choose` takes from (all tokens so far, the next one's logits, where responses start), a batch at a time."""
        torch.manual_seed(seed)
        ids, mask, past = self.batch["input_ids"], self.batch["attention_mask"], None
        start, step = ids.shape[1], ids
        for _ in range(tokens):
            # Padding on the left: positions count from each prompt's first token.
            places = (mask.cumsum(-1) - 1).clamp_min(0)[:, -step.shape[1] :]
            found = self.model(step, attention_mask=mask, position_ids=places, past_key_values=past, use_cache=True)
            past, logits = found.past_key_values, found.logits[:, -1].clone()
            logits[:, self.eos] = -torch.inf
            step = choose(ids, logits, start).view(-1, 1)
            ids, mask = torch.cat([ids, step], 1), torch.cat([mask, torch.ones_like(step)], 1)
        return ids[:, start:].tolist()


def marked(model: Model, engine: str, config: dict[str, Any], tokens: int, seed: int) -> list[list[int]]:
    """What the engine makes of the model under a configuration that its own class loads."""
    if engine in ("transformers", "transformers-lefthash"):
        from transformers import WatermarkingConfig

        return model.generate(tokens, seed, WatermarkingConfig(**config))
    if engine == "transformers-synthid":
        from transformers import SynthIDTextWatermarkingConfig

        return model.generate(tokens, seed, SynthIDTextWatermarkingConfig(**config))
    if engine.startswith("vllm"):
        vllm = packages.vllm()
        loaded = vllm.WatermarkConfig(**config)
        marker = vllm.marking.create_watermarker(loaded)
        zeros = torch.zeros(len(PROMPTS))
        plain = vllm.RandomSampler(zeros, zeros, zeros, zeros)
        seen: list[set[tuple[int, ...]]] = [set() for _ in PROMPTS]

        def choose(ids: torch.Tensor, logits: torch.Tensor, start: int) -> torch.Tensor:
            padded = torch.cat([torch.full((len(ids), loaded.context_width), -1), ids[:, start:]], 1)[:, -loaded.context_width :]
            contexts = [tuple(context) for context in padded.tolist()]
            skip = torch.tensor([context in seen[row] for row, context in enumerate(contexts)])
            for row, context in enumerate(contexts):
                seen[row].add(context)
            return marker.sample(logits, padded, plain, skip).token_ids

        return model.drive(tokens, seed, choose)
    if engine.startswith("sglang"):
        sglang = packages.sglang()
        core, parse = sglang.core, sglang.config.parse_watermark_key
        loaded = sglang.config.load_watermark_config(json.dumps(config))
        rows = len(PROMPTS)
        keys, ones = torch.full((rows,), parse(loaded.key)), torch.ones(rows)
        second = {}
        if loaded.key_b is not None:
            second = {
                "keys_b": torch.full((rows,), parse(loaded.key_b)),
                "mixing_thresholds": torch.full((rows,), int(loaded.mixing_probability * (1 << 32))),
            }
        before: list[set[int]] = [set() for _ in range(rows)]

        def force(ids: torch.Tensor, logits: torch.Tensor, _: int) -> torch.Tensor:
            contexts = core._hash_contexts(ids[:, -loaded.context_window :], torch.full((rows,), loaded.context_window))
            fresh = torch.tensor([context not in before[row] for row, context in enumerate(contexts.tolist())])
            for row, context in enumerate(contexts.tolist()):
                before[row].add(context)
            all_tokens = torch.full((rows,), logits.shape[-1])
            core.force_watermark_tokens(logits, contexts, fresh, ones.view(-1, 1), all_tokens, ones, 0 * ones, keys, **second)
            return packages.sample(logits)

        return model.drive(tokens, seed, force)
    if engine == "synthid":
        processor = packages.synthid_text().Processor(**config, temperature=1.0, top_k=200, device=torch.device("cpu"))

        def tournament(ids: torch.Tensor, logits: torch.Tensor, _: int) -> torch.Tensor:
            updated, indices, _ = processor.watermarked_call(ids, logits)
            return indices.gather(1, packages.sample(updated).unsqueeze(-1)).squeeze(-1)

        return model.drive(tokens, seed, tournament)
    textseal = packages.textseal()
    loaded = textseal.core.WatermarkConfig(**config)
    generator = textseal.generator.build_generator(model.model, packages.IdTokenizer(model.width), loaded)
    return model.drive(tokens, seed, lambda ids, logits, _: generator.sample_next(logits, ids[:, -loaded.ngram :], 1.0, 0.95))


def write_rows(path: Path, model: Model, rows: list[list[int]]) -> None:
    with path.open("w") as file:
        for number, tokens in enumerate(rows):
            line = {
                "id": number, "prompt": PROMPTS[number], "prompt_tokens": model.prompts[number],
                "response": model.tokenizer.decode(tokens, skip_special_tokens=False), "tokens": tokens,
            }
            file.write(json.dumps(line) + "\n")


def wrong(config: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """The same configuration under other keys of the same widths."""
    def other(value: Any) -> Any:
        if isinstance(value, list):
            return [other(entry) for entry in value]
        if isinstance(value, str):
            return f"{source.getrandbits(64):016x}"
        return source.getrandbits(max(value.bit_length(), 30)) | 1

    return {name: other(value) if name in (*KEY_FIELDS, "key_b") else value for name, value in config.items()}


class Taggant:
    def __init__(self, path: Path, width: int, gguf: Path, folder: Path) -> None:
        self.path, self.width, self.gguf, self.folder = path, width, gguf, folder

    def run(self, *words: Any) -> list[dict[str, Any]]:
        found = subprocess.run([str(word) for word in (self.path, *words)], capture_output=True, text=True)
        if found.returncode not in (0, 1):
            raise SystemExit(f"taggant {words[0]} {words[1]} failed: {found.stderr.strip()}")
        return [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]

    def export(self, engine: str) -> dict[str, Any]:
        root, leaf, out = (self.folder / name for name in ("root.key", f"{engine}.key", f"{engine}.json"))
        if out.exists():
            return json.loads(out.read_text())
        if not root.exists():
            self.run("key", "new", "--out", root)
        self.run("key", "derive", "--root", root, "--path", f"lab/campaign/{engine}", "--out", leaf)
        self.run("key", "export", "--engine", engine, "--key", leaf, "--out", out)
        return json.loads(out.read_text())

    def detect(self, form: str, config: dict[str, Any], rows: Path) -> list[dict[str, Any]]:
        path = self.folder / "config.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        # The width of the logits: what the engine shuffles, which configurations of transformers do not name.
        return self.run("detect", "--format", form, "--format-config", path, "--vocab-size", self.width, "--input", rows, "--json")

    def scan(self, entries: list[dict[str, Any]], rows: Path) -> list[dict[str, Any]]:
        path = self.folder / "keys.jsonl"
        path.touch(mode=0o600)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return self.run(
            "scan", "--keys", path, "--formats", "all", "--tokenizer", self.gguf, "--vocab-size", self.width, "--input", rows, "--json"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"some of {', '.join(ENGINES)}")
    parser.add_argument("--gguf", type=Path, required=True, help="SmolLM2-135M-Instruct")
    parser.add_argument("--taggant", type=Path, default=Path(__file__).parents[2] / "target/release/taggant")
    parser.add_argument("--peers", type=Path, default=packages.DEFAULT)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--out", type=Path, help="where to keep rows and configurations, which hold keys; what is there already is used again")
    parser.add_argument("--no-scan", action="store_true")
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    packages.use(args.peers)
    folder = args.out or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    model = Model(args.gguf)
    taggant = Taggant(args.taggant, model.width, args.gguf, folder)
    source, faults = random.Random(5), []
    lines = ["| engine | format | rows found | weakest row, log10 p | pooled log10 p | least of 5 wrong keys | plain text | seconds to write |", "|---|---|---|---|---|---|---|---|"]

    plain = folder / "plain.jsonl"
    if not plain.exists():
        write_rows(plain, model, model.generate(args.tokens, 1))
    configs: dict[str, dict[str, Any]] = {}
    for number, engine in enumerate(args.engines or ENGINES):
        form = ENGINES[engine]
        config = configs[engine] = taggant.export(engine)
        path = folder / f"{engine}.jsonl"
        start = time.perf_counter()
        if not path.exists():
            write_rows(path, model, marked(model, engine, config, args.tokens, 10 + number))
        seconds = time.perf_counter() - start
        *rows, pooled = taggant.detect(form, config, path)
        others = [taggant.detect(form, wrong(config, source), path)[-1]["log10_p"] for _ in range(5)]
        innocent = taggant.detect(form, config, plain)
        found = sum(row["verdict"] == "Detected" for row in rows)
        if pooled["verdict"] != "Detected":
            faults.append(f"{engine}: not detected, log10 p {pooled['log10_p']}")
        if min(others) <= -6:
            faults.append(f"{engine}: a wrong key gives log10 p {min(others)}")
        if any(line["verdict"] == "Detected" for line in innocent):
            faults.append(f"{engine}: plain text gives log10 p {min(line['log10_p'] for line in innocent)}")
        lines.append(
            f"| {engine} | {form} | {found} of {len(rows)} | {max(row['log10_p'] for row in rows):.1f} | {pooled['log10_p']:.1f} | {min(others):.2f} | "
            f"{innocent[-1]['log10_p']:.2f} | {seconds:.0f} |"
        )
        print(lines[-1], flush=True)

    # Keys alone, no word of what they are for. Only TextSeal's say how long windows are: exported ones are longer than its default.
    if not args.no_scan:
        entries = []
        for engine, config in configs.items():
            bare = lambda config: {("key" if name in KEY_FIELDS else name): value for name, value in config.items() if name in (*KEY_FIELDS, "key_b", "ngram")}
            entries.append({"name": engine, **bare(config)})
        templates = [config for engine, config in configs.items() if engine.startswith("transformers")] or list(configs.values())
        for number in range(5):
            entries.append({"name": f"wrong-{number}", **bare(wrong(templates[number % len(templates)], source))})
        for engine in [*configs, "plain"]:
            *tries, summary = taggant.scan(entries, folder / f"{engine}.jsonl")
            hits = [(line["key"], line["format"]) for line in tries if line["verdict"] == "Detected"]
            wanted = [] if engine == "plain" else [(engine, ENGINES[engine])]
            own = ENGINES.get(engine, "")
            good = (engine, own) in hits or (engine, SAME.get(own)) in hits if wanted else not hits
            strangers = [hit for hit in hits if hit[0] != engine]
            print(f"scan of {engine}: {summary['tried']} tried, found {hits}", flush=True)
            lines.append(f"\nscan of {engine}: {summary['tried']} tried, found {', '.join(f'{name} as {form}' for name, form in hits) or 'nothing'}")
            if not good or strangers:
                faults.append(f"scan of {engine}: found {hits}, wanted {wanted}")
    if args.markdown:
        args.markdown.write_text("\n".join(lines) + "\n")
    for fault in faults:
        print(f"FAIL {fault}")
    print("ok" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
