"""Dump a model's next-token probabilities over given texts, for `taggant test --mode open`.

    python3 dump_transformers.py MODEL rows.jsonl dump.jsonl [TOP]

Rows are JSONL with `id`, `prompt` or `prompt_tokens`, and `tokens` or `response`. Give suspect and reference the same rows, with ids of
tokens: text that is encoded again may give others. Needs torch and transformers. Each line written has

    id, prompt_tokens, tokens   what was read: the response's tokens were forced, not sampled
    top                         for each token of the response, the TOP (64) most probable [token, ln p] before it was seen

The forced token is in no list unless it is among the most probable: a key may have chosen it.
"""
import json
import sys


def ids(tokenizer, row, tokens, text, special):
    if row.get(tokens) is not None:
        return row[tokens]
    return tokenizer.encode(row.get(text) or "", add_special_tokens=special)


def main(name, source, target, top="64"):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForCausalLM.from_pretrained(name, dtype="auto", device_map="auto").eval()
    with open(source, encoding="utf-8") as rows, open(target, "w", encoding="utf-8") as out:
        for number, line in enumerate(rows, 1):
            if not line.strip():
                continue
            row = json.loads(line)
            prompt = ids(tokenizer, row, "prompt_tokens", "prompt", True)
            tokens = ids(tokenizer, row, "tokens", "response", False)
            if not prompt:
                sys.exit(f"line {number}: no prompt; a model needs a token to begin with")
            read = torch.tensor([prompt + tokens], device=model.device)
            with torch.inference_mode():
                logits = model(read).logits[0, len(prompt) - 1 : -1].float()
            best = torch.log_softmax(logits, -1).topk(min(int(top), logits.shape[-1]))
            lists = [
                [[token, round(min(ln, 0.0), 6)] for token, ln in zip(*pair)]
                for pair in zip(best.indices.tolist(), best.values.tolist())
            ]
            dump = {"id": row.get("id", number), "prompt_tokens": prompt, "tokens": tokens, "top": lists}
            out.write(json.dumps(dump, allow_nan=False) + "\n")


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
