"""Marks under SGLang: its own class of processors, pickled and called as its scheduler does.

SGLang generates on CUDA alone, so its scheduler is played here: the loops of its three schedules, written after scheduler.py and
sampler.py of 0.5.23, around the real `CustomLogitProcessor`. TAGGANT_SGLANG may name a folder with the file of that class
(engines.sh makes one). """

import gc
import json
import os
import sys
import tempfile
import types
import unittest
import weakref
from array import array
from pathlib import Path
from unittest import mock

import marks as files
import numpy as np

import taggant
from taggant import Detector, detect, verify_log
from taggant.serving import VARIABLE, Marks

if folder := os.environ.get("TAGGANT_SGLANG"):
    sys.path.insert(0, folder)
try:
    import torch
    from sglang.srt.sampling.custom_logit_processor import CustomLogitProcessor

    from taggant.sglang import Mark, fields
except ImportError as error:
    raise unittest.SkipTest(f"SGLang's class cannot be imported: {error}")

VOCABULARY, WIDTH = 500, 512
TOP_K_ALL = 1 << 30


class Request:
    """What a processor sees of SGLang's Req."""

    def __init__(self, prompt: list[int], body: dict, **sampling):
        self.origin_input_ids, self.output_ids = array("q", prompt), array("q")
        self.custom_logit_processor = body["custom_logit_processor"]
        defaults = {"temperature": 0.9, "top_k": TOP_K_ALL, "top_p": 0.95, "min_p": 0.0}
        values = {**defaults, **body["sampling_params"], **sampling}
        if values["temperature"] < 1e-6:
            values |= {"temperature": 1.0, "top_k": 1}
        # As Req does: the reference is weak, so that the request dies when it is done with.
        values["custom_params"] = body["sampling_params"]["custom_params"] | {"__req__": weakref.proxy(self)}
        self.sampling_params = types.SimpleNamespace(**values)


def model(request: Request, tokens: list[int], seed: int) -> np.ndarray:
    """A distribution that depends on where the response is and on its last token."""
    last = tokens[-1] if tokens else -1
    place = abs(hash((seed, len(tokens), last, request.origin_input_ids[0])))
    return np.random.default_rng(place).normal(scale=2.0, size=WIDTH).astype(np.float32)


class Played:
    """SGLang's loop: run, sample and, at once or a step later, process the result."""

    def __init__(self, overlap: bool, chunks: int = 0):
        self.overlap, self.chunks = overlap, chunks

    def run(self, requests: list[Request], steps: int, seed: int = 0, retract: int | None = None) -> list[list[int]]:
        torch.manual_seed(seed)
        truth: list[list[int]] = [[] for _ in requests]
        waiting: list[tuple[list[int], bool]] = []
        for step in range(steps):
            logits = torch.from_numpy(np.stack([model(request, tokens, seed) for request, tokens in zip(requests, truth)]))
            sampled = self.sample(logits, requests)
            kept = step >= self.chunks and step != retract
            if kept:
                for tokens, token in zip(truth, sampled):
                    tokens.append(token)
            waiting.append((sampled, kept))
            while len(waiting) > self.overlap:
                result, wanted = waiting.pop(0)
                for request, token in zip(requests, result):
                    if wanted:
                        request.output_ids.append(token)
        return truth

    @staticmethod
    def sample(logits: torch.Tensor, requests: list[Request]) -> list[int]:
        """`apply_custom_logit_processor` and what the sampler does after it."""
        groups: dict[str, list[int]] = {}
        for row, request in enumerate(requests):
            if request.custom_logit_processor is not None:
                groups.setdefault(request.custom_logit_processor, []).append(row)
        for text, rows in groups.items():
            index = torch.tensor(rows)
            result = CustomLogitProcessor.from_str(text)(
                logits.index_select(0, index), [requests[row].sampling_params.custom_params for row in rows]
            )
            logits.index_copy_(0, index, result)
        tokens = []
        for row, request in zip(logits, requests):
            if request.sampling_params.top_k == 1:
                tokens.append(int(row.argmax()))
            else:
                tokens.append(int(torch.multinomial((row / request.sampling_params.temperature).softmax(-1), 1)))
        return tokens


