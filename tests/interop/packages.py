"""The real packages, loaded without what they would drag in.

Some of them import a whole serving engine or plotting stack on the way to the few modules that mark and detect. `bare` puts an empty package
in place of such an `__init__`, with the real package's path, so that its submodules are found and run as they are. What is put in place of
missing modules is small and listed in this file; every keyed function, sampler and statistic is the package's own.
"""

import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

# The engines of whose wheels only the watermark modules are unpacked (install.sh), beside this interpreter's environment unless told.
DEFAULT = Path(sys.prefix) / "peers"


def use(folder: Path) -> None:
    """Lets packages be found in the folders that `folder` holds."""
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for package in sorted(folder.glob("*/")) if folder.is_dir() else []:
        sys.path.insert(0, str(package))


def bare(name: str) -> None:
    """An empty package of this name where the real one is."""
    if name in sys.modules:
        return
    parent, _, own = name.rpartition(".")
    if parent:
        bare(parent)
        places = [str(Path(place) / own) for place in sys.modules[parent].__path__]
    else:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"package {name} is not there; run install.sh, or give --peers")
        places = list(spec.submodule_search_locations)
    module = types.ModuleType(name)
    module.__path__ = places
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], own, module)


def stand_in(name: str, **members: Any) -> None:
    """A module that holds nothing but these."""
    module = types.ModuleType(name)
    for member, value in members.items():
        setattr(module, member, value)
    sys.modules[name] = module


def vllm() -> types.SimpleNamespace:
    """vLLM's configuration class and watermark modules."""
    import pydantic

    for name in ("vllm.config", "vllm.v1.worker.gpu.sample"):
        bare(name)

    class Logger:
        def warning_once(self, *_: Any, **__: Any) -> None:
            pass

    stand_in("vllm.logger", init_logger=lambda _: Logger())
    stand_in("vllm.config.utils", config=pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="forbid")))
    # The engine's plain sampler is a GPU kernel: what it draws carries no mark.
    stand_in("vllm.v1.worker.gpu.sample.gumbel", gumbel_sample=lambda logits, *_, **__: sample(logits))
    import vllm.v1.watermarking as watermarking
    from vllm.config.watermarking import WatermarkConfig
    from vllm.v1.watermarking.watermarker import RandomSampler

    return types.SimpleNamespace(marking=watermarking, WatermarkConfig=WatermarkConfig, RandomSampler=RandomSampler)


def sglang() -> types.SimpleNamespace:
    """SGLang's configuration, its reference selection on the CPU, and its detector."""
    bare("sglang.srt.sampling")
    from sglang.srt.sampling.watermarking import config, core, detector

    return types.SimpleNamespace(config=config, core=core, detector=detector)


def synthid_text() -> types.SimpleNamespace:
    """DeepMind's logits processor, and its means, which only need the numpy part of jax."""
    bare("synthid_text")
    if "jax" not in sys.modules and importlib.util.find_spec("jax") is None:
        bare_jax = types.ModuleType("jax")
        bare_jax.numpy = np
        sys.modules["jax"], sys.modules["jax.numpy"] = bare_jax, np
    from synthid_text import detector_mean, logits_processing

    return types.SimpleNamespace(means=detector_mean, Processor=logits_processing.SynthIDLogitsProcessor)


def textseal() -> types.SimpleNamespace:
    """TextSeal's configuration, generators and detectors."""
    bare("textseal.posthoc")
    bare("textseal.common.watermark")
    from textseal.common.watermark import core, pseudorandom
    from textseal.posthoc import detector, generator

    return types.SimpleNamespace(core=core, prf=pseudorandom, detector=detector, generator=generator)


def markllm() -> types.SimpleNamespace:
    """MarkLLM's KGW, Unigram and EXP."""
    bare("markllm.watermark")
    for name in ("utils", "exceptions", "visualize"):
        bare(f"markllm.{name}")
    from markllm.utils.transformers_config import TransformersConfig
    from markllm.watermark.exp import EXP
    from markllm.watermark.kgw import KGW
    from markllm.watermark.unigram import Unigram

    return types.SimpleNamespace(TransformersConfig=TransformersConfig, KGW=KGW, Unigram=Unigram, EXP=EXP)


def sample(logits: torch.Tensor) -> torch.Tensor:
    """A token of each row by the distribution of its logits, from torch's global generator."""
    return torch.multinomial(torch.softmax(logits.float(), dim=-1), 1).squeeze(-1)


class IdTokenizer:
    """Lets packages that insist on text work on token ids: their text is the ids in decimal."""

    def __init__(self, vocabulary: int) -> None:
        self.vocab_size = vocabulary

    def __len__(self) -> int:
        return self.vocab_size

    def add_special_tokens(self, *_: Any) -> None:
        """Only asked for by name: its presence says that this is no tiktoken encoding."""

    def encode(self, text: str, return_tensors: str | None = None, **_: Any) -> Any:
        ids = [int(word) for word in text.split()]
        return torch.tensor([ids], dtype=torch.long) if return_tensors else ids

    def __call__(self, text: str, **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": self.encode(text, return_tensors="pt")}

    def decode(self, ids: Any, **_: Any) -> str:
        return " ".join(str(int(token)) for token in ids)


class ZipfModel:
    """A language model that is none: logits of a Zipf law whose order of tokens, and whose sharpness, depend on the last two tokens."""

    STATES = 64

    def __init__(self, vocabulary: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        ranks = torch.stack([torch.randperm(vocabulary, generator=random) for _ in range(self.STATES)])
        # From nearly flat to nearly certain, so that windows repeat now and then.
        sharpness = torch.linspace(0.8, 2.5, self.STATES).unsqueeze(-1)
        self.bank = -sharpness * torch.log1p(ranks.float())
        self.config = types.SimpleNamespace(
            vocab_size=vocabulary, bos_token_id=-1, eos_token_id=vocabulary, pad_token_id=vocabulary, is_encoder_decoder=False,
            max_position_embeddings=1 << 20, _name_or_path="zipf",
        )
        self.device = torch.device("cpu")

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """The next token's logits after each row of tokens."""
        if tokens.shape[-1] == 0:
            return self.bank[:1].expand(tokens.shape[0], -1)
        before = tokens[:, -2] if tokens.shape[-1] > 1 else 0
        return self.bank[(tokens[:, -1] * 31 + before * 7) % self.STATES]

    def __call__(self, tokens: torch.Tensor, **_: Any) -> types.SimpleNamespace:
        return types.SimpleNamespace(logits=self.logits(tokens).unsqueeze(1), past_key_values=None)


Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def write(model: ZipfModel, rows: int, length: int, step: Step, prompts: torch.Tensor | None = None) -> list[list[int]]:
    """Rows of tokens after the prompts, each token chosen by `step` from all tokens so far and the next one's logits."""
    tokens = torch.empty((rows, 0), dtype=torch.long) if prompts is None else prompts
    start = tokens.shape[1]
    for _ in range(length):
        chosen = step(tokens, model.logits(tokens).clone())
        tokens = torch.cat([tokens, chosen.view(-1, 1)], dim=1)
    return tokens[:, start:].tolist()
