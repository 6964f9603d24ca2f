"""Writes blocks.txt: one pseudo-random block of each format, and its weights by ggml's rules.

    pip install gguf==0.19.0 && python3 blocks.py > blocks.txt

Each line: ggml type number, the block in hex, its f32 weights (little-endian) in hex.
"""

import random

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Where each format keeps half-precision scales: random bits there would give NaNs.
SCALES = {
    Type.F16: [0],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}

generator = random.Random(20261123)
for kind in [Type.F32, Type.F16, Type.BF16, *list(SCALES)[1:]]:
    for _ in range(3):
        block = bytearray(generator.randbytes(GGML_QUANT_SIZES[kind][1]))
        if kind in (Type.F32, Type.BF16):
            block[-1] &= 0xBF  # keeps the exponent below that of infinity
        for at in SCALES.get(kind, []):
            block[at : at + 2] = np.float16(generator.uniform(-0.1, 0.1)).tobytes()
        weights = dequantize(np.frombuffer(bytes(block), np.uint8), kind).astype("<f4")
        print(int(kind), block.hex(), weights.tobytes().hex())