class Served(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        path, self.marks = files.write(Path(holder.name), VOCABULARY)
        patch = mock.patch.dict(os.environ, {VARIABLE: str(path)})
        patch.start()
        self.addCleanup(patch.stop)

    def evidence(self, name: str, tokens: list[int]) -> float:
        # The model is wider than its tokenizer, and rows that are not marked may say so.
        return detect(*self.marks[name], [[token for token in tokens if token < VOCABULARY]]).log10_p

    def test_accounts_under_every_schedule(self):
        for overlap in (False, True):
            for chunks in (0, 3):
                with self.subTest(overlap=overlap, chunks=chunks):
                    asked = ["east", "west", None, "internal", "east"]
                    requests = [Request([50 + row, 7], fields(name)) for row, name in enumerate(asked)]
                    texts = Played(overlap, chunks).run(requests, 120 + chunks)
                    for name, tokens in zip(asked, texts):
                        self.assertEqual(max(tokens) < VOCABULARY, name in files.ACCOUNTS)
                        for account in files.ACCOUNTS:
                            if account == name:
                                self.assertLess(self.evidence(account, tokens), -6)
                            else:
                                self.assertGreater(self.evidence(account, tokens), -4)

    def test_what_is_served_is_written_down(self):
        """A line for each response when SGLang lets go of its request, with all its tokens."""
        log = files.with_log(Path(os.environ[VARIABLE]))
        for overlap in (False, True):
            requests = [Request([50 + row, 7], fields(name)) for row, name in enumerate(["east", "west", None])]
            texts = Played(overlap).run(requests, 30)
            kept = [len(request.output_ids) for request in requests]
            del requests
        Marks.served().issued().close()
        self.assertIsNone(verify_log(log).fault)
        lines = [json.loads(line)["exchange"] for line in log.read_text().splitlines()[1:]]
        self.assertEqual(len(lines), 6)
        self.assertEqual(sorted(len(line["response"]["tokens"]) for line in lines[3:]), kept)
        self.assertEqual([line["response"]["tokens"] for line in lines[3:]].count(texts[0][: kept[0]]), 1)
        self.assertEqual([line.get("unmarked") for line in lines].count(None), 4)

    def test_the_late_report_costs_nothing(self):
        """One step late or at once: the same logits, the same generator, the same tokens."""
        texts = [
            Played(overlap).run([Request([50 + row, 7], fields("east")) for row in range(8)], 100, seed=4) for overlap in (False, True)
        ]
        self.assertEqual(*texts)

    def test_a_request_that_is_taken_out_and_read_in_again(self):
        for overlap in (False, True):
            requests = [Request([50 + row, 7], fields("east")) for row in range(4)]
            for tokens in Played(overlap).run(requests, 120, retract=50):
                self.assertLess(self.evidence("east", tokens), -6)

    def test_tokens_are_those_of_select(self):
        sampling = {"temperature": 0.7, "top_k": 30, "top_p": 0.9, "min_p": 0.02}
        own = taggant.Sampler(*reversed(self.marks["east"]))
        request, tokens = Request([1, 2], fields("east", **sampling)), []
        for step in range(80):
            logits = torch.from_numpy(model(request, tokens, 9))[None]
            raw = logits.numpy()[0, :VOCABULARY].copy()
            out = Mark()(logits, [request.sampling_params.custom_params])
            self.assertIs(out, logits)
            [token] = torch.isfinite(out[0]).nonzero().flatten().tolist()
            choices = {own.select(raw, tokens, coin=coin << 57, **sampling) for coin in range(128)}
            # One choice where the mark chooses; several where it leaves the position to chance.
            self.assertTrue(token in choices if len(choices) == 1 else step < 2 or token in np.argsort(raw)[-30:])
            tokens.append(token)
            request.output_ids.append(token)

    def test_greedy_requests_are_left_alone(self):
        body = fields("east", temperature=0.0)
        request = Request([50, 7], body)
        [tokens] = Played(True).run([request], 60)
        plain = []
        for _ in range(60):
            plain.append(int(model(request, plain, 0).argmax()))
        self.assertEqual(tokens, plain)
        self.assertGreater(self.evidence("east", tokens), -4)

    def test_what_travels_holds_no_key(self):
        text = Mark.to_str()
        pickled = bytes.fromhex(__import__("json").loads(text)["callable"])
        self.assertLess(len(pickled), 100)
        self.assertIn(b"taggant.sglang", pickled)
        self.assertIs(type(CustomLogitProcessor.from_str(text)), Mark)
        self.assertEqual(fields("east", top_p=0.9)["sampling_params"], {"top_p": 0.9, "custom_params": {"taggant": "east"}})

    def test_the_state_dies_with_the_request(self):
        request = Request([1, 2], fields("east"))
        Played(False).run([request], 5)
        state = weakref.ref(request.taggant_response)
        del request
        gc.collect()
        self.assertIsNone(state())

    def test_what_cannot_be_marked(self):
        request = Request([1, 2], fields("east"))
        params = request.sampling_params.custom_params
        with self.assertRaisesRegex(taggant.UnsupportedError, "speculative decoding cannot be marked"):
            Mark()(torch.zeros(2, WIDTH), [params, params])
        with self.assertRaisesRegex(taggant.MismatchError, "the model has 400 tokens, the records' tokenizer has 500"):
            Mark()(torch.zeros(1, 400), [params])
        # Errors would end the server; what cannot be marked is served plain, and said so.
        unknown = Request([1], fields("north"))
        for params in (None, {}, unknown.sampling_params.custom_params):
            logits = torch.zeros(1, WIDTH)
            with self.assertLogs("taggant.sglang", "ERROR"):
                self.assertTrue(torch.equal(Mark()(logits.clone(), [params]), logits))
        with mock.patch.dict(os.environ):
            os.environ.pop(VARIABLE)
            with self.assertRaisesRegex(taggant.ParameterError, "TAGGANT_MARKS is not set"):
                Mark()(torch.zeros(1, WIDTH), [None])

    def test_wrong_keys_find_nothing(self):
        [tokens] = Played(True).run([Request([50, 7], fields("east"))], 200)
        root = taggant.RootKey.from_bytes(bytes(32))
        found = []
        for number in range(200):
            key = root.derive(f"e/account/wrong{number}")
            record = taggant.Record("gumbel", 2, key, tokenizer=files.DIGEST, vocabulary=VOCABULARY)
            found.append(Detector.control(key, record).row(tokens).log10_p)
        self.assertGreater(min(found), -4)
        # Half of the wrong keys below one half, give or take four deviations.
        self.assertAlmostEqual(np.mean(np.array(found) < np.log10(0.5)), 0.5, delta=4 * 0.5 / 200**0.5)


if __name__ == "__main__":
    unittest.main()
