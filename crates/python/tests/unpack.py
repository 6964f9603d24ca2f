"""A GGUF model as a folder that engines of the transformers kind load: python unpack.py MODEL.gguf FOLDER."""

import sys
from pathlib import Path


def unpack(source: Path, folder: Path) -> None:
    """Writes the model in single precision, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # What was read from a GGUF counts as quantised and is not written; the same weights in a model made anew are.
    del read.config.quantization_config
    plain = type(read)(read.config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


if __name__ == "__main__":
    unpack(*map(Path, sys.argv[1:]))
