"""Choosing and biasing from Python, one at a time and in batches."""

import unittest

import numpy as np
from support import DIGEST, sampler

from taggant import Record, RootKey, Sampler, Stream, bias_batch, select_batch

VOCABULARY = 500


def logits(rows: int, seed: int, scale: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=(rows, VOCABULARY)).astype(np.float32)


class Sampling(unittest.TestCase):
    def test_a_context_and_a_stream_give_the_same_tokens(self):
        for scheme in ("gumbel", "tournament", "greenlist"):
            for options in ({}, {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.01}, {"temperature": 0.0}):
                with self.subTest(scheme, options=options):
                    _, _, choose = sampler(scheme, VOCABULARY)
                    stream, response = choose.stream(), []
                    for step, row in enumerate(logits(60, 1)):
                        token = choose.select(row, response, coin=step << 58, **options)
                        self.assertEqual(stream.select(row, coin=step << 58, **options), token)
                        response.append(token)
                    self.assertEqual((stream.tokens, len(stream)), (response, 60))
                    if not options.get("temperature", 1):
                        self.assertEqual(response, logits(60, 1).argmax(1).tolist())

    def test_a_batch_is_its_rows_with_keys_of_their_own(self):
        root = RootKey.from_bytes(bytes(32))
        keys = [[root.derive("e/campaign/c"), root.derive(f"e/account/{number}")] for number in range(7)]
        records = [Record("gumbel", 2, own, tokenizer=DIGEST, vocabulary=VOCABULARY) for own in keys]
        samplers = [Sampler(record, own) for record, own in zip(records, keys)]
        streams = [own.stream() for own in samplers] + [Stream.plain()]
        alone = [own.stream() for own in samplers] + [Stream.plain()]
        for step in range(40):
            rows = logits(8, step)
            coins = np.random.default_rng(step).integers(2**64, size=8, dtype=np.uint64)
            biased = bias_batch(streams, rows, top_p=0.9)
            self.assertEqual((biased.shape, biased.dtype), ((8, VOCABULARY), np.float32))
            np.testing.assert_array_equal(biased[3], alone[3].bias(rows[3], top_p=0.9))
            tokens = select_batch(streams, rows, top_p=0.9, coins=coins)
            self.assertEqual(tokens.tolist(), [one.select(row, top_p=0.9, coin=int(coin)) for one, row, coin in zip(alone, rows, coins)])
        self.assertEqual(len({tuple(stream.tokens) for stream in streams}), 8)

    def test_contexts_are_followed(self):
        _, _, choose = sampler("gumbel", VOCABULARY)
        contexts = np.random.default_rng(1).integers(VOCABULARY, size=(3, 30))
        rows, streams = logits(3, 2), [choose.stream() for _ in range(3)]
        # One token more, many more, other tokens, fewer.
        for context in (contexts[:, :1], contexts[:, :20], contexts[::-1, :25], contexts[:, :5], contexts[:, :0]):
            found = bias_batch(streams, rows, context)
            expected = [choose.bias(row, own) for row, own in zip(rows, context)]
            np.testing.assert_array_equal(found, expected)
        tokens = select_batch(streams, rows, contexts.tolist(), coins=[0, 0, 0])
        self.assertEqual(tokens.tolist(), [choose.select(row, own, coin=0) for row, own in zip(rows, contexts)])

    def test_arrays_are_changed_only_where_asked(self):
        _, _, choose = sampler("greenlist", VOCABULARY)
        rows = logits(2, 3)
        rows.flags.writeable = False
        kept, context = rows.copy(), [4, 5]
        biased = choose.bias(rows[0], context)
        np.testing.assert_array_equal(rows, kept)
        self.assertEqual(set(np.round(biased - rows[0], 3)), {np.float32(0.0), np.float32(np.round((biased - rows[0]).max(), 3))})
        out = np.empty(VOCABULARY, dtype=np.float32)
        self.assertIs(choose.bias(rows[0], context, out=out), out)
        np.testing.assert_array_equal(out, biased)
        own = rows.copy()
        streams = [choose.stream(context) for _ in range(2)]
        self.assertIs(bias_batch(streams, own, out=own), own)
        np.testing.assert_array_equal(own[0], biased)

    def test_the_first_window_and_repeats_are_left_to_chance(self):
        _, _, choose = sampler("gumbel", VOCABULARY)
        row = logits(1, 4)[0]
        for context in ([], [1], [1, 2, 1, 2]):
            np.testing.assert_array_equal(choose.bias(row, context), row)
            self.assertGreater(len({choose.select(row, context) for _ in range(40)}), 5)
        self.assertEqual(len({choose.select(row, [1, 2]) for _ in range(40)}), 1)

    def test_a_masked_token_is_never_chosen(self):
        _, _, choose = sampler("gumbel", VOCABULARY)
        row = np.full(VOCABULARY, -np.inf, dtype=np.float32)
        row[[5, 9]] = 0
        self.assertLessEqual({choose.select(row, [1, token]) for token in range(50)}, {5, 9})


if __name__ == "__main__":
    unittest.main()
