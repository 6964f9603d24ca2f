"""Marks what llama-cpp-python writes.

    from llama_cpp import Llama
    from taggant import Key, Record, Sampler, detect
    from taggant.llama_cpp import complete

    record, key = Record.load("record.json"), Key.load("east.key")
    answer, tokens = complete(llama, Sampler(record, key), "Why do ships float?", temperature=0.8, top_p=0.95, max_tokens=200)
    print(answer["choices"][0]["text"], detect(key, record, [tokens]))

`complete` takes a text, token ids, or the messages of a chat, and everything that ``create_completion`` or
``create_chat_completion`` takes. The tokens are what to detect by: the engine's answer has only text, which need not be split
into the same tokens again.

For streaming, hand the engine a `Mark` of your own, a new one for each completion, and look at its `tokens` in the end::

    mark = Mark(sampler, temperature=0.8, top_p=0.95)
    for piece in llama.create_completion(prompt, logits_processor=LogitsProcessorList([mark]), stream=True):
        ...
    detect(key, record, [mark.tokens])

A processor runs first in the engine's chain, before penalties, truncation and temperature. A mark that chooses tokens must see
what these leave, so give temperature, top-k, top-p and min-p to `Mark`, which applies them itself and puts every other token a
thousand logits below its choice; what the engine then does with its own changes nothing. A grammar comes later still: where it
forbids the choice, the engine draws from what it allows, and the mark goes on from that token. `complete` refuses what would
silently take the mark away:

- ``logit_bias``: beside a processor, llama-cpp-python 0.3 drops both;
- penalties and mirostat, which would act after the choice, and so not at all;
- a ``draft_model``: the engine then shows a processor tokens that are not yet part of the response;
- ``temperature=0``, which leaves no choice to mark.

Errors inside a processor do not reach Python's caller, the engine prints them and goes on. So a `Mark` keeps its error, `tokens`
raises it, and so does `complete`. """

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._taggant import LogitsError, ParameterError, Sampler, UnsupportedError
from .batches import Sampling, seeded

__all__ = ["Mark", "complete"]

BELOW = 1000.0
"""How far below the choice all other logits are put: out of reach at any temperature, yet in their order, for a grammar to choose from."""
NEUTRAL = {"repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "mirostat_mode": 0}
REUSED = "these are not the tokens of the completion that this Mark began with; make a new one for each, and use no draft model"


class Mark:
    """A logits processor for one completion. ``seed`` makes the positions that the mark leaves to chance repeatable."""

    def __init__(
        self,
        sampler: Sampler,
        *,
        temperature: float = 0.8,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        seed: int | None = None,
    ) -> None:
        if temperature <= 0:
            raise UnsupportedError(f"temperature is {temperature}: the likeliest token leaves no choice to mark; give one above 0")
        self._vocabulary = sampler.record.vocabulary
        self._sampling = Sampling(temperature, top_k, top_p, min_p)
        self._seed, self._stream = seed, sampler.stream()
        self._prompt: NDArray[np.intc] | None = None
        self._seen = 0
        self._error: Exception | None = None

    @property
    def tokens(self) -> list[int]:
        """The response, as token ids. Raises what went wrong, if the response is not wholly marked."""
        if self._error is not None:
            raise self._error
        return self._stream.tokens

    def __call__(self, input_ids: NDArray[np.intc], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the engine calls for each token."""
        try:
            return self._marked(input_ids, scores)
        except Exception as error:
            self._error = self._error or error
            raise

    def _marked(self, input_ids: NDArray[np.intc], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._prompt is None:
            self._prompt = input_ids.copy()
        elif len(input_ids) != self._seen + 1 or not np.array_equal(input_ids[: len(self._prompt)], self._prompt):
            raise ParameterError(REUSED)
        self._seen = len(input_ids)
        response = input_ids[len(self._prompt) :]
        if len(response) and response[-1] != self._stream.tokens[-1]:
            # A grammar forbade our choice, and the engine took another token.
            self._stream.follow(response)
        if len(scores) < self._vocabulary:
            raise LogitsError(
                f"{len(scores)} logits, but the record's tokenizer has {self._vocabulary} tokens; give the record of this model"
            )
        # Models are often wider than their tokenizers; ids beyond the vocabulary are never chosen.
        logits = np.ascontiguousarray(scores[: self._vocabulary], dtype=np.float32)
        coin = None if self._seed is None else seeded(self._seed, len(self._stream))
        token = self._stream.select(logits, coin=coin, **self._sampling._asdict())
        out = scores - np.float32(BELOW)
        out[token] = scores[token]
        return out


def complete(
    llama: Any,
    sampler: Sampler,
    prompt: str | Sequence[int] | Sequence[dict[str, Any]],
    *,
    temperature: float = 0.8,
    top_k: int = 40,
    top_p: float = 0.95,
    min_p: float = 0.05,
    seed: int | None = None,
    **options: Any,
) -> tuple[dict[str, Any], list[int]]:
    """The engine's answer to a prompt or to the messages of a chat, marked, and its tokens. The defaults are the engine's."""
    from llama_cpp import LogitsProcessorList

    _refuse(llama, options)
    mark = Mark(sampler, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    chat = not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], dict)
    call = llama.create_chat_completion if chat else llama.create_completion
    answer = call(prompt, logits_processor=LogitsProcessorList([mark]), temperature=temperature, seed=seed, **options)
    return answer, mark.tokens


def _refuse(llama: Any, options: dict[str, Any]) -> None:
    if getattr(llama, "draft_model", None) is not None:
        raise UnsupportedError(
            "a draft model cannot be marked: its tokens are shown before they are part of the response; load without draft_model"
        )
    if options.get("logit_bias"):
        raise UnsupportedError("logit_bias beside a processor makes llama-cpp-python drop both; leave it out")
    if options.get("stream"):
        raise UnsupportedError("streams have no answer to give back; hand a taggant.llama_cpp.Mark to the engine, see its module")
    if "logits_processor" in options:
        raise UnsupportedError("other processors would act beside the choice; put a taggant.llama_cpp.Mark last in a list of your own")
    for name, value in NEUTRAL.items():
        if options.get(name, value) != value:
            raise UnsupportedError(f"{name} is {options[name]}; it would act after the mark has chosen, and so not at all; leave it out")
