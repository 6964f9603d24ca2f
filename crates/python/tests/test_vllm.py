"""Marks under vLLM: its own batch and sampler always, its engine with SmolLM2 where TAGGANT_MODEL names a folder that unpack.py made."""

import json
import os
import random
import tempfile
import time
import types
import unittest
from pathlib import Path
from unittest import mock

# Model runner V2 takes no processors of this kind; all in one process, so that the tests see what the processor sees.
os.environ |= {"VLLM_USE_V2_MODEL_RUNNER": "0", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}

import marks as files
import numpy as np

import taggant
from taggant import Sampler, detect
from taggant.serving import VARIABLE

try:
    import torch
    from vllm import LLM, SamplingParams
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.sample.logits_processor import LogitsProcessors, build_logitsprocs
    from vllm.v1.sample.sampler import Sampler as EngineSampler
    from vllm.v1.worker.gpu_input_batch import CachedRequestState, InputBatch

    from taggant.vllm import Mark
except ImportError as error:
    raise unittest.SkipTest(f"vLLM is not installed: {error}")

VOCABULARY, WIDTH, ROWS = 500, 512, 16
CPU = torch.device("cpu")


def config(width: int = WIDTH) -> types.SimpleNamespace:
    return types.SimpleNamespace(model_config=types.SimpleNamespace(get_vocab_size=lambda: width), speculative_config=None)


def asked(name: str | None, **options) -> SamplingParams:
    return SamplingParams(**options, extra_args=None if name is None else {"taggant": name})


class Served(unittest.TestCase):
    vocabulary = VOCABULARY

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        path, cls.marks = files.write(Path(holder.name), cls.vocabulary)
        patch = mock.patch.dict(os.environ, {VARIABLE: str(path)})
        patch.start()
        cls.addClassCleanup(patch.stop)

    def evidence(self, name: str, rows: list[list[int]]) -> float:
        return detect(*self.marks[name], [[token for token in row if token < self.vocabulary] for row in rows]).log10_p


class Engine:
    """What vLLM's model runner does around a step, with its own batch and its own sampler, and logits that we make."""

    def __init__(self, late: bool = False):
        self.mark, self.late, self.number = Mark(config(), CPU, False), late, 0
        self.batch = InputBatch(
            max_num_reqs=ROWS,
            max_model_len=400,
            max_num_batched_tokens=64,
            device=CPU,
            vocab_size=WIDTH,
            block_sizes=[16],
            max_num_blocks_per_req=[32],
            logitsprocs=LogitsProcessors([self.mark]),
            logitsprocs_need_output_token_ids=True,
        )
        self.sampler = EngineSampler()
        self.requests: dict[str, CachedRequestState] = {}

    def add(self, params: SamplingParams, tokens: list[int] | None = None) -> CachedRequestState:
        self.number += 1
        request = CachedRequestState(
            req_id=f"r{self.number}",
            prompt_token_ids=[1, 2, self.number % WIDTH],
            mm_features=[],
            sampling_params=params,
            generator=None,
            block_ids=([0],),
            num_computed_tokens=0,
            output_token_ids=tokens or [],
        )
        self.put(request)
        return request

    def put(self, request: CachedRequestState) -> None:
        self.requests[request.req_id] = request
        self.batch.add_request(request)

    def remove(self, request: CachedRequestState) -> None:
        del self.requests[request.req_id]
        self.batch.remove_request(request.req_id)

    def refresh(self) -> None:
        self.batch.condense()
        self.batch.refresh_metadata()

    def step(self, logits: torch.Tensor) -> list[int]:
        """Samples; `late` as with asynchronous scheduling, where tokens are fetched only when the next step samples."""
        self.batch.update_async_output_token_ids()
        sampled = self.sampler(logits=logits, sampling_metadata=self.batch.sampling_metadata).sampled_token_ids
        for row, name in enumerate(self.batch.req_ids):
            self.requests[name].output_token_ids.append(-1 if self.late else int(sampled[row]))
        if self.late:
            self.batch.prev_req_id_to_index = {name: row for row, name in enumerate(self.batch.req_ids)}
            self.batch.set_async_sampled_token_ids(sampled, types.SimpleNamespace(synchronize=lambda: None))
        return sampled.flatten().tolist()


