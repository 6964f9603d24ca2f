"""For each format: how the real package marks tokens, and what its own functions say of a row, unit by unit and as a whole."""

import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import numpy as np
import scipy.special
import torch

import packages
from packages import IdTokenizer, ZipfModel, sample, write


@dataclass
class Row:
    """A response, marked or not."""

    id: str
    tokens: list[int]
    marked: bool
    prompt: list[int] | None = None


@dataclass
class Value:
    """What the package says of one position."""

    position: int
    raw: list[float]
    score: float


@dataclass
class Figure:
    """What the package's detector says of a row; `p_value` is also filled in where it has a z and we take its normal tail."""

    units: int
    score: float | None = None
    z: float | None = None
    p_value: float | None = None
    mean: float | None = None
    weighted_mean: float | None = None
    # The package's law of its own score by a library that is accurate, where the package's is not.
    accurate: float | None = None


@dataclass
class Case:
    """Parameters under which a format is tried: our configuration, and the share of all units and of marked ones among them."""

    config: dict[str, Any]
    vocabulary: int
    share: float
    marked: float = 0.5
    # How long rows are, and how many the generating code takes at once.
    length: int = 200
    batch: int = 64
    # Whether this case is the one to time; the first if none is.
    timed: bool = False


@dataclass
class Format:
    """A format's cases and their order of cost; subclasses talk to the package."""

    id: str
    cases: list[Case]
    # Largest differences allowed: of scores, and of the detector's figures relative to their size.
    score_tolerance: float = 1e-12
    figure_tolerance: float = 1e-9
    # Why the tolerances are wider than double precision, where they are.
    reason: str = ""
    # How our p-value relates to the package's on rows where both count the same units: "equal", "above" (ours is at least as large), or
    # "" where the package has no p-value or none that is right.
    ours: str = ""
    # With "equal": how far ln p may be off for each unit.
    slack: float = 0.0
    # Whether ids must be below the vocabulary.
    bounded: bool = True
    notes: str = ""
    model: ZipfModel | None = field(default=None, repr=False)

    def open(self, case: Case) -> None:
        """Makes the package's objects for the case."""

    def marked(self, case: Case, rows: int, seed: int) -> list[Row]:
        """Rows that the package's own code marked, on logits that `ZipfModel` makes up."""
        torch.manual_seed(seed)
        model = ZipfModel(case.vocabulary, seed)
        found: list[Row] = []
        while len(found) < rows:
            count = min(case.batch, rows - len(found))
            prompts = self.prompts(case, count, seed + len(found))
            texts = self.write(case, model, count, prompts)
            for number, tokens in enumerate(texts):
                prompt = prompts[number].tolist() if prompts is not None and self.reads_prompt else None
                found.append(Row(f"marked-{len(found)}", tokens, True, prompt))
        return found

    reads_prompt = False
    # Tokens before the response where the package does not mark without.
    prompt_length = 0

    def prompts(self, case: Case, rows: int, seed: int) -> torch.Tensor | None:
        if not self.prompt_length:
            return None
        return torch.randint(1, case.vocabulary, (rows, self.prompt_length), generator=torch.Generator().manual_seed(seed))

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        raise NotImplementedError

    def values(self, row: Row) -> list[Value]:
        """What the package's keyed function and score say at each position with a whole window."""
        raise NotImplementedError

    def counted(self, row: Row) -> list[int] | None:
        """The positions that the package's detector counts, where its rule for repeats is ours."""
        return None

    def figure(self, row: Row) -> Figure | None:
        """The package's detector on the row; `None` where it refuses."""
        raise NotImplementedError


# vLLM


