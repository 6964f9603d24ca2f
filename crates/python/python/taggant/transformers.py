"""Marks what ``generate`` of the transformers library writes.

A mark that chooses tokens (gumbel, tournament) must see what temperature, top-k and top-p have left. Processors that are given to
``generate`` run before these, but a watermarking configuration runs after all of them, so that is the way in, and `generate` takes it::

    from taggant import Key, Record, Sampler, detect
    from taggant.transformers import generate, responses

    record, key = Record.load("record.json"), Key.load("east.key")
    output = generate(model, Sampler(record, key), **inputs, do_sample=True, temperature=0.8, top_p=0.95, max_new_tokens=200)
    print(detect(key, record, responses(inputs["input_ids"], output, tokenizer.eos_token_id, inputs["attention_mask"])))

Give one `Sampler` for all rows, or a list with one for each sequence, so that each account has its own keys, and None where a sequence is
not marked; with ``num_return_sequences`` a sequence's sampler serves all its answers. ``model.generate(..., watermarking_config=Watermark(samplers))`` is
the same without the checks that refuse beam search and greedy decoding at once.

Where a processor is the only way in, use `WatermarkProcessor` with the temperature and truncation that you would have given to
``generate``, and leave them out there. A green list (greenlist) needs neither: it only adds to logits.

Prompts may be padded on the left; windows never reach into them, because the response begins where ``generate`` begins to write.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

try:
    import torch
    from transformers import LogitsProcessor
    from transformers.generation.configuration_utils import BaseWatermarkingConfig
except ImportError as error:
    raise ImportError(f"taggant.transformers needs torch and transformers: pip install 'taggant[transformers]' ({error})") from error

from ._taggant import MismatchError, ParameterError, Sampler, Stream, UnsupportedError, bias_batch

__all__ = ["Watermark", "WatermarkProcessor", "generate", "responses"]

NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
BEAMS = "beam search cannot be marked: it follows the likeliest text, and a mark lives in the choice; use do_sample=True with num_beams=1"
GREEDY = "greedy decoding cannot be marked: it leaves no choice; use do_sample=True"


class WatermarkProcessor(LogitsProcessor):
    """Marks one call of ``generate``: make a new one for each.

    ``samplers`` is a `Sampler` for all rows, or one for each sequence. The temperature and truncation given here are applied before the
    mark. ``prompt_length`` is the number of columns before the response, padding included; by default, those of the first call.

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
    ) -> None:
        self._samplers = _listed(samplers)
        self._vocabulary = _vocabulary(self._samplers)
        self._sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        self._start = prompt_length
        self._before: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._before is None:
            self._begin(input_ids)
        else:
            self._check(input_ids, self._before)
        self._before = input_ids
        # Our own copy: what the engine passes may be kept as the model's raw logits. Models are often wider than their tokenizers;
        # ids beyond the vocabulary are never sampled.
        logits = scores[:, : self._vocabulary].to("cpu", torch.float32, copy=True).contiguous()
        array = logits.numpy()
        contexts = input_ids[:, self._start :].cpu().numpy()
        bias_batch(self._streams, array, contexts, out=array, **(self._listing(array) or self._sampling))
        if scores.shape[1] > self._vocabulary:
            whole = torch.full_like(scores, -torch.inf)
            whole[:, : self._vocabulary] = logits
            return whole
        return logits.to(scores.device, scores.dtype)

    def _listing(self, array: np.ndarray) -> dict[str, Any] | None:
        # Where the engine has masked most tokens already, listing the others first spares the mark a pass over all. It drops none.
        if self._sampling == NEUTRAL and np.count_nonzero(np.isneginf(array[0])) > self._vocabulary // 2:
            return {"top_k": self._vocabulary}
        return None

    def _begin(self, input_ids: torch.LongTensor) -> None:
        rows, columns = input_ids.shape
        if self._start is None:
            self._start = columns
        each, rest = divmod(rows, len(self._samplers))
        if rest or not each:
            raise ParameterError(f"{len(self._samplers)} samplers for {rows} rows; give one for all, or one for each sequence")
        # As `generate` repeats sequences: all answers of the first, then all of the second.
        self._streams = [sampler.stream() if sampler else Stream.plain() for sampler in self._samplers for _ in range(each)]

    def _check(self, input_ids: torch.LongTensor, before: torch.Tensor) -> None:
        start, seen = self._start, before.shape[1]
        same = len(input_ids) == len(before) and input_ids.shape[1] >= start
        if not same or not torch.equal(input_ids[:, :start], before[:, :start]):
            raise ParameterError("other prompts than before: a processor marks one call of generate; make a new one for each")
        # Tokens that are taken back are no harm, streams follow: so does assisted decoding. But rows that grow and differ have changed places.
        if len(input_ids) > 1 and input_ids.shape[1] > seen and not torch.equal(input_ids[:, :seen], before):
            raise UnsupportedError(BEAMS)


class Watermark(BaseWatermarkingConfig):
    """What ``generate(watermarking_config=...)`` takes: marks after temperature and truncation. Arguments as for `WatermarkProcessor`."""

    def __init__(self, samplers: Sampler | Sequence[Sampler | None], *, prompt_length: int | None = None) -> None:
        self._samplers = _listed(samplers)
        self._start = prompt_length

    def validate(self) -> None:
        """Nothing is left to check: samplers cannot be made of wrong parts."""

    def construct_processor(self, vocab_size: int, device: Any) -> WatermarkProcessor:
        """A processor for one call; transformers calls this."""
        vocabulary = _vocabulary(self._samplers)
        if vocab_size < vocabulary:
            raise MismatchError(f"the model has {vocab_size} tokens, the record's tokenizer has {vocabulary}; give the record of this model")
        return WatermarkProcessor(self._samplers, prompt_length=self._start)

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
    """``model.generate(*args, **options)`` with a mark. Refuses beam search and greedy decoding, which leave nothing to mark."""

    def option(name: str) -> Any:
        sources = (options.get(name), getattr(generation_config, name, None), getattr(model.generation_config, name, None))
        return next((value for value in sources if value is not None), None)

    if (option("num_beams") or 1) > 1:
        raise UnsupportedError(BEAMS)
    if not option("do_sample"):
        raise UnsupportedError(GREEDY)
    if generation_config is None:
        return model.generate(*args, watermarking_config=Watermark(samplers), **options)
    generation_config = copy.deepcopy(generation_config)
    generation_config.watermarking_config = Watermark(samplers)
    return model.generate(*args, generation_config=generation_config, **options)


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