def logits(rows: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(scale=2.0, size=(rows, WIDTH)).astype(np.float32))


class Batches(Served):
    def test_ten_thousand_random_changes(self):
        """After each step of vLLM's own batch, our rows are those of the marked requests, and look at their tokens."""
        engine, source, seen = Engine(), random.Random(2), {"preempted": 0, "swapped": 0, "most": 0}
        waiting: list[CachedRequestState] = []
        for _ in range(10_000):
            for request in source.sample(list(engine.requests.values()), min(len(engine.requests), source.choice([0, 0, 1, 1, 2, 4]))):
                engine.remove(request)
                if source.random() < 0.5:
                    waiting.append(request)
                    seen["preempted"] += 1
            for _ in range(source.choice([0, 1, 1, 2, 3])):
                if len(engine.requests) == ROWS:
                    break
                if waiting and source.random() < 0.5:
                    engine.put(waiting.pop(source.randrange(len(waiting))))
                else:
                    name, heat = source.choice(["east", "west", "internal", None]), source.choice([0.0, 0.9])
                    engine.add(asked(name, temperature=heat), [5] * source.randrange(3))
            engine.batch.condense()
            if len(engine.requests) > 1 and source.random() < 0.3:
                engine.batch.swap_states(*source.sample(range(len(engine.requests)), 2))
                seen["swapped"] += 1
            engine.batch.refresh_metadata()
            rows = {}
            for row, name in enumerate(engine.batch.req_ids):
                params = engine.requests[name].sampling_params
                if params.temperature and (params.extra_args or {}).get("taggant") in self.marks:
                    rows[row] = engine.requests[name]
            found = engine.mark._batch.rows
            self.assertEqual(found.keys(), rows.keys())
            for row, request in rows.items():
                self.assertIs(found[row].tokens, request.output_token_ids)
                wanted = self.marks[request.sampling_params.extra_args["taggant"]][0]
                self.assertEqual(engine.mark._marks._marks[request.sampling_params.extra_args["taggant"]][1], [wanted])
            seen["most"] = max(seen["most"], len(rows))
        self.assertGreater(min(seen["preempted"], seen["swapped"]), 1000)
        self.assertGreater(seen["most"], 5)

    def write(self, late: bool) -> dict[str, list[list[int]]]:
        torch.manual_seed(3)
        engine, done = Engine(late), {}
        params = [
            asked("east", temperature=0.9, top_k=40),
            asked("west", temperature=1.1, top_p=0.9),
            asked(None, temperature=0.9),
            asked("east", temperature=0.0),
            asked("west", temperature=0.8, min_p=0.05, seed=7),
            asked("east", temperature=1.0, frequency_penalty=0.5, repetition_penalty=1.1),
            asked("internal", temperature=1.0),
        ]
        requests = [engine.add(one) for one in params]
        engine.refresh()
        for step in range(100):
            if step == 30:
                # Asynchronous tokens are fetched before a request may leave.
                engine.batch.update_async_output_token_ids()
                engine.remove(requests[0])
                engine.refresh()
            if step == 40:
                engine.put(requests[0])
                engine.batch.swap_states(0, 3)
                engine.refresh()
            engine.step(logits(len(engine.requests), step))
        engine.batch.update_async_output_token_ids()
        for request in requests:
            name = (request.sampling_params.extra_args or {}).get("taggant") if request.sampling_params.temperature else "greedy"
            done.setdefault(str(name), []).append(request.output_token_ids)
        return done

    def test_accounts_are_told_apart(self):
        for late in (False, True):
            for name, rows in self.write(late).items():
                for account in files.ACCOUNTS:
                    with self.subTest(late=late, name=name, account=account):
                        if account == name:
                            self.assertLess(self.evidence(account, rows), -6)
                            self.assertLess(max(map(max, rows)), VOCABULARY)
                        else:
                            self.assertGreater(self.evidence(account, rows), -4)

    def test_what_is_served_is_written_down(self):
        """Every response that left the batch has a line, marked or not and why; one that was preempted has two."""
        with tempfile.TemporaryDirectory() as folder:
            path, _ = files.write(Path(folder), VOCABULARY)
            log = files.with_log(path)
            with mock.patch.dict(os.environ, {VARIABLE: str(path)}):
                engine = Engine()
            requests = [engine.add(asked(name, temperature=heat)) for name, heat in (("east", 0.9), ("internal", 0.9), (None, 0.9), ("west", 0.0))]
            engine.refresh()
            for step in range(20):
                engine.step(logits(len(engine.requests), step))
            preempted = requests[0]
            engine.remove(preempted)
            engine.refresh()
            engine.put(preempted)
            engine.refresh()
            engine.step(logits(len(engine.requests), 20))
            for request in requests:
                engine.remove(request)
            engine.refresh()
            engine.mark._issued.close()
            self.assertIsNone(taggant.verify_log(log).fault)
            lines = [json.loads(line)["exchange"] for line in log.read_text().splitlines()[1:]]
            self.assertEqual(sorted(len(line["response"]["tokens"]) for line in lines), [20, 21, 21, 21, 21])
            said = sorted((line.get("unmarked", "marked"), line["response"]["tokens"] == requests[0].output_token_ids) for line in lines)
            greedy = "temperature 0 leaves no choice to mark"
            self.assertEqual([reason for reason, _ in said], ["a request that names no account is not marked", "account internal is not marked", "marked", "marked", greedy])
            self.assertEqual(sum(own for _, own in said), 1)
            self.assertTrue(all(len(line["prompt"]["tokens"]) == 3 for line in lines))
            self.assertEqual(sum("account" in line for line in lines), 4)

    def test_tokens_that_are_fetched_late_change_nothing(self):
        self.assertEqual(self.write(False), self.write(True))

    def test_placeholders_that_stay(self):
        """Should an engine not fetch in time: the tokens are those we chose."""
        engine = Engine(late=True)
        request = engine.add(asked("east", temperature=1.0))
        engine.refresh()
        truth = []
        with mock.patch.object(engine.batch, "update_async_output_token_ids"):
            for step in range(15):
                truth += engine.step(logits(1, step))
        self.assertEqual(request.output_token_ids, [-1] * 15)
        self.assertEqual(engine.mark._batch.rows[0].stream.tokens, truth)
        # A response whose tokens nobody here has chosen is left to the engine.
        engine.add(asked("east", temperature=1.0), [4, 5, -1])
        engine.refresh()
        before = logits(2, 50)
        self.assertTrue(torch.equal(engine.mark.apply(before.clone())[1], before[1]))

    def test_greedy_rows_and_others_are_untouched(self):
        engine = Engine()
        for params in (
            asked("east", temperature=0.0),
            asked("internal", temperature=1.0),
            asked("west", temperature=1.0),
            asked(None, temperature=1.0),
        ):
            engine.add(params)
        engine.refresh()
        before = logits(4, 1)
        after = engine.mark.apply(before.clone())
        for row in (0, 1, 3):
            self.assertTrue(torch.equal(before[row], after[row]))
        self.assertEqual(int(torch.isfinite(after[2]).sum()), 1)

    def test_a_requests_own_parameters(self):
        def write(chance: int, company: int) -> tuple[list[list[int]], list[torch.Tensor]]:
            torch.manual_seed(chance)
            engine, given = Engine(), []
            for _ in range(company):
                engine.add(asked("west", temperature=1.0))
            own = [
                engine.add(asked("east", temperature=1.0, top_k=3)),
                engine.add(asked("east", temperature=1.0, top_p=0.2)),
                engine.add(asked("east", temperature=0.7, seed=5)),
            ]
            engine.refresh()
            for step in range(60):
                given.append(logits(3, step))
                engine.step(torch.cat([logits(company, 999 + step), given[-1]]))
            return [request.output_token_ids for request in own], given

        rows, given = write(1, 0)
        for step, scores in enumerate(given):
            self.assertIn(rows[0][step], scores[0, :VOCABULARY].topk(3).indices.tolist())
            likely = scores[1, :VOCABULARY].softmax(-1).sort(descending=True)
            kept = int((likely.values.cumsum(-1) < 0.2).sum()) + 1
            self.assertIn(rows[1][step], likely.indices[:kept].tolist())
        again, _ = write(2, 4)
        self.assertEqual(rows[2], again[2])
        self.assertNotEqual(rows[0], again[0])

    def test_faulty_logits_do_not_end_the_engine(self):
        engine = Engine()
        for _ in range(3):
            engine.add(asked("east", temperature=1.0), [1, 2, 3])
        engine.refresh()
        before = logits(3, 1)
        before[1] = torch.nan
        with self.assertLogs("taggant.steps", "WARNING"):
            after = engine.mark.apply(before.clone())
        self.assertTrue(after[1].isnan().all())
        self.assertEqual([int(torch.isfinite(after[row]).sum()) for row in (0, 2)], [1, 1])

    def test_what_is_refused(self):
        with self.assertRaisesRegex(ValueError, "account north, which is not known here"):
            Mark.validate_params(asked("north"))
        with self.assertRaisesRegex(ValueError, "must be the name of an account"):
            Mark.validate_params(SamplingParams(extra_args={"taggant": 5}))
        for name in ("east", "internal", None):
            for heat in (0.0, 1.0):
                Mark.validate_params(asked(name, temperature=heat))
        with self.assertRaisesRegex(taggant.MismatchError, "the model has 400 tokens, the records' tokenizer has 500"):
            Mark(config(400), CPU, False)
        with self.assertRaisesRegex(taggant.UnsupportedError, "vLLM's own watermark is on"):
            own = config()
            own.watermark_config = object()
            Mark(own, CPU, False)
        # By vLLM itself.
        drafting = config()
        drafting.speculative_config = object()
        with self.assertRaisesRegex(ValueError, "not supported when speculative decoding is enabled"):
            build_logitsprocs(drafting, CPU, False, False, ["taggant.vllm:Mark"])
        with self.assertRaisesRegex(ValueError, "Mark is not a subclass of vllm.v1.worker.gpu.sample.logits_processor.LogitsProcessor"):
            from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_by_fqcns

            _load_v2_logitsprocs_by_fqcns(["taggant.vllm:Mark"])
        with mock.patch.dict(os.environ):
            os.environ.pop(VARIABLE)
            with self.assertRaisesRegex(taggant.ParameterError, "TAGGANT_MARKS is not set"):
                Mark(config(), CPU, False)


