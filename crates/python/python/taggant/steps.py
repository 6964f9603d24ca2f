"""One step of a serving engine: its logits, in torch, become masks that leave the marked tokens. Plug-ins use it; users need not."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from .batches import LEFT, Response, choose

__all__ = ["step"]

log = logging.getLogger(__name__)


def step(logits: torch.Tensor, rows: Sequence[int], responses: Sequence[Response], vocabulary: int) -> torch.Tensor:
    """Chooses the next tokens of these rows, one response each, and masks all others, in place."""
    if not rows:
        return logits
    # The engine's own generator, which all workers of a group have in the same state: they must choose the same tokens.
    coins = torch.randint(-(2**63), 2**63 - 1, (len(rows),), dtype=torch.int64, device=logits.device).cpu().numpy().view(np.uint64)
    index = torch.tensor(rows, device=logits.device)
    wanted = logits if list(rows) == list(range(len(logits))) else logits[index]
    # Models are often wider than their tokenizers; ids beyond the vocabulary are never sampled.
    host = wanted[:, :vocabulary].to("cpu", torch.float32).contiguous()
    tokens = torch.from_numpy(choose(responses, host.numpy(), coins))
    if left := int((tokens == LEFT).sum()):
        log.warning("%d of %d rows have no finite logits and are left to the engine", left, len(rows))
        index, tokens = index[(tokens != LEFT).to(logits.device)], tokens[tokens != LEFT]
    logits.index_fill_(0, index, -torch.inf)
    logits[index, tokens.to(logits.device)] = 0.0
    return logits
