"""Marks under llama-cpp-python: the processor alone always, the real engine with SmolLM2 where TAGGANT_GGUF names it."""

import os
import sys
import time
import unittest
from unittest import mock

import numpy as np
from support import DIGEST, sampler

import taggant
from taggant import Record, RootKey, Sampler, detect
from taggant.llama_cpp import Mark, complete

VOCABULARY, WIDTH = 500, 520


def scores(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(scale=2.0, size=WIDTH).astype(np.float32)


class Alone(unittest.TestCase):
    """As the engine calls it: the prompt's tokens and the response's, and logits one record apart in memory."""

    def setUp(self):
        self.key, self.record, self.sampler = sampler(vocabulary=VOCABULARY)

    def write(self, mark: Mark, prompt: list[int], steps: int, forbid: frozenset[int] = frozenset()) -> list[int]:
        ids = list(prompt)
        for step in range(steps):
            records = np.zeros(WIDTH, dtype=[("id", np.intc), ("logit", np.single), ("p", np.single)])
            records["logit"] = scores(step)
            records["logit"][:] = mark(np.array(ids, dtype=np.intc), records["logit"])
            order = np.argsort(-records["logit"])
            # A grammar that comes later forbids the choice, and the engine takes the best of what is left.
            ids.append(int(order[1] if step in forbid else order[0]))
        return ids[len(prompt) :]

    def test_it_finds_where_the_response_begins(self):
        for prompt in ([5], list(range(200))):
            mark = Mark(self.sampler, seed=1)
            tokens = self.write(mark, prompt, 120)
            self.assertEqual(mark.tokens, tokens)
            self.assertTrue(detect(self.key, self.record, [tokens]).detected)

    def test_the_same_logits_give_the_tokens_of_select(self):
        options = {"temperature": 0.7, "top_k": 30, "top_p": 0.9, "min_p": 0.02}
        tokens = self.write(Mark(self.sampler, seed=3, **options), [7, 8], 80)
        decided = 0
        for step, token in enumerate(tokens):
            choices = {self.sampler.select(scores(step)[:VOCABULARY], tokens[:step], coin=coin << 57, **options) for coin in range(128)}
            self.assertIn(token, choices) if len(choices) == 1 else None
            decided += len(choices) == 1
        self.assertGreater(decided, 60)

    def test_a_seed_repeats(self):
        one, other, third = (self.write(Mark(self.sampler, seed=seed), [5], 30) for seed in (1, 1, 2))
        self.assertEqual(one, other)
        self.assertNotEqual(one, third)

    def test_a_grammar_that_forbids_the_choice(self):
        forbid = frozenset(range(10, 100, 9))
        mark = Mark(self.sampler, seed=1)
        tokens = self.write(mark, [5], 120, forbid)
        self.assertEqual(mark.tokens, tokens)
        # The order of what is left is the model's own.
        kept = scores(10).argsort()[::-1][:2]
        self.assertIn(tokens[10], kept)
        self.assertTrue(detect(self.key, self.record, [tokens]).detected)

    def test_one_mark_for_one_completion(self):
        for ids in ([5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [9, 2, 3, 4, 5]):
            mark = Mark(self.sampler)
            for length in (3, 4):
                mark(np.array([1, 2, 3, 4][:length], dtype=np.intc), scores(length))
            with self.assertRaisesRegex(taggant.ParameterError, "make a new one for each"):
                mark(np.array(ids, dtype=np.intc), scores(1))
            # The engine swallows what a processor raises; here it is seen.
            with self.assertRaisesRegex(taggant.ParameterError, "make a new one for each"):
                _ = mark.tokens

    def test_what_cannot_be_marked(self):
        with self.assertRaisesRegex(taggant.UnsupportedError, "temperature is 0"):
            Mark(self.sampler, temperature=0)
        with self.assertRaisesRegex(taggant.LogitsError, "400 logits, but the record's tokenizer has 500 tokens"):
            Mark(self.sampler)(np.array([1], dtype=np.intc), scores(0)[:400])
        with self.assertRaisesRegex(taggant.LogitsError, "."):
            Mark(self.sampler)(np.array([1], dtype=np.intc), scores(0) * np.float32(np.nan))


try:
    import llama_cpp
except ImportError:
    llama_cpp = None


@unittest.skipUnless(llama_cpp and os.environ.get("TAGGANT_GGUF"), "llama-cpp-python is not installed, or TAGGANT_GGUF is not set")
class Real(unittest.TestCase):
    ASKED = (
        "Explain how a bicycle stays upright.",
        "Write a short story about a lighthouse keeper.",
        "Describe the water cycle to a child.",
    )

    @classmethod
    def setUpClass(cls):
        cls.llama = llama_cpp.Llama(os.environ["TAGGANT_GGUF"], n_ctx=1024, n_threads=1, verbose=False)
        root = RootKey.from_bytes(bytes(32))
        cls.keys = [root.derive(f"e/account/n{number}") for number in range(3)]
        cls.records = [Record("gumbel", 2, key, tokenizer=DIGEST, vocabulary=cls.llama.n_vocab()) for key in cls.keys]
        cls.samplers = [Sampler(record, key) for record, key in zip(cls.records, cls.keys)]

    def found(self, number: int, tokens: list[int]) -> float:
        return detect(self.keys[number], self.records[number], [tokens]).log10_p

    def test_each_completion_is_found_by_its_own_key(self):
        pools: list[list[list[int]]] = [[], [], []]
        for row in range(6):
            number, text = row % 3, self.ASKED[row // 2]
            prompt = [{"role": "user", "content": text}] if row % 2 else text
            start = time.perf_counter()
            answer, tokens = complete(self.llama, self.samplers[number], prompt, temperature=1.0, max_tokens=120, seed=row)
            seconds = time.perf_counter() - start
            said = answer["choices"][0]["message"]["content"] if row % 2 else answer["choices"][0]["text"]
            stop = llama_cpp.llama_vocab_is_eog(self.llama._model.vocab, tokens[-1])
            self.assertEqual(self.llama.detokenize(tokens[:-1] if stop else tokens).decode(errors="ignore").strip(), said.strip())
            self.assertGreaterEqual(answer["usage"]["completion_tokens"], len(tokens) - 1)
            figures = [round(self.found(other, tokens), 1) for other in range(3)]
            print(f"llama-cpp-python, account {number}, {len(tokens)} tokens in {seconds:.1f} s: log10 p under the three keys {figures}")
            pools[number].append(tokens)
        for number, rows in enumerate(pools):
            for other in range(3):
                report = detect(self.keys[other], self.records[other], rows)
                if other == number:
                    self.assertTrue(report.detected)
                else:
                    self.assertGreater(report.log10_p, -4)

    def test_plain_text_is_innocent(self):
        rows = []
        for seed, text in enumerate(self.ASKED):
            tokens: list[int] = []
            stop = self.llama.tokenize(text.encode())
            for token in self.llama.generate(stop, temp=1.0, top_k=0, top_p=1.0, min_p=0.0):
                tokens.append(token)
                if len(tokens) == 120 or llama_cpp.llama_vocab_is_eog(self.llama._model.vocab, token):
                    break
            rows.append(tokens)
        for number in range(3):
            self.assertGreater(detect(self.keys[number], self.records[number], rows).log10_p, -4)

    def test_streams(self):
        mark = Mark(self.samplers[0], temperature=1.0, seed=3)
        processors = llama_cpp.LogitsProcessorList([mark])
        pieces = [
            piece["choices"][0]["text"]
            for piece in self.llama.create_completion(self.ASKED[0], logits_processor=processors, max_tokens=120, stream=True)
        ]
        self.assertGreater(len(pieces), 40)
        self.assertTrue(self.found(0, mark.tokens) < -6)

    def test_a_grammar_keeps_its_word(self):
        grammar = llama_cpp.LlamaGrammar.from_string('root ::= [a-z ]+ "." ', verbose=False)
        answer, tokens = complete(self.llama, self.samplers[0], self.ASKED[1], temperature=1.0, max_tokens=80, seed=1, grammar=grammar)
        self.assertRegex(answer["choices"][0]["text"], r"^[a-z ]+\.?$")
        self.assertEqual(self.llama.detokenize(tokens).decode().strip().rstrip("."), answer["choices"][0]["text"].strip().rstrip("."))

    def test_a_mark_that_is_used_again_is_noticed(self):
        mark = Mark(self.samplers[0], temperature=1.0)
        processors = llama_cpp.LogitsProcessorList([mark])
        # All that the engine does with an error of a processor.
        with mock.patch.object(sys, "unraisablehook") as ignored:
            for _ in range(2):
                self.llama.create_completion(self.ASKED[0], logits_processor=processors, max_tokens=3)
        # For each token of the second answer, which the model may end before the third.
        self.assertIn(ignored.call_count, (1, 2, 3))
        with self.assertRaisesRegex(taggant.ParameterError, "make a new one for each"):
            _ = mark.tokens

    def test_what_would_take_the_mark_away_is_refused(self):
        for option, message in (
            ({"logit_bias": {5: 1.0}}, "logit_bias beside a processor"),
            ({"repeat_penalty": 1.1}, "repeat_penalty is 1.1"),
            ({"mirostat_mode": 2}, "mirostat_mode is 2"),
            ({"temperature": 0.0}, "temperature is 0"),
            ({"stream": True}, "hand a taggant.llama_cpp.Mark to the engine"),
            ({"logits_processor": None}, "other processors"),
        ):
            with self.assertRaisesRegex(taggant.UnsupportedError, message):
                complete(self.llama, self.samplers[0], "Once", max_tokens=2, **option)
        # What the refusal rests on: the engine drops the processor too.
        mark = Mark(self.samplers[0])
        self.llama.create_completion("Once", logits_processor=llama_cpp.LogitsProcessorList([mark]), logit_bias={5: 1.0}, max_tokens=3)
        self.assertEqual(mark.tokens, [])


if __name__ == "__main__":
    unittest.main()