class Watched(Mark):
    """Keeps what it was given and what it chose."""

    steps: list[tuple[object, list[int], torch.Tensor, int]] = []
    seconds: list[float] = []

    def _begin(self, params, prompt, tokens):
        response, serving = super()._begin(params, prompt, tokens)
        if response is not None:
            response.account = params.extra_args["taggant"]
        return response, serving

    def apply(self, logits):
        before = {row: (logits[row].clone(), list(response.tokens)) for row, response in self._batch.rows.items()}
        start = time.perf_counter()
        after = super().apply(logits)
        self.seconds.append(time.perf_counter() - start)
        for row, (scores, tokens) in before.items():
            [token] = torch.isfinite(after[row]).nonzero().flatten().tolist()
            if len(self.steps) < 2000:
                self.steps.append((self._batch.rows[row], tokens, scores, token))
        return after


@unittest.skipUnless(os.environ.get("TAGGANT_MODEL"), "TAGGANT_MODEL is not set")
class Real(Served):
    vocabulary = 49152
    ASKED = (
        "Explain how a bicycle stays upright.",
        "Write a short story about a lighthouse keeper.",
        "Describe the water cycle to a child.",
    )

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Few blocks and small steps: some requests are preempted, and long prompts are read in parts.
        cls.llm = LLM(
            os.environ["TAGGANT_MODEL"],
            dtype="float32",
            enforce_eager=True,
            max_model_len=1024,
            max_num_seqs=16,
            max_num_batched_tokens=256,
            num_gpu_blocks_override=14,
            enable_prefix_caching=False,
            logits_processors=[Watched],
            disable_log_stats=False,
        )

    def prompts(self, count: int) -> list[str]:
        return [f"<|im_start|>user\n{self.ASKED[row % 3]}<|im_end|>\n<|im_start|>assistant\n" for row in range(count)]

    def generate(self, prompts: list[str], params: list[SamplingParams]) -> list[list[list[int]]]:
        outputs = self.llm.generate(prompts, params, use_tqdm=False)
        return [[list(one.token_ids) for one in output.outputs] for output in outputs]

    def preempted(self) -> int:
        return sum(int(metric.value) for metric in self.llm.get_metrics() if metric.name == "vllm:num_preemptions")

    def test_two_accounts_and_others_in_one_batch(self):
        names = ["east", "west", None, "east", "west", "internal", "east", "west"]
        options = [
            {"temperature": 1.0, "top_p": 0.95},
            {"temperature": 1.0, "min_p": 0.02},
            {"temperature": 0.9, "top_k": 50, "repetition_penalty": 1.05},
        ]
        params = [asked(name, **options[row // 3], max_tokens=150, ignore_eos=True) for row, name in enumerate(names)]
        prompts = self.prompts(8)
        # Read in three parts, whose samples vLLM throws away.
        prompts[6] = "The keeper wrote in his book what the sea had done that day. " * 45 + prompts[6]
        Watched.steps.clear()
        Watched.seconds.clear()
        before, start = self.preempted(), time.perf_counter()
        rows = [one for [one] in self.generate(prompts, params)]
        seconds, preempted = time.perf_counter() - start, self.preempted() - before
        print(
            f"\nvLLM, {sum(map(len, rows))} tokens in {seconds:.0f} s, {preempted} preemptions, "
            f"median of our step {1e3 * float(np.median(Watched.seconds)):.1f} ms"
        )
        self.assertGreater(preempted, 0)
        for row, (name, tokens) in enumerate(zip(names, rows)):
            found = {account: self.evidence(account, [tokens]) for account in files.ACCOUNTS}
            print(f"row {row}, {name}: log10 p {', '.join(f'{account} {value:.1f}' for account, value in found.items())}")
            for account, value in found.items():
                if account == name:
                    self.assertLess(value, -6)
                else:
                    # Ten such comparisons: one run in 10,000 is wrong by chance.
                    self.assertGreater(value, -5)
        self.check_parity()

    def check_parity(self):
        """What the engine was given, to `Sampler.select` once more."""
        own = {name: Sampler(record, key) for name, (key, record) in self.marks.items()}
        decided = 0
        for response, tokens, scores, token in Watched.steps:
            options = response.sampling._asdict()
            choices = {own[response.account].select(scores.numpy(), tokens, coin=coin, **options) for coin in (0, 2**63, 2**64 - 1)}
            if len(choices) == 1:
                decided += 1
                self.assertEqual({token}, choices)
        self.assertGreater(decided, 500)

    def test_greedy_is_what_it_was(self):
        prompt = self.prompts(1)
        params = [asked(name, temperature=0.0, max_tokens=40) for name in ("east", None)]
        [[marked], [plain]] = self.generate(prompt * 2, params)
        self.assertEqual(marked, plain)
        self.assertGreater(self.evidence("east", [marked]), -4)

    def test_samples_of_one_prompt(self):
        [rows] = self.generate(self.prompts(1), [asked("west", temperature=1.0, n=4, max_tokens=100, ignore_eos=True)])
        self.assertEqual(len(set(map(tuple, rows))), 4)
        for row in rows:
            self.assertLess(self.evidence("west", [row]), -6)

    def test_a_grammar_is_obeyed(self):
        shape = StructuredOutputsParams(regex="[a-z ]{200,400}")
        params = asked("east", temperature=1.0, max_tokens=80, structured_outputs=shape)
        [output] = self.llm.generate(self.prompts(1), params, use_tqdm=False)
        self.assertRegex(output.outputs[0].text, "^[a-z ]*$")
        self.assertLess(self.evidence("east", [list(output.outputs[0].token_ids)]), -3)

    def test_an_unknown_account_is_answered(self):
        # Over HTTP this is a 400.
        with self.assertRaisesRegex(VLLMValidationError, "account north, which is not known here; known are east, west"):
            self.llm.generate(self.prompts(1), asked("north"), use_tqdm=False)
        # And the engine goes on.
        [[tokens]] = self.generate(self.prompts(1), [asked("east", temperature=1.0, max_tokens=5)])
        self.assertGreater(len(tokens), 0)


if __name__ == "__main__":
    unittest.main()
