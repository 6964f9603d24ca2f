"""Mark what a model says under transformers, and find the mark again.

    python3 mark_with_transformers.py MODEL

MODEL is a folder or a name that transformers knows. Needs pip install 'taggant[transformers]'. The key is new each time and
forgotten: a provider keeps it, with `key.save`, and the record beside it. """

import hashlib
import sys

from taggant import Record, RootKey, Sampler, detect
from taggant.transformers import generate, responses


def main(name):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
    asked = ["Why do ships float?", "Tell me about lighthouses."]
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True) for text in asked
    ]
    inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")

    # Names the tokenizer, so that nobody looks for the mark in ids of another. `taggant generate` writes a digest of the vocabulary.
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    key = RootKey.generate().derive("2026-12/campaign/east")
    record = Record("gumbel", 2, key, tokenizer=digest, vocabulary=model.config.vocab_size)

    output = generate(model, Sampler(record, key), **inputs, do_sample=True, temperature=1.0, top_p=0.95, max_new_tokens=120)
    rows = responses(inputs["input_ids"], output, tokenizer.eos_token_id, inputs["attention_mask"])
    for row in rows:
        print(tokenizer.decode(row["tokens"]).strip()[:70])

    # Three lines: the key, its record, the rows.
    found = detect(key, record, rows)
    print(f"right key: {found.verdict}, log10 p = {found.log10_p:.1f}, {found.units} units")
    other = RootKey.generate().derive("2026-12/campaign/west")
    innocent = detect(other, Record("gumbel", 2, other, tokenizer=digest, vocabulary=record.vocabulary), rows)
    print(f"wrong key: {innocent.verdict}, log10 p = {innocent.log10_p:.1f}")
    return 0 if found.detected and not innocent.detected else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
