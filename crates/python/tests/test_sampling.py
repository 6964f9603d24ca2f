"""Choosing and biasing from Python, one at a time and in batches."""

import unittest

import numpy as np
from support import DIGEST, sampler

from taggant import Page, Record, RootKey, Sampler, Stream, bias_batch, select_batch

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

    def test_a_list_that_an_engine_has_truncated_to(self):
        own = np.random.default_rng(7)
        for scheme in ("gumbel", "tournament", "greenlist"):
            _, _, choose = sampler(scheme, VOCABULARY)
            whole, listed, turned, plain = ([choose.stream([3, 1]), Stream.plain()] for _ in range(4))
            for step in range(40):
                rows = logits(2, step)
                ids = np.argpartition(-rows, 30, axis=1)[:, :30]
                masked = np.full_like(rows, -np.inf)
                np.put_along_axis(masked, ids, np.take_along_axis(rows, ids, 1), 1)
                order = own.permutation(30)
                some = np.take_along_axis(rows, ids, 1)
                coins = own.integers(2**64, size=2, dtype=np.uint64)
                tokens = select_batch(whole, masked, coins=coins, temperature=0.8).tolist()
                biased = bias_batch(listed, some, ids=ids, temperature=0.8)
                expected = bias_batch(plain, masked, [stream.tokens[:-1] for stream in whole], temperature=0.8)
                self.assertEqual(select_batch(listed, some, ids=ids, coins=coins, temperature=0.8).tolist(), tokens)
                # In any order, as lists or as narrower integers, and one row at a time.
                again = ids[:, order].astype(np.int32) if step % 2 else ids[:, order].tolist()
                self.assertEqual(select_batch(turned, np.ascontiguousarray(some[:, order]), ids=again, coins=coins, temperature=0.8).tolist(), tokens)
                spread = np.full_like(rows, -np.inf)
                np.put_along_axis(spread, ids, biased, 1)
                chances = [np.exp(one - one.max(1, keepdims=True)) for one in (spread, expected)]
                np.testing.assert_allclose(*(one / one.sum(1, keepdims=True) for one in chances), atol=1e-5)

    def test_a_page_holds_what_bias_gives(self):
        for scheme in ("gumbel", "tournament", "greenlist"):
            _, _, choose = sampler(scheme, VOCABULARY)
            streams, page = [choose.stream([4]), choose.stream(), Stream.plain()], Page(3, VOCABULARY + 5)
            self.assertTrue(np.isneginf(page.logits).all())
            kept = page.logits
            for step in range(30):
                # The first columns of wider rows, as of a model that is wider than its tokenizer.
                rows = np.concatenate([logits(3, step), np.full((3, 5), 9, dtype=np.float32)], 1)[:, :VOCABULARY]
                options = ({"top_k": 20}, {"temperature": 0.7, "top_p": 0.8, "min_p": 0.01}, {})[step % 3]
                found = page.bias(streams, rows, **options)
                self.assertIs(found, kept)
                self.assertTrue(np.isneginf(found[:, VOCABULARY:]).all())
                expected = bias_batch(streams, rows, **options)
                chances = [np.exp(one - one.max(1, keepdims=True)) for one in (found[:, :VOCABULARY], expected)]
                np.testing.assert_allclose(*(one / one.sum(1, keepdims=True) for one in chances), atol=1e-5)
                for stream in streams:
                    stream.push(step)

    def test_rows_may_lie_apart(self):
        _, _, choose = sampler("greenlist", VOCABULARY)
        wide = np.concatenate([logits(4, 1), logits(4, 2)], 1)
        part, kept = wide[::-2, :VOCABULARY], wide.copy()
        expected = bias_batch([choose.stream([1, 2]) for _ in range(2)], np.ascontiguousarray(part))
        np.testing.assert_array_equal(bias_batch([choose.stream([1, 2]) for _ in range(2)], part), expected)
        np.testing.assert_array_equal(wide, kept)
        bias_batch([choose.stream([1, 2]) for _ in range(2)], part, out=part)
        np.testing.assert_array_equal(part, expected)
        np.testing.assert_array_equal(wide[::2], kept[::2])
        np.testing.assert_array_equal(wide[:, VOCABULARY:], kept[:, VOCABULARY:])

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
