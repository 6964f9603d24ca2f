"""Fills in the second column of smollm2.txt: ln p of each token of SmolLM2-135M-Instruct.

    pip install gguf==0.19.0 && python3 smollm2.py MODEL.gguf

An oracle for the engine's tests: the published architecture (half-split rotary embedding, as in
the original weights, not the permuted one of GGUF files) in f64 on the dequantised weights. It
shares no code with the engine. Sequences are separated by empty lines; the first token of each
has no probability.
"""

import pathlib
import sys

import numpy as np
from gguf import GGUFReader, dequantize

HEADS, SHARED, HEAD, LAYERS = 9, 3, 64, 30


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def unpermuted(weight, heads):
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def rotated(x):
    angles = np.arange(len(x))[:, None] * 100000.0 ** (-np.arange(0, HEAD, 2) / HEAD)
    cos, sin = (np.concatenate([f(angles)] * 2, 1)[:, None] for f in (np.cos, np.sin))
    half = HEAD // 2
    return x * cos + np.concatenate([-x[..., half:], x[..., :half]], -1) * sin


def logits(weights, tokens):
    length = len(tokens)
    x = weights["token_embd.weight"][tokens]
    mask = np.triu(np.full((length, length), -np.inf), 1)
    for layer in range(LAYERS):
        part = lambda name: weights[f"blk.{layer}.{name}.weight"]
        h = norm(x, part("attn_norm"))
        query = (h @ unpermuted(part("attn_q"), HEADS).T).reshape(length, HEADS, HEAD)
        key = (h @ unpermuted(part("attn_k"), SHARED).T).reshape(length, SHARED, HEAD)
        value = (h @ part("attn_v").T).reshape(length, SHARED, HEAD)
        key = rotated(key).repeat(HEADS // SHARED, 1)
        scores = np.einsum("thd,shd->hts", rotated(query), key) / np.sqrt(HEAD) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        value = value.repeat(HEADS // SHARED, 1)
        attended = np.einsum("hts,shd->thd", scores, value).reshape(length, -1)
        x = x + attended @ part("attn_output").T
        h = norm(x, part("ffn_norm"))
        gate = h @ part("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ part("ffn_up").T)) @ part("ffn_down").T
    return norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T


weights = {
    tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
    for tensor in GGUFReader(sys.argv[1]).tensors
}
table = pathlib.Path(__file__).with_name("smollm2.txt")
sequences = table.read_text().strip().split("\n\n")
out = []
for sequence in sequences:
    tokens = [int(line.split()[0]) for line in sequence.split("\n")]
    lines = [str(tokens[0])]
    for row, token in zip(logits(weights, tokens), tokens[1:]):
        lines.append(f"{token} {row[token] - row.max() - np.log(np.exp(row - row.max()).sum()):.7f}")
    out.append("\n".join(lines))
table.write_text("\n\n".join(out) + "\n")
