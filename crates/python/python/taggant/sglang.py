"""Marks what SGLang serves.

A file names the marks (see `taggant.serving`) and the environment of the server names the file::

    export TAGGANT_MARKS=/etc/taggant/marks.toml
    python -m sglang.launch_server --model-path MODEL --enable-custom-logit-processor

SGLang takes processors from requests. `fields` makes what a request must carry, and your gateway is who should write it::

    requests.post(f"{server}/generate", json={"text": prompt, **fields("east", temperature=0.8, top_p=0.95)})
    engine.generate(prompt, **fields("east", temperature=0.8, top_p=0.95))     # the same in Python

What travels is the name of the class and of the account: the class is pickled by reference, so the server must have this package
installed, and the keys are read there. ``--enable-custom-logit-processor`` lets whoever can send requests run code on the server,
by SGLang's own design: keep such a port behind your gateway, and let that drop the field ``custom_logit_processor`` of what
clients send.

SGLang calls processors after the grammar and the penalties and before temperature and truncation, which the mark applies by itself from
the request's parameters; then it chooses the token and masks all others. Greedy requests are left alone. With the overlap
schedule (SGLang's default) a processor sees the response one token late; the mark chose that token, so it goes on from its own word.

Refused: speculative decoding, where one call stands for several positions. SGLang itself refuses processors beside
``--enable-watermark``. ``sampling_seed`` is not followed; chance comes from the server's generator. """

import logging
import weakref
from typing import Any

try:
    import torch
    from sglang.srt.sampling.custom_logit_processor import CustomLogitProcessor
except ImportError as error:
    raise ImportError(f"taggant.sglang needs SGLang ({error})") from error

from ._taggant import MismatchError, UnsupportedError
from .batches import Response, Sampling
from .issued import Serving
from .serving import FIELD, Marks, Request, RequestError, account_of, uses_tools
from .steps import step

__all__ = ["Mark", "fields"]

log = logging.getLogger(__name__)
REQUEST = "__req__"
"""Under which SGLang hands a processor the request itself."""
STATE = "taggant_response"
"""The attribute of SGLang's request that holds our state, so that it lives as long as the request and goes where it goes."""


SERVING, LIFE = "taggant_serving", "taggant_life"


class Mark(CustomLogitProcessor):
    """Marks each request as the server's file of marks says."""

    def __call__(self, logits: torch.Tensor, custom_param_list: list[dict[str, Any] | None] | None = None) -> torch.Tensor:
        """What SGLang calls for the rows whose requests carry this class."""
        marks = Marks.served()
        if logits.shape[1] < marks.vocabulary:
            raise MismatchError(
                f"the model has {logits.shape[1]} tokens, the records' tokenizer has {marks.vocabulary}; give the records of this model"
            )
        rows, responses = [], []
        for row, params in enumerate(custom_param_list or []):
            if (response := _response(marks, params)) is not None:
                rows.append(row)
                responses.append(response)
        if len(set(map(id, responses))) < len(responses):
            raise UnsupportedError("one request stands in several rows: speculative decoding cannot be marked; start the server without it")
        for response in responses:
            response.follow(response.tokens, response.pending(response.tokens))
        return step(logits, rows, responses, marks.vocabulary)


def fields(account: str | None = None, **sampling_params: Any) -> dict[str, Any]:
    """What a request must carry to be marked as `account`, or as the server's default: merge it into the request."""
    # Without parameters of its own a processor is not told of its request.
    return {
        "custom_logit_processor": Mark.to_str(),
        "sampling_params": {**sampling_params, "custom_params": {} if account is None else {FIELD: account}},
    }


def _response(marks: Marks, params: dict[str, Any] | None) -> Response | None:
    """The state of the response that a row is of, made when the row is first seen."""
    request = (params or {}).get(REQUEST)
    if request is None:
        log.error(
            "a request is served without a mark: it has no custom_params, so SGLang does not say which it is; use taggant.sglang.fields"
        )
        return None
    if not hasattr(request, STATE):
        response, serving = _begin(marks, params or {}, request)
        setattr(request, STATE, response)
        setattr(request, SERVING, serving)
    known: Response | None = getattr(request, STATE)
    # The list may have been made anew since.
    getattr(request, SERVING).tokens = request.output_ids
    if known is not None:
        known.tokens = request.output_ids
    return known


class _Life:
    """Lives as long as the request that it hangs on."""


def _begin(marks: Marks, params: dict[str, Any], request: Any) -> tuple[Response | None, Serving]:
    sampling = request.sampling_params
    # Temperature 0 has been turned into top-k 1 by the time that a processor sees it.
    temperature = 0.0 if sampling.top_k == 1 else sampling.temperature
    serving = Serving(request.output_ids, request.origin_input_ids, None, None, "its account is not known")
    if (issued := marks.issued()) is not None:
        # SGLang tells no processor that a request has ended; it lets go of it, and of what hangs on it. What we are given is a proxy.
        life = _Life()
        setattr(request, LIFE, life)
        weakref.finalize(life, issued.served, serving)
    try:
        asked = Request(
            account=account_of(params),
            temperature=temperature,
            structured=any(getattr(sampling, name, None) for name in ("json_schema", "regex", "ebnf", "structural_tag")),
            tools=uses_tools(params),
            max_tokens=getattr(sampling, "max_new_tokens", None),
        )
        decision = marks.decide(asked)
    except RequestError as error:
        # Raised here, it would end the server and all other requests with it.
        log.error("a request is served without a mark: %s", error)
        return None, serving
    serving.account, serving.reason = asked.account, decision.reason
    if decision.sampler is None:
        log.debug("a request is served without a mark: %s", decision.reason)
        return None, serving
    serving.record = decision.sampler.record
    top_k = sampling.top_k if 0 < sampling.top_k < marks.vocabulary else 0
    return Response(decision.sampler, request.output_ids, Sampling(temperature, top_k, sampling.top_p, sampling.min_p)), serving