class Vllm(Format):
    bounded = False

    def open(self, case: Case) -> None:
        self.vllm = packages.vllm()
        marking = self.vllm.marking
        self.config = self.vllm.WatermarkConfig(**case.config)
        self.marker = marking.create_watermarker(self.config)
        self.dual = self.config.algorithm == "dual_key_gumbel"
        extra = {"alpha": self.config.alpha} if self.dual else {}
        kind = marking.DualKeyGumbelWatermarkDetector if self.dual else marking.GumbelWatermarkDetector
        detector = lambda once: kind(self.config.key, self.config.context_width, prf=self.config.prf, deduplicate_contexts=once, **extra)
        self.detector, self.all = detector(True), detector(False)

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        width = self.config.context_width
        seen: list[set[tuple[int, ...]]] = [set() for _ in range(rows)]
        zeros = torch.zeros(rows)
        plain = self.vllm.RandomSampler(zeros, zeros, zeros, zeros)

        def step(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            padded = torch.cat([torch.full((rows, width), -1), tokens], dim=1)[:, -width:]
            contexts = [tuple(context) for context in padded.tolist()]
            skip = torch.tensor([context in seen[row] for row, context in enumerate(contexts)])
            for row, context in enumerate(contexts):
                seen[row].add(context)
            return self.marker.sample(logits, padded, plain, skip).token_ids

        return write(model, rows, case.length, step)

    def values(self, row: Row) -> list[Value]:
        if not row.tokens:
            return []
        contexts, targets = self.all._prepare_inputs(row.tokens)
        prfs = [self.all.prf, self.all.key_b_prf] if self.dual else [self.all.prf]
        uniforms = [prf.uniform(contexts, targets.unsqueeze(-1)).squeeze(-1).double().tolist() for prf in prfs]
        scores = self.all._score_tokens(contexts, targets).tolist()
        return [Value(position, list(raw), score) for position, (raw, score) in enumerate(zip(zip(*uniforms), scores))]

    def counted(self, row: Row) -> list[int]:
        contexts, _ = self.all._prepare_inputs(row.tokens)
        seen: set[tuple[int, ...]] = set()
        fresh = []
        for position, context in enumerate(map(tuple, contexts.tolist())):
            if context not in seen:
                fresh.append(position)
            seen.add(context)
        assert len(fresh) == self.detector.detect(row.tokens).num_scored_tokens
        return fresh

    def figure(self, row: Row) -> Figure:
        found = self.detector.detect(row.tokens)
        figure = Figure(found.num_scored_tokens, found.score, p_value=found.p_value)
        if self.dual and figure.units:
            # torch's incomplete gamma function, which the package calls, is off by some 1e-9 of its value.
            variance = self.config.alpha ** 2 + (1 - self.config.alpha) ** 2
            figure.accurate = float(scipy.special.gammaincc(figure.units / variance, figure.score / variance))
        return figure


# SGLang


class Sglang(Format):
    bounded = False
    reads_prompt = True
    prompt_length = 12

    def open(self, case: Case) -> None:
        self.sglang = packages.sglang()
        self.config = self.sglang.config.load_watermark_config(json.dumps(case.config))
        self.window = self.config.context_window or 4
        self.mixing = 0.5 if self.config.mixing_probability is None else self.config.mixing_probability
        self.detector = self.sglang.detector.WatermarkDetector(
            self.config.key, key_b=self.config.key_b, mixing_probability=self.mixing, context_window=self.window
        )

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        core, parse = self.sglang.core, self.sglang.config.parse_watermark_key
        lengths = torch.full((rows,), self.window)
        keys = torch.full((rows,), parse(self.config.key))
        second = {}
        if self.config.key_b is not None:
            second = {
                "keys_b": torch.full((rows,), parse(self.config.key_b)),
                "mixing_thresholds": torch.full((rows,), int(self.mixing * (1 << 32))),
            }
        seen: list[set[int]] = [set() for _ in range(rows)]
        ones = torch.ones(rows)

        def step(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            contexts = core._hash_contexts(tokens[:, -self.window :], lengths)
            fresh = torch.tensor([context not in seen[row] for row, context in enumerate(contexts.tolist())])
            for row, context in enumerate(contexts.tolist()):
                seen[row].add(context)
            everything = torch.full((rows,), logits.shape[-1])
            core.force_watermark_tokens(logits, contexts, fresh, ones.view(-1, 1), everything, ones, 0 * ones, keys, **second)
            return sample(logits)

        return write(model, rows, case.length, step, prompts)

    def values(self, row: Row) -> list[Value]:
        detector, hashes = self.detector, self.sglang.detector
        prompt = row.prompt or []
        tokens = prompt[-self.window :] + row.tokens
        start = len(tokens) - len(row.tokens)
        found = []
        for end in range(self.window, len(tokens)):
            context = hashes.hash_context(tokens[end - self.window : end])
            key = detector._key_a
            if detector._key_b is not None:
                if hashes.position_coin(detector._key_a, detector._key_b, context) >= detector._mixing_threshold:
                    key = detector._key_b
            uniform = (hashes.watermark_hash(key, context, tokens[end]) + 0.5) / (1 << 32)
            found.append(Value(end - start, [uniform], detector._score(key, context, tokens[end])))
        return found

    def figure(self, row: Row) -> Figure:
        found = self.detector.detect_tokens(row.tokens, prompt_token_ids=row.prompt or ()).combined
        return Figure(found.num_contexts, found.score, p_value=found.p_value)


# Hugging Face


class Kgw(Format):
    prompt_length = 8

    def open(self, case: Case) -> None:
        from transformers import WatermarkDetector, WatermarkingConfig

        config = {name: value for name, value in case.config.items() if name != "vocab_size"}
        self.config = WatermarkingConfig(**config)
        self.config.validate()
        self.processor = self.config.construct_processor(case.vocabulary, "cpu")
        self.detector = WatermarkDetector(ZipfModel(8, 0).config, "cpu", self.config)
        self.detector.processor = self.processor
        selfhash = self.config.seeding_scheme == "selfhash"
        self.before = self.config.context_width - int(selfhash)

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        return write(model, rows, case.length, lambda tokens, logits: sample(self.processor(tokens, logits)), prompts)

    def values(self, row: Row) -> list[Value]:
        tokens = torch.tensor(row.tokens, dtype=torch.long)
        found = []
        for end in range(self.before, len(row.tokens)):
            # The self-hashing prefix ends with the token itself, as `_score_ngrams_in_passage` gives it.
            last = end + 1 if self.config.seeding_scheme == "selfhash" else end
            green = float(bool(self.detector._get_ngram_score(tokens[end - self.before : last], row.tokens[end])))
            found.append(Value(end, [green], green))
        return found

    def figure(self, row: Row) -> Figure | None:
        if len(row.tokens) <= self.config.context_width:
            return None
        found = self.detector(torch.tensor([row.tokens]), return_dict=True)
        p_value = float(found.p_value[0])
        return Figure(int(found.num_tokens_scored[0]), float(found.num_green_tokens[0]), float(found.z_score[0]), p_value)


class Synthid(Format):
    """Both SynthID packages, whose processors have the same methods."""

    bounded = False

    def figure(self, row: Row) -> Figure | None:
        if len(row.tokens) < self.before + 1:
            return None
        bits, mask = self.bits(row)
        if not mask.any():
            return None
        return self.means(bits, mask)

    def bits(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        tokens = torch.tensor([row.tokens], dtype=torch.long)
        bits = self.processor.compute_g_values(tokens)[0].numpy()
        mask = self.processor.compute_context_repetition_mask(tokens)[0].numpy().astype(bool)
        if self.eos is not None:
            mask &= self.processor.compute_eos_token_mask(tokens, self.eos)[0, self.before :].numpy().astype(bool)
        return bits, mask

    def values(self, row: Row) -> list[Value]:
        tokens = row.tokens
        if self.eos is not None and self.eos in tokens:
            tokens = tokens[: tokens.index(self.eos)]
        if len(tokens) < self.before + 1:
            return []
        bits = self.processor.compute_g_values(torch.tensor([tokens], dtype=torch.long))[0].tolist()
        words = [sum(bit << layer for layer, bit in enumerate(layers)) for layers in bits]
        return [Value(self.before + index, [float(word)], float(sum(layers))) for index, (word, layers) in enumerate(zip(words, bits))]

    def counted(self, row: Row) -> list[int] | None:
        if len(row.tokens) < self.before + 1:
            return []
        _, mask = self.bits(row)
        return (self.before + np.flatnonzero(mask)).tolist()

    def means(self, bits: np.ndarray, mask: np.ndarray) -> Figure:
        raise NotImplementedError


class HfSynthid(Synthid):
    def open(self, case: Case) -> None:
        from transformers import SynthIDTextWatermarkingConfig

        config = {name: value for name, value in case.config.items() if name not in ("eos_token_id", "vocab_size")}
        self.config = SynthIDTextWatermarkingConfig(**config)
        self.config.validate()
        self.processor = self.config.construct_processor(case.vocabulary, "cpu")
        self.before = self.config.ngram_len - 1
        self.eos = case.config.get("eos_token_id")

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        self.processor.state = None
        return write(model, rows, case.length, lambda tokens, logits: sample(self.processor(tokens, logits)))

    def means(self, bits: np.ndarray, mask: np.ndarray) -> Figure:
        """The package has no mean; this is the published one (its own score needs a trained classifier)."""
        weights = np.linspace(10, 1, bits.shape[1])
        weights *= bits.shape[1] / weights.sum()
        kept = bits[mask]
        return Figure(int(mask.sum()), float(kept.sum()), mean=float(kept.mean()), weighted_mean=float((kept * weights).mean()))


class DeepmindSynthid(Synthid):
    def open(self, case: Case) -> None:
        self.package = packages.synthid_text()
        config = {name: value for name, value in case.config.items() if name not in ("eos_token_id", "vocab_size")}
        self.processor = self.package.Processor(**config, temperature=1.0, top_k=100, device=torch.device("cpu"))
        self.before = case.config["ngram_len"] - 1
        self.eos = case.config.get("eos_token_id")

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        self.processor.state = None

        def step(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            updated, indices, _ = self.processor.watermarked_call(tokens, logits)
            return indices.gather(1, sample(updated).unsqueeze(-1)).squeeze(-1)

        return write(model, rows, case.length, step)

    def means(self, bits: np.ndarray, mask: np.ndarray) -> Figure:
        means = self.package.means
        # Its weighted mean multiplies in place.
        values = lambda: bits[None].astype(float)
        mean, weighted = means.mean_score(values(), mask[None]), means.weighted_mean_score(values(), mask[None])
        return Figure(int(mask.sum()), float(bits[mask].sum()), mean=float(mean[0]), weighted_mean=float(weighted[0]))


# TextSeal


class Textseal(Format):
    bounded = False
    prompt_length = 10

    def open(self, case: Case) -> None:
        self.textseal = packages.textseal()
        self.config = self.textseal.core.WatermarkConfig(**case.config)
        self.tokenizer = IdTokenizer(case.vocabulary)
        self.detector = self.textseal.detector.build_detector(self.tokenizer, self.config)
        self.gumbel = self.config.watermark_type == "gumbelmax"

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        generator = self.textseal.generator.build_generator(model, self.tokenizer, self.config)
        ngram = self.config.ngram
        # Where a token's number is 0 the power of a vanishing probability is taken of it, as the package does.
        step = lambda tokens, logits: generator.sample_next(logits, tokens[:, -ngram:], temperature=1.0, top_p=0.95)
        return write(model, rows, case.length, step, prompts)

    def values(self, row: Row) -> list[Value]:
        ngram = self.config.ngram
        ends = range(ngram, len(row.tokens))
        if not ends:
            return []
        windows = torch.tensor([row.tokens[end - ngram : end] for end in ends])
        targets = torch.tensor([row.tokens[end] for end in ends])
        args = (windows, targets, self.config.secret_key)
        raw = self.textseal.prf.prf_uniform(*args) if self.gumbel else self.textseal.prf.prf_binary(*args, gamma=self.config.gamma)
        return [
            Value(end, [value], self.detector.score_tok(row.tokens[end - ngram : end], row.tokens[end]))
            for end, value in zip(ends, raw.double().tolist())
        ]

    def figure(self, row: Row) -> Figure | None:
        method = self.config.scoring_method
        seen = set() if method in ("v1", "v2") else None
        scores = self.detector.get_scores_by_t([self.tokenizer.decode(row.tokens)], scoring_method=method, seen_windows=seen)[0]
        if not scores:
            return None
        score = float(np.sum(scores))
        p_value = float(self.detector.get_pvalue(score, len(scores), eps=1e-200))
        # Below its floor it says nothing, and with no green token its beta function is undefined.
        return Figure(len(scores), score, p_value=p_value if p_value > 1e-200 else None)


# MarkLLM


class Markllm(Format):
    prompt_length = 8
    engine = ""

    def open(self, case: Case) -> None:
        package = packages.markllm()
        self.config = {name: value for name, value in case.config.items() if name != "vocab_size"}
        self.tokenizer = IdTokenizer(case.vocabulary)
        self.rows = self.package(package, case)
        self.before = self.config.get("prefix_length", 0)

    def package(self, package: Any, case: Case) -> Any:
        transformers = package.TransformersConfig(None, self.tokenizer, vocab_size=case.vocabulary, device="cpu")
        # It reads its configuration from a file.
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self.config, file)
            file.flush()
            self.mark = getattr(package, self.engine)(file.name, transformers)

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        return write(model, rows, case.length, lambda tokens, logits: sample(self.mark.logits_processor(tokens, logits)), prompts)

    def values(self, row: Row) -> list[Value]:
        if len(row.tokens) <= self.before:
            return []
        _, flags = self.mark.utils.score_sequence(torch.tensor(row.tokens))
        return [Value(position, [float(flag)], float(flag)) for position, flag in enumerate(flags) if flag >= 0]

    def figure(self, row: Row) -> Figure | None:
        if len(row.tokens) <= self.before:
            return None
        z = float(self.mark.detect_watermark(self.tokenizer.decode(row.tokens))["score"])
        return Figure(len(row.tokens) - self.before, z=z, p_value=0.5 * math.erfc(z / math.sqrt(2)))


class MarkllmKgw(Markllm):
    engine = "KGW"


class MarkllmUnigram(Markllm):
    engine = "Unigram"


class MarkllmExp(Markllm):
    engine = "EXP"

    def write(self, case: Case, model: ZipfModel, rows: int, prompts: torch.Tensor | None) -> list[list[int]]:
        # With top_k above 0 the package's sampling fails: it gathers from a row of numbers by a batch of indices.
        self.mark.config.generation_model = model
        self.mark.config.sequence_length = case.length
        texts = []
        for prompt in prompts.tolist():
            text = self.mark.generate_watermarked_text(self.tokenizer.decode(prompt))
            texts.append(self.tokenizer.encode(text)[len(prompt) :])
        return texts

    def values(self, row: Row) -> list[Value]:
        tokens = np.array(row.tokens, dtype=np.int64)
        found = []
        for end in range(self.before, len(tokens)):
            self.mark.utils.seed_rng(tokens[:end])
            number = torch.rand(self.mark.config.vocab_size, generator=self.mark.utils.rng)[tokens[end]]
            found.append(Value(end, [float(number)], math.log(1 / (1 - number))))
        return found

    def figure(self, row: Row) -> Figure | None:
        if len(row.tokens) <= self.before:
            return None
        p_value = float(self.mark.detect_watermark(self.tokenizer.decode(row.tokens))["score"])
        return Figure(len(row.tokens) - self.before, p_value=p_value)


THIRTY = [int(word) for word in np.random.default_rng(30).integers(0, 1 << 62, 30)]


def made(standard: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Configurations that differ from the standard one in what is named."""
    return lambda **more: standard | more


def formats() -> list[Format]:
    """Every format with its cases. Where a list or a row of numbers is drawn for each token, most of the cases have few tokens."""
    vllm = made({"key": 0x9E3779B97F4A7C15, "context_width": 4})
    synthid = made({"ngram_len": 5, "keys": THIRTY, "sampling_table_size": 65536, "sampling_table_seed": 0, "context_history_size": 1024})
    seal = {"secret_key": 3_141_592_653_589_793_238, "ngram": 2}
    green = made(seal | {"watermark_type": "greenlist", "method": "binary", "gamma": 0.5, "delta": 2.0})
    gumbel = made(seal | {"watermark_type": "gumbelmax", "method": "uniform"})
    kgw = lambda scheme, vocabulary, **more: {"vocab_size": vocabulary, "seeding_scheme": scheme} | more
    llm = lambda name, vocabulary, rest, more: {"algorithm_name": name, "vocab_size": vocabulary, "hash_key": 15_485_863} | rest | more
    prefix = {"gamma": 0.5, "delta": 2.0, "z_threshold": 4.0, "prefix_length": 1, "f_scheme": "time", "window_scheme": "left"}
    lists = lambda vocabulary, **more: llm("KGW", vocabulary, prefix, more)
    mask = lambda vocabulary, **more: llm("Unigram", vocabulary, {"gamma": 0.5, "delta": 2.0, "z_threshold": 4.0}, more)
    sampled = {"prefix_length": 4, "threshold": 1e-4, "sequence_length": 200, "top_k": 0}
    exp = lambda vocabulary, **more: llm("EXP", vocabulary, sampled, more)
    single = "single-precision scores: raw is bit for bit, and our score of it is -ln(1 - raw) in double precision"
    return [
        Vllm("vllm-gumbel", [
            Case(vllm(), 4096, 0.6),
            Case(vllm(key=1, context_width=1), 2048, 0.1),
            Case(vllm(key=(1 << 64) - 1, context_width=7), 3001, 0.3),
        ], ours="equal", slack=2 ** -23, bounded=False),
        Vllm("vllm-dual", [
            Case(vllm(algorithm="dual_key_gumbel", alpha=0.1), 4096, 0.6),
            Case(vllm(algorithm="dual_key_gumbel", alpha=0.35, context_width=5, key=77), 2048, 0.4),
        ], figure_tolerance=1e-8, reason="torch.special.gammaincc is off by 1e-9", ours="above", bounded=False),
        Sglang("sglang-gumbel", [
            Case({"key": "9e3779b97f4a7c15", "context_window": 4}, 4096, 0.7),
            Case({"key": "0x1F", "context_window": 2}, 2048, 0.3),
        ], ours="equal", bounded=False),
        Sglang("sglang-gumbel (two keys)", [
            Case({"key": "9e3779b97f4a7c15", "key_b": "ffffffffffffffff", "context_window": 4, "mixing_probability": 0.5}, 4096, 0.7),
            Case({"key": "1", "key_b": "abcdef", "context_window": 3, "mixing_probability": 0.25}, 2048, 0.3),
        ], ours="equal", bounded=False),
        Kgw("hf-kgw-lefthash", [
            Case(kgw("lefthash", 4096, greenlist_ratio=0.25, bias=2.5, hashing_key=(1 << 40) - 87, context_width=1), 4096, 0.85),
            Case(kgw("lefthash", 4099, greenlist_ratio=0.5, bias=2.0, hashing_key=15_485_863, context_width=3), 4099, 0.1),
            Case(kgw("lefthash", 128_256, greenlist_ratio=0.1, bias=4.0, hashing_key=(1 << 64) - 59, context_width=1), 128_256, 0.05, batch=4, timed=True),
        ]),
        Kgw("hf-kgw-selfhash", [
            Case(kgw("selfhash", 2048, greenlist_ratio=0.25, bias=2.5, hashing_key=(1 << 40) - 87, context_width=2), 2048, 0.85, marked=0.12),
            Case(kgw("selfhash", 4099, greenlist_ratio=0.5, bias=2.0, hashing_key=15_485_863, context_width=4), 4099, 0.1, marked=0.1),
            Case(kgw("selfhash", 50_257, greenlist_ratio=0.25, bias=4.0, hashing_key=3, context_width=1), 50_257, 0.05, marked=0.1, batch=2, timed=True),
        ]),
        HfSynthid("hf-synthid", [
            Case(synthid(), 2048, 0.8, marked=0.3, batch=32),
            Case(synthid(ngram_len=3, keys=[-5, 7, 1 << 40], sampling_table_size=4096, sampling_table_seed=3, eos_token_id=11), 1024, 0.2),
        ], bounded=False),
        DeepmindSynthid("deepmind-synthid", [
            Case(synthid(), 4096, 0.8),
            Case(synthid(ngram_len=4, keys=THIRTY[:10], sampling_table_seed=2, eos_token_id=11), 1024, 0.2),
        ], bounded=False),
        Textseal("textseal-greenlist", [
            Case(green(), 4096, 0.8),
            Case(green(secret_key=42, ngram=10, gamma=0.25, scoring_method="none"), 2048, 0.2),
        ], bounded=False),
        Textseal("textseal-gumbel", [
            Case(gumbel(), 4096, 0.8),
            Case(gumbel(secret_key=42, ngram=1, scoring_method="v1"), 2048, 0.2),
        ], score_tolerance=6e-4, figure_tolerance=1e-4, reason=single, bounded=False),
        MarkllmKgw("markllm-kgw", [
            Case(lists(4096), 4096, 0.6),
            Case(lists(2048, prefix_length=3, hash_key=(1 << 40) - 87, gamma=0.25), 2048, 0.15),
            Case(lists(2048, prefix_length=2, f_scheme="additive"), 2048, 0.1),
            Case(lists(2048, prefix_length=4, f_scheme="skip"), 2048, 0.1),
            Case(lists(2048, prefix_length=4, f_scheme="min"), 2048, 0.03),
            Case(lists(50_257), 50_257, 0.02, batch=4, timed=True),
        ]),
        MarkllmUnigram("markllm-unigram", [
            Case(mask(4096), 4096, 0.5),
            Case(mask(50_257, gamma=0.25, hash_key=-12_345), 50_257, 0.5, batch=16, timed=True),
        ]),
        MarkllmExp("markllm-exp", [
            Case(exp(4096), 4096, 0.9, marked=0.3),
            Case(exp(50_257, prefix_length=2, hash_key=9_973), 50_257, 0.1, marked=0.2, length=100, timed=True),
        ], score_tolerance=1e-6, figure_tolerance=1e-5, reason=single, ours="equal", slack=2e-7),
    ]
