"""Marks what vLLM serves.

A file names the marks (see `taggant.serving`), the environment names the file, and the engine is told of one class::

    export TAGGANT_MARKS=/etc/taggant/marks.toml VLLM_USE_V2_MODEL_RUNNER=0
    vllm serve MODEL --logits-processors taggant.vllm:Mark

    LLM(model, logits_processors=["taggant.vllm:Mark"])            # the same in Python

A request names its account in ``SamplingParams(extra_args={"taggant": "east"})``, or over HTTP in the body's
``"vllm_xargs": {"taggant": "east"}``. Let your gateway write that field, not the client. No key travels in a request. What comes back is
detected by its token ids::

    detect(key, record, [output.outputs[0].token_ids])

The class is of vLLM's V1 model runner, whose sampler calls it after the grammar, the penalties, the temperature and min-p of each
request, and before its top-k and top-p. Those it applies by itself, then the mark; the token is chosen, and all others are
masked. So every parameter of a request keeps its meaning, a token that the grammar forbids is never chosen, and greedy requests
(temperature 0) are left alone: there is nothing to mark in them.

- Positions that the mark leaves to chance are drawn from vLLM's own generator, and for a request with a ``seed`` from that, so
  such a request repeats itself whatever else is in the batch, as far as the model's logits do.
- With ``n > 1`` the first tokens of each response, as many as the mark's window is long, are drawn by chance, and where they
  differ so does all that follows. Responses that meet the same window lean towards the same token, which is how the mark works; a
  longer window makes that rarer.
- Beam search is not marked: vLLM asks for one token at a time and follows the likeliest.
- Log probabilities are those before the mark (``raw_logprobs``, vLLM's default); the ``processed`` modes show the mask.
- Where the file of marks has a ``[log]``, each response is written into it when vLLM takes it out of the batch, which it does when it next runs; one that
  is preempted is written twice, and the second time whole.
- Speculative decoding is refused by vLLM, which runs no custom processors beside it. So is model runner V2, the default where Triton is
  installed: set ``VLLM_USE_V2_MODEL_RUNNER=0``.
"""

import logging
from typing import TYPE_CHECKING, Any

try:
    import torch
    from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
except ImportError as error:
    raise ImportError(f"taggant.vllm needs vLLM, with the V1 model runner's logits processors ({error})") from error

from ._taggant import MismatchError, UnsupportedError
from .batches import Batch, Response, Sampling
from .issued import Serving
from .serving import Marks, Request, RequestError, account_of, uses_tools
from .steps import step

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

__all__ = ["Mark"]

log = logging.getLogger(__name__)
PLACEHOLDER = -1
"""What stands in the list of a response's tokens for one that vLLM has sampled but not yet fetched (asynchronous scheduling)."""


class Mark(LogitsProcessor):
    """Marks each request as the file of marks says. vLLM makes one for each worker."""

    @classmethod
    def validate_params(cls, sampling_params: "SamplingParams") -> None:
        """Refuses an account that the file of marks does not know; vLLM answers the client."""
        Marks.served().decide(_request(sampling_params))

    def __init__(self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool) -> None:
        self._marks = Marks.served()
        if getattr(vllm_config, "watermark_config", None) is not None:
            raise UnsupportedError(
                "vLLM's own watermark is on (--watermark-config), and a response carries one mark; take one of them away"
            )
        width = vllm_config.model_config.get_vocab_size()
        if width < self._marks.vocabulary:
            raise MismatchError(
                f"the model has {width} tokens, the records' tokenizer has {self._marks.vocabulary}; give the records of this model"
            )
        self._batch: Batch[Response] = Batch()
        # What is on its way, marked or not, for the issuance log.
        self._served: Batch[Serving] = Batch()
        self._issued = self._marks.issued()

    def is_argmax_invariant(self) -> bool:
        """True: greedy requests are left alone. vLLM then calls after penalties and temperature, and not at all where all are greedy."""
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Takes up the requests that came, went or moved."""
        if batch_update is None:
            return
        removed = list(batch_update.removed)
        begun = [(row, *self._begin(params, prompt, tokens)) for row, params, prompt, tokens in batch_update.added]
        moved = [(source, target, direction.name == "SWAP") for source, target, direction in batch_update.moved]
        if self._issued is not None:
            for ended in self._served.update(removed, [(row, serving) for row, _, serving in begun], moved):
                self._issued.served(ended)
        self._batch.update(removed, [(row, response) for row, response, _ in begun], moved)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Chooses the marked requests' tokens and masks all others."""
        rows, responses = [], []
        for row, response in self._batch.rows.items():
            if _follow(response):
                rows.append(row)
                responses.append(response)
        return step(logits, rows, responses, self._marks.vocabulary)

    def _begin(self, params: "SamplingParams", prompt: list[int] | None, tokens: list[int]) -> tuple[Response | None, Serving]:
        """A response that begins, or goes on after it was preempted, and what is to be said of it when it ends."""
        try:
            request = _request(params)
            decision = self._marks.decide(request)
        except RequestError as error:
            # It was checked when it came; raised here, it would end the engine and all other requests with it.
            log.error("a request is served without a mark: %s", error)
            return None, Serving(tokens, prompt, None, None, "its account is not known")
        serving = Serving(tokens, prompt, request.account, decision.sampler and decision.sampler.record, decision.reason)
        if decision.sampler is None:
            log.debug("a request is served without a mark: %s", decision.reason)
            return None, serving
        return Response(decision.sampler, tokens, Sampling(top_k=max(params.top_k, 0), top_p=params.top_p), params.seed), serving


def _follow(response: Response) -> bool:
    """Brings a response to where the engine is. vLLM fetches what it has sampled before it samples again, so placeholders should be gone by
    then; should some be left, the tokens are those we chose."""
    tokens, pending = response.tokens, 0
    while pending < len(tokens) and tokens[-1 - pending] == PLACEHOLDER:
        pending += 1
    return response.follow(tokens[: len(tokens) - pending] if pending else tokens, pending)


def _request(params: Any) -> Request:
    return Request(
        account=account_of(params.extra_args),
        temperature=params.temperature,
        structured=getattr(params, "structured_outputs", None) is not None,
        tools=uses_tools(params.extra_args),
        max_tokens=params.max_tokens,
    )
