"""Serve two accounts with vLLM, each under a key of its own, and tell their answers apart.

    python3 serve_vllm.py MODEL

MODEL is a folder or a name that vLLM knows. Keys are made in a folder that is thrown away; a provider makes them once, with
`taggant key`, and keeps them. The same works over HTTP: `vllm serve MODEL --logits-processors taggant.vllm:Mark`, and the account
in the body's `vllm_xargs`. """

import hashlib
import os
import sys
import tempfile
from pathlib import Path

# Processors of this kind are of the first model runner. Where the second is the default, this asks for the first.
os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"

from taggant import Record, RootKey, detect

ACCOUNTS = "east", "west"


def marks(folder, model):
    """Keys, records and the file that names them. Returns each account's key and record."""
    from transformers import AutoConfig, AutoTokenizer

    digest = hashlib.sha256(AutoTokenizer.from_pretrained(model).backend_tokenizer.to_str().encode()).hexdigest()
    vocabulary = AutoConfig.from_pretrained(model).vocab_size
    root, made, lines = RootKey.generate(), {}, []
    for name in ACCOUNTS:
        key = root.derive(f"2026-12/account/{name}")
        record = Record("gumbel", 2, key, tokenizer=digest, vocabulary=vocabulary)
        key.save(folder / f"{name}.key")
        record.save(folder / f"{name}.json")
        lines.append(f'[mark.{name}]\nrecord = "{name}.json"\nkeys = ["{name}.key"]\n')
        made[name] = key, record
    (folder / "marks.toml").write_text("\n".join(lines))
    os.environ["TAGGANT_MARKS"] = str(folder / "marks.toml")
    return made


def main(model):
    with tempfile.TemporaryDirectory() as folder:
        made = marks(Path(folder), model)
        from vllm import LLM, SamplingParams

        llm = LLM(model, max_model_len=1024, enforce_eager=True, logits_processors=["taggant.vllm:Mark"])
        asked = ["Why do ships float?", "Tell me about lighthouses."]
        chats = [[{"role": "user", "content": text}] for text in asked for _ in ACCOUNTS]
        names = [name for _ in asked for name in ACCOUNTS]
        params = [SamplingParams(temperature=1.0, top_p=0.95, max_tokens=120, extra_args={"taggant": name}) for name in names]
        outputs = llm.chat(chats, params, use_tqdm=False)
        # Or Python may wait for the engine's process, and that for us.
        llm.llm_engine.engine_core.shutdown()

        right = True
        for name, output in zip(names, outputs):
            tokens = list(output.outputs[0].token_ids)
            found = {account: detect(*made[account], [tokens]) for account in ACCOUNTS}
            print(
                f"served to {name}: " + ", ".join(f"key of {account} log10 p = {report.log10_p:.1f}" for account, report in found.items())
            )
            right &= min(found, key=lambda account: found[account].log10_p) == name
        return 0 if right else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
