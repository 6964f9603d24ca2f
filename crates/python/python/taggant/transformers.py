"""Marks what ``generate`` of the transformers library writes.

A mark that chooses tokens (gumbel, tournament) must see what temperature, top-k and top-p have left. Processors that are given to
``generate`` run before these, but a watermarking configuration runs after all of them, so that is the way in, and `generate` takes it::

    from taggant import Key, Record, Sampler, detect
    from taggant.transformers import generate, responses

    record, key = Record.load("record.json"), Key.load("east.key")
    output = generate(model, Sampler(record, key), **inputs, do_sample=True, temperature=0.8, top_p=0.95, max_new_tokens=200)
    print(detect(key, record, responses(inputs["input_ids"], output, tokenizer.eos_token_id, inputs["attention_mask"])))

Give one `Sampler` for all rows, or a list with one for each sequence, so that each account has its own keys, and None where a sequence is
not marked; with ``num_return_sequences`` a sequence's sampler serves all its answers.

`generate` also does the engine's truncation, in the pass in which the mark looks for its candidates, which takes less time than the
engine's own: a marked token costs less than an unmarked one. ``model.generate(..., watermarking_config=Watermark(samplers))`` marks what
the engine's own truncation has left, without the checks that refuse beam search and greedy decoding at once.

Where a processor is the only way in, use `WatermarkProcessor` with the temperature and truncation that you would have given to
``generate``, and leave them out there. A green list (greenlist) needs neither: it only adds to logits.

Prompts may be padded on the left; windows never reach into them, because the response begins where ``generate`` begins to write.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

try:
    import torch
    from transformers import LogitsProcessor
    from transformers.generation.configuration_utils import BaseWatermarkingConfig
except ImportError as error:
    raise ImportError(f"taggant.transformers needs torch and transformers: pip install 'taggant[transformers]' ({error})") from error

from ._taggant import MismatchError, Page, ParameterError, Sampler, Stream, UnsupportedError, bias_batch

__all__ = ["Watermark", "WatermarkProcessor", "generate", "responses"]

BEAMS = "beam search cannot be marked: it follows the likeliest text, and a mark lives in the choice; use do_sample=True with num_beams=1"
GREEDY = "greedy decoding cannot be marked: it leaves no choice; use do_sample=True"

# What `generate` need not do because the mark does it in the same pass, with the values that switch it off there.
NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
# What comes between those and the mark, with the values that leave it out. While one is used, truncation stays with the engine.
BETWEEN = {"top_h": None, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0}


class WatermarkProcessor(LogitsProcessor):
    """Marks one call of ``generate``: make a new one for each.

    ``samplers`` is a `Sampler` for all rows, or one for each sequence. The temperature and truncation given here are applied before the
    mark. ``prompt_length`` is the number of columns before the response, padding included; by default, those of the first call.
    ``reuse`` lets the next call write into the scores that this one has given, for engines that keep none.

    Positions that the mark leaves to chance are left to the engine's own sampling, so ``torch.manual_seed`` makes runs repeatable.
    """

    def __init__(
        self,
        samplers: Sampler | Sequence[Sampler | None],
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        prompt_length: int | None = None,
        reuse: bool = False,
    ) -> None:
        self._samplers = _listed(samplers)
        self._vocabulary = _vocabulary(self._samplers)
        self._sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        self._truncates = bool(top_k) or top_p < 1 or min_p > 0
        self._alone = temperature == 1 and not self._truncates
        self._start = prompt_length
        self._reuse = reuse
        self._before: np.ndarray | torch.Tensor | None = None
        self._following = False
        self._page: tuple[Page, torch.Tensor] | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        # NumPy's views of what lies in memory anyway cost a quarter of what torch's do.
        history = input_ids.numpy() if input_ids.device.type == "cpu" else input_ids
        contexts = self._advance(history)
        self._following = False
        if scores.stride(1) != 1:
            scores = scores.contiguous()
        if scores.device.type != "cpu" or scores.dtype != torch.float32:
            marked = self._elsewhere(scores, contexts)
        elif self._reuse and self._truncates:
            marked = self._on_page(scores, contexts)
        else:
            marked = self._in_rows(scores, contexts)
        # Only now is it known that every stream stands where the engine does.
        self._before, self._following = history, True
        return marked

    def _on_page(self, scores: torch.Tensor, contexts: np.ndarray | None) -> torch.Tensor:
        if self._page is None or self._page[1].shape != scores.shape:
            page = Page(*scores.shape)
            self._page = page, torch.from_numpy(page.logits)
        page, marked = self._page
        page.bias(self._streams, scores.numpy()[:, : self._vocabulary], contexts, **self._sampling)
        return marked

    def _in_rows(self, scores: torch.Tensor, contexts: np.ndarray | None) -> torch.Tensor:
        # What the engine passes may be kept as the model's raw logits, and so it is copied, unless most of it is masked already.
        if not (self._alone and _mostly_masked(scores.numpy()[0])):
            scores = scores.clone()
        # Models are often wider than their tokenizers; ids beyond the vocabulary are never sampled.
        array = scores.numpy()[:, : self._vocabulary]
        bias_batch(self._streams, array, contexts, out=array, **self._sampling)
        if scores.shape[1] > self._vocabulary:
            scores[:, self._vocabulary :] = -torch.inf
        return scores

    def _elsewhere(self, scores: torch.Tensor, contexts: np.ndarray | None) -> torch.Tensor:
        """Scores on another device or of another type: what is possible is listed there, and only the list is moved."""
        logits = scores[:, : self._vocabulary].float()
        count = self._sampling["top_k"] or int((logits != -torch.inf).sum(1).max())
        whole = torch.full_like(scores, -torch.inf)
        if 0 < count <= self._vocabulary // 8:
            values, ids = logits.topk(count)
            array = values.cpu().numpy()
            bias_batch(self._streams, array, contexts, ids=ids.cpu().numpy(), out=array, **self._sampling)
            return whole.scatter_(1, ids, torch.from_numpy(array).to(scores.device, scores.dtype))
        array = logits.to("cpu", copy=True).numpy()
        bias_batch(self._streams, array, contexts, out=array, **self._sampling)
        whole[:, : self._vocabulary] = torch.from_numpy(array).to(scores.device, scores.dtype)
        return whole

    def _advance(self, history: np.ndarray | torch.Tensor) -> np.ndarray | None:
        """Brings the streams up to ``history``, or gives the responses for them to follow."""
        before = self._before
        if before is None:
            self._begin(history)
        else:
            seen = before.shape[1]
            grown = self._following and history.shape == (len(before), seen + 1)
            if grown and _same(history[:, :seen], before):
                self._following = False
                for stream, token in zip(self._streams, history[:, seen].tolist()):
                    stream.push(token)
                return None
            self._check(history, before)
        responses = history[:, self._start :]
        return responses if isinstance(responses, np.ndarray) else responses.cpu().numpy()

    def _begin(self, history: np.ndarray | torch.Tensor) -> None:
        rows, columns = history.shape
        if self._start is None:
            self._start = columns
        each, rest = divmod(rows, len(self._samplers))
        if rest or not each:
            raise ParameterError(f"{len(self._samplers)} samplers for {rows} rows; give one for all, or one for each sequence")
        # As `generate` repeats sequences: all answers of the first, then all of the second.
        self._streams = [sampler.stream() if sampler else Stream.plain() for sampler in self._samplers for _ in range(each)]

    def _check(self, history: np.ndarray | torch.Tensor, before: np.ndarray | torch.Tensor) -> None:
        start, seen = self._start, before.shape[1]
        same = len(history) == len(before) and history.shape[1] >= start
        if not same or not _same(history[:, :start], before[:, :start]):
            raise ParameterError("other prompts than before: a processor marks one call of generate; make a new one for each")
        # Tokens that are taken back are no harm, streams follow: so does assisted decoding. But rows that grow and differ have changed places.
        if len(history) > 1 and history.shape[1] > seen and not _same(history[:, :seen], before):
            raise UnsupportedError(BEAMS)


class Watermark(BaseWatermarkingConfig):
    """What ``generate(watermarking_config=...)`` takes: marks after temperature and truncation. Arguments as for `WatermarkProcessor`."""

    def __init__(self, samplers: Sampler | Sequence[Sampler | None], **options: Any) -> None:
        self._samplers = _listed(samplers)
        self._options = options
        WatermarkProcessor(self._samplers, **options)  # so that wrong options are known here

    def validate(self) -> None:
        """Nothing is left to check: samplers cannot be made of wrong parts."""

    def construct_processor(self, vocab_size: int, device: Any) -> WatermarkProcessor:
        """A processor for one call; transformers calls this."""
        vocabulary = _vocabulary(self._samplers)
        if vocab_size < vocabulary:
            raise MismatchError(f"the model has {vocab_size} tokens, the record's tokenizer has {vocabulary}; give the record of this model")
        return WatermarkProcessor(self._samplers, **self._options)

    def to_dict(self) -> dict[str, Any]:
        """The records, which hold no secret."""
        return {"records": [sampler and sampler.record.to_json() for sampler in self._samplers]}

    def to_json_string(self) -> str:
        """`to_dict` as text."""
        import json

        return json.dumps(self.to_dict(), indent=2) + "\n"

    def __iter__(self) -> Iterable[tuple[str, Any]]:
        yield from self.to_dict().items()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Watermark":
        # transformers copies its configurations. Keys are not copied, and samplers never change.
        return self


def generate(model: Any, samplers: Sampler | Sequence[Sampler | None], *args: Any, generation_config: Any = None, **options: Any) -> Any:
    """``model.generate(*args, **options)`` with a mark. Refuses beam search and greedy decoding, which leave nothing to mark.

    Temperature, top-k, top-p and min-p are applied by the mark, in the pass in which it looks for its candidates."""
    own = getattr(model.generation_config, "_get_default_generation_params", dict)()

    def option(name: str) -> Any:
        sources = (options.get(name), getattr(generation_config, name, None), getattr(model.generation_config, name, None), own.get(name))
        return next((value for value in sources if value is not None), None)

    if (option("num_beams") or 1) > 1:
        raise UnsupportedError(BEAMS)
    if not option("do_sample"):
        raise UnsupportedError(GREEDY)
    changed: dict[str, Any] = {}
    # Said to be None, it is off; not said at all, it is what the model or the library has.
    sampling = _sampling(lambda name: NEUTRAL.get(name) if name in options and options[name] is None else option(name))
    if sampling:
        # A model's own min-p cannot be taken away, only made to drop nothing.
        changed = {**NEUTRAL, "min_p": None if getattr(model.generation_config, "min_p", None) is None else 0.0}
    reuse = not (option("output_scores") or options.get("assistant_model") or options.get("custom_generate"))
    changed["watermarking_config"] = Watermark(samplers, reuse=reuse, **sampling)
    if generation_config is None:
        return model.generate(*args, **{**options, **changed})
    generation_config = copy.deepcopy(generation_config)
    for name, value in changed.items():
        options.pop(name, None)
        setattr(generation_config, name, value)
    return model.generate(*args, generation_config=generation_config, **options)


def _sampling(option: Callable[[str], Any]) -> dict[str, Any]:
    """The truncation that the mark takes over from ``generate``, or nothing where that would not be the same or not be faster."""
    if any(option(name) not in (None, neutral) for name, neutral in BETWEEN.items()):
        return {}
    found = {name: option(name) for name in NEUTRAL} | {"min_p": option("min_p") or 0.0}
    known = all(isinstance(value, (int, float)) for value in found.values())
    # What is out of range is left for the engine to refuse.
    if not known or not (found["temperature"] > 0 and found["top_k"] >= 0 and 0 < found["top_p"] <= 1 and 0 <= found["min_p"] <= 1):
        return {}
    return found if found["top_k"] or found["top_p"] < 1 or found["min_p"] else {}


def responses(
    prompts: torch.Tensor, output: Any, stop: int | Sequence[int] | None = None, attention_mask: torch.Tensor | None = None
) -> list[dict[str, list[int]]]:
    """Rows for `taggant.detect` of what a decoder's ``generate`` returned: response tokens up to the first stop token, and the prompt's
    tokens without its padding."""
    sequences = getattr(output, "sequences", output)
    stops = {stop} if isinstance(stop, int) else set(stop or ())
    each = len(sequences) // len(prompts)
    rows = []
    for number, sequence in enumerate(sequences.tolist()):
        prompt, tokens = sequence[: prompts.shape[1]], sequence[prompts.shape[1] :]
        if attention_mask is not None:
            kept = attention_mask[number // each].tolist()
            prompt = [token for token, real in zip(prompt, kept) if real]
        end = next((place for place, token in enumerate(tokens) if token in stops), len(tokens))
        rows.append({"tokens": tokens[:end], "prompt_tokens": prompt})
    return rows


def _same(one: np.ndarray | torch.Tensor, other: np.ndarray | torch.Tensor) -> bool:
    return bool((one == other).all())


def _mostly_masked(row: np.ndarray) -> bool:
    some = row[:: len(row) // 256 or 1]
    return 2 * np.count_nonzero(some == -np.inf) > len(some)


def _listed(samplers: Sampler | Sequence[Sampler | None]) -> list[Sampler | None]:
    listed: list[Sampler | None] = [samplers] if isinstance(samplers, Sampler) else list(samplers)
    _vocabulary(listed)
    return listed


def _vocabulary(samplers: Sequence[Sampler | None]) -> int:
    found = {sampler.record.vocabulary for sampler in samplers if sampler is not None}
    if not found:
        raise ParameterError("no samplers; give one for all rows, or one for each sequence")
    if len(found) > 1:
        raise MismatchError(f"samplers of vocabularies {sorted(found)} in one batch; all must be of one tokenizer")
    return found.pop()
