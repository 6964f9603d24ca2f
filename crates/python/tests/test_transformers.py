"""Marks in what transformers' own `generate` writes: a small random model always, a real one where its file is named.

TAGGANT_GGUF names SmolLM2-135M-Instruct and TAGGANT_CLI the command; with both, the command must find what the wheel marked.
"""

import json
import os
import subprocess
import tempfile
import unittest
from functools import partial
from pathlib import Path
from typing import Any, Callable

import taggant
from support import DIGEST, sampler
from taggant import Detector, Key, Record, RootKey, Sampler, detect, detect_each

try:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessorList

    from taggant.transformers import Watermark, WatermarkProcessor, generate, responses
except ImportError:
    raise unittest.SkipTest("torch or transformers is not installed")

VOCABULARY, STOP, PAD = 500, 2, 3
OPTIONS = {"do_sample": True, "temperature": 0.9, "top_k": 40, "top_p": 0.95, "max_new_tokens": 80, "min_new_tokens": 80}


def toy(width: int = VOCABULARY) -> "LlamaForCausalLM":
    """A model of random weights: all that is asked of it is a distribution."""
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=width, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=1, eos_token_id=STOP, pad_token_id=PAD, initializer_range=0.3,
    )
    return LlamaForCausalLM(shape).eval()


def padded(prompts: list[list[int]]) -> dict[str, "torch.Tensor"]:
    longest = max(map(len, prompts))
    ids = [[PAD] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def accounts(count: int, scheme: str = "gumbel", vocabulary: int = VOCABULARY, digest: str = DIGEST) -> tuple[list[list[Key]], list[Record], list[Sampler]]:
    """A campaign key, shared, and an account key for each sequence."""
    root = RootKey.from_bytes(bytes(32))
    keys = [[root.derive("e/campaign/c"), root.derive(f"e/account/n{number}")] for number in range(count)]
    records = [Record(scheme, 2, own, tokenizer=digest, vocabulary=vocabulary) for own in keys]
    return keys, records, [Sampler(record, own) for record, own in zip(records, keys)]


class Toy(unittest.TestCase):
    prompts = [[10, 11, 12, 13, 14, 15, 16], [20, 21], [30, 31, 32, 33], [40]]

    def setUp(self):
        torch.manual_seed(1)

    def test_every_row_has_its_own_keys(self):
        inputs = padded(self.prompts)
        for scheme in ("gumbel", "tournament", "greenlist"):
            keys, records, samplers = accounts(4, scheme)
            rows = responses(inputs["input_ids"], generate(toy(), samplers, **inputs, **OPTIONS), STOP, inputs["attention_mask"])
            self.assertEqual([row["prompt_tokens"] for row in rows], self.prompts)
            for number, row in enumerate(rows):
                with self.subTest(scheme, row=number):
                    self.assertEqual(len(row["tokens"]), 80)
                    if scheme != "greenlist":
                        self.assertLess(detect(keys[number], records[number], [row]).log10_p, -6)
                    other = Detector.control(keys[(number + 1) % 4][1:] + keys[number][:1], records[number]).row(row)
                    self.assertGreater(other.log10_p, detect(keys[number], records[number], [row]).log10_p)
            if scheme == "gumbel":
                campaign = keys[0][0]
                found = detect_each([own[1] for own in keys], records[0], rows[2:3], campaign=campaign, alpha=1e-3)
                self.assertEqual(min(range(4), key=lambda number: found[number].log10_p), 2)
            self.assertTrue(detect(keys[0][0], records[0], rows).detected)

    def test_the_mark_acts_on_what_truncation_leaves(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        inputs, options = padded(self.prompts), {**OPTIONS, "return_dict_in_generate": True, "output_logits": True}
        model = toy()
        output = generate(model, choose, **inputs, **options)
        found = responses(inputs["input_ids"], output)
        for step, logits in enumerate(output.logits):
            # Still the model's own, and so truncation can be made again by our sampler.
            self.assertTrue(torch.isfinite(logits).all())
            for row, choice in zip(logits.numpy(), found):
                kept = torch.tensor(row).topk(40).indices.tolist()
                self.assertIn(choice["tokens"][step], kept)
        # A processor with the same parameters chooses the same tokens where the mark chooses.
        for row in range(4):
            stream = choose.stream()
            for step, token in enumerate(found[row]["tokens"]):
                logits = output.logits[step][row].clone()
                logits[STOP] = -torch.inf  # what min_new_tokens does
                biased = stream.bias(logits.numpy(), temperature=0.9, top_k=40, top_p=0.95)
                if sum(biased > -1e30) == 1 and step > 1:
                    self.assertEqual(int(biased.argmax()), token)
                stream.push(token)

    def test_a_processor_marks_with_its_own_parameters(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        inputs = padded(self.prompts)
        for options in ({"do_sample": True, "top_k": 0}, {"do_sample": False}):
            processor = WatermarkProcessor(choose, temperature=0.9, top_k=40, top_p=0.95)
            lengths = {"max_new_tokens": 60, "min_new_tokens": 60}
            output = toy().generate(**inputs, logits_processor=LogitsProcessorList([processor]), **lengths, **options)
            self.assertTrue(detect(key, record, responses(inputs["input_ids"], output, STOP, inputs["attention_mask"])).detected)
        with self.assertRaisesRegex(taggant.ParameterError, "one call of generate"):
            toy().generate(**padded(self.prompts[::-1]), logits_processor=LogitsProcessorList([processor]), **OPTIONS)

        # A green list only adds to logits, so the engine may go on with its own truncation.
        key, record, choose = sampler("greenlist", VOCABULARY)
        output = toy().generate(**inputs, logits_processor=LogitsProcessorList([WatermarkProcessor(choose)]), **OPTIONS)
        self.assertTrue(detect(key, record, responses(inputs["input_ids"], output)).detected)

    def test_some_rows_are_not_marked(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        inputs = padded(self.prompts)
        rows = responses(inputs["input_ids"], generate(toy(), [choose, None, choose, None], **inputs, **OPTIONS))
        self.assertTrue(detect(key, record, rows[::2]).detected)
        self.assertGreater(detect(key, record, rows[1::2]).log10_p, -5)

    def test_tokens_that_are_taken_back(self):
        # Assisted decoding asks for several positions, and may come back to one with other tokens before it.
        key, record, choose = sampler(vocabulary=VOCABULARY)
        prompt = torch.tensor([[10, 11, 12, 13, 10, 11, 12, 13, 10, 11]])
        output = generate(toy(), choose, prompt, **OPTIONS, prompt_lookup_num_tokens=3, max_matching_ngram_size=1)
        self.assertTrue(detect(key, record, responses(prompt, output)).detected)

    def test_several_answers_of_one_sequence_share_its_keys(self):
        keys, records, samplers = accounts(2)
        inputs = padded(self.prompts[:2])
        output = generate(toy(), samplers, **inputs, **OPTIONS, num_return_sequences=3)
        rows = responses(inputs["input_ids"], output, STOP, inputs["attention_mask"])
        self.assertEqual([row["prompt_tokens"] for row in rows], [self.prompts[0]] * 3 + [self.prompts[1]] * 3)
        for number, row in enumerate(rows):
            self.assertTrue(detect(keys[number // 3], records[number // 3], [row]).detected)

    def test_rows_that_end_early_do_not_disturb_others(self):
        keys, records, samplers = accounts(4)
        inputs = padded(self.prompts)
        options = {**OPTIONS, "min_new_tokens": 0, "temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_new_tokens": 300}
        rows = responses(inputs["input_ids"], generate(toy(), samplers, **inputs, **options), STOP, inputs["attention_mask"])
        self.assertTrue(any(len(row["tokens"]) < 300 for row in rows))
        for number, row in enumerate(rows):
            if len(row["tokens"]) > 60:
                self.assertTrue(detect(keys[number], records[number], [row]).detected)

    def test_a_model_wider_than_its_tokenizer(self):
        key, record, choose = sampler(vocabulary=VOCABULARY)
        inputs = padded(self.prompts)
        output = generate(toy(width=VOCABULARY + 12), choose, **inputs, **{**OPTIONS, "top_k": 0, "top_p": 1.0})
        self.assertLess(int(output.max()), VOCABULARY)
        self.assertTrue(detect(key, record, responses(inputs["input_ids"], output)).detected)
        with self.assertRaisesRegex(taggant.MismatchError, "the model has 400 tokens, the record's tokenizer has 500"):
            generate(toy(width=400), choose, **inputs, **OPTIONS)

    def test_what_cannot_be_marked_is_refused(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        model, inputs = toy(), padded(self.prompts)
        with self.assertRaisesRegex(taggant.UnsupportedError, "beam search cannot be marked"):
            generate(model, choose, **inputs, num_beams=4, do_sample=True, max_new_tokens=20)
        with self.assertRaisesRegex(taggant.UnsupportedError, "beam search cannot be marked"):
            model.generate(**inputs, num_beams=4, max_new_tokens=20, watermarking_config=Watermark(choose))
        with self.assertRaisesRegex(taggant.UnsupportedError, "greedy decoding cannot be marked"):
            generate(model, choose, **inputs, max_new_tokens=20)
        with self.assertRaisesRegex(taggant.ParameterError, "3 samplers for 4 rows"):
            generate(model, [choose] * 3, **inputs, **OPTIONS)
        with self.assertRaisesRegex(taggant.ParameterError, "no samplers"):
            generate(model, [], **inputs, **OPTIONS)
        with self.assertRaisesRegex(taggant.MismatchError, r"vocabularies \[400, 500\]"):
            generate(model, [choose, sampler(vocabulary=400)[2]], **inputs, **OPTIONS)

    def test_truncation_by_the_mark_and_by_the_engine_give_the_same_tokens(self):
        inputs = padded(self.prompts)
        for number, (width, truncation) in enumerate([
            (VOCABULARY, {}),
            (VOCABULARY, {"top_k": 0, "top_p": 0.8}),
            (VOCABULARY, {"top_k": 30, "top_p": 1.0, "min_p": 0.02}),
            (VOCABULARY, {"top_k": None, "top_p": None, "temperature": None}),
            (VOCABULARY + 12, {"top_k": 7}),
            (VOCABULARY, {"output_scores": True, "return_dict_in_generate": True}),
        ]):
            for scheme in ("gumbel", "tournament", "greenlist"):
                with self.subTest(scheme, truncation=truncation):
                    _, _, samplers = accounts(3, scheme)
                    options, model = {**OPTIONS, **truncation, "max_new_tokens": 30, "min_new_tokens": 30}, toy(width)
                    # The padding of a wider model never comes out of truncation.
                    model.lm_head.weight.data[VOCABULARY:] = 0
                    torch.manual_seed(number)
                    ours = generate(model, [*samplers, None], **inputs, **options)
                    torch.manual_seed(number)
                    behind = model.generate(**inputs, **options, watermarking_config=Watermark([*samplers, None]))
                    self.assertEqual(getattr(ours, "sequences", ours).tolist(), getattr(behind, "sequences", behind).tolist())
                    for kept in getattr(ours, "scores", None) or ():
                        # Each step's own: what a later step wrote would leave a token that the step before had not chosen.
                        self.assertLess(int(torch.isfinite(kept).sum(1).max()), 41)
                    if getattr(ours, "scores", None):
                        chosen = torch.stack([kept.gather(1, ours.sequences[:, 7 + step, None]) for step, kept in enumerate(ours.scores)])
                        self.assertTrue(torch.isfinite(chosen).all())

    def test_options_of_a_configuration_are_taken_over_too(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        model, inputs = toy(), padded(self.prompts)
        # What is set nowhere else comes from the model.
        model.generation_config.do_sample, model.generation_config.top_k, model.generation_config.min_p = True, 30, 0.01
        options = {"do_sample": True, "temperature": 0.9, "top_p": 0.95, "max_new_tokens": 40, "min_new_tokens": 40}

        def written(run: Callable[..., Any], **more: Any) -> list[list[int]]:
            torch.manual_seed(5)
            return run(**inputs, **more).tolist()

        marked = partial(generate, model, choose)
        behind = written(partial(model.generate, watermarking_config=Watermark(choose)), **options)
        self.assertEqual(written(marked, **options), behind)
        configuration = GenerationConfig(**options)
        self.assertEqual(written(marked, generation_config=configuration), behind)
        self.assertEqual((configuration.temperature, configuration.watermarking_config), (0.9, None))
        self.assertNotEqual(written(marked, **options, top_k=5), behind)

    def test_other_options_stay_with_the_engine(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        inputs = padded(self.prompts)
        torch.manual_seed(3)
        ours = generate(toy(), choose, **inputs, **OPTIONS, typical_p=0.5)
        torch.manual_seed(3)
        behind = toy().generate(**inputs, **OPTIONS, typical_p=0.5, watermarking_config=Watermark(choose))
        self.assertEqual(ours.tolist(), behind.tolist())
        torch.manual_seed(3)
        self.assertNotEqual(ours.tolist(), generate(toy(), choose, **inputs, **OPTIONS).tolist())
        with self.assertRaisesRegex(ValueError, "temperature"):
            generate(toy(), choose, **inputs, **{**OPTIONS, "temperature": -1.0})

    def test_scores_of_other_types_are_marked_by_their_list(self):
        for options in ({}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9}, {"top_p": 0.6}):
            for scheme in ("gumbel", "greenlist"):
                _, _, choose = sampler(scheme, VOCABULARY)
                processors = [WatermarkProcessor([choose, None], prompt_length=0, **options) for _ in range(2)]
                ids = torch.randint(VOCABULARY, (2, 30))
                for length in range(20, 30):
                    scores = 3 * torch.randn(2, VOCABULARY + 3)
                    if length % 2:
                        scores = scores.masked_fill(scores < scores.topk(25).values[:, -1:], -torch.inf)
                    expected = processors[0](ids[:, :length], scores.clone())
                    found = processors[1](ids[:, :length], scores.double())
                    self.assertEqual((found.dtype, found.shape), (torch.float64, scores.shape))
                    torch.testing.assert_close(found.softmax(-1).float(), expected.softmax(-1), rtol=0, atol=1e-5)

    def test_rows_that_change_places_are_refused_though_they_end_alike(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        processor = WatermarkProcessor(choose)
        scores = torch.randn(2, VOCABULARY)
        processor(torch.tensor([[5, 6], [7, 8]]), scores)
        processor(torch.tensor([[5, 6, 1], [7, 8, 2]]), scores)
        processor(torch.tensor([[5, 6, 1, 9], [7, 8, 2, 9]]), scores)
        with self.assertRaisesRegex(taggant.UnsupportedError, "beam search cannot be marked"):
            processor(torch.tensor([[5, 6, 2, 9, 4], [7, 8, 1, 9, 4]]), scores)
        # Streams stand where the last good call left them, and a step that failed may be asked again.
        nan = scores.clone()
        nan[1, 3] = torch.nan
        for _ in range(2):
            with self.assertRaisesRegex(taggant.LogitsError, "row 1: the logit of token 3 is NaN"):
                processor(torch.tensor([[5, 6, 1, 9, 4], [7, 8, 2, 9, 4]]), nan)
        fresh = WatermarkProcessor(choose, prompt_length=2)
        ids = torch.tensor([[5, 6, 1, 9, 4], [7, 8, 2, 9, 4]])
        torch.testing.assert_close(processor(ids, scores), fresh(ids, scores))

    def test_raw_logits_are_not_written_to(self):
        _, _, choose = sampler(vocabulary=VOCABULARY)
        ids, scores = torch.randint(VOCABULARY, (2, 9)), torch.randn(2, VOCABULARY)
        kept = scores.clone()
        for options in ({}, {"top_k": 5}, {"top_k": 5, "reuse": True}):
            processor = WatermarkProcessor(choose, prompt_length=0, **options)
            first = processor(ids, scores)
            torch.testing.assert_close(scores, kept, rtol=0, atol=0)
            second = processor(torch.cat([ids, ids[:, :1]], 1), scores)
            self.assertEqual(first is second, "reuse" in options)
            turned = WatermarkProcessor(choose, prompt_length=0, **options)(ids, scores.T.contiguous().T)
            torch.testing.assert_close(turned, WatermarkProcessor(choose, prompt_length=0, **options)(ids, scores))

    def test_a_configuration_holds_no_secret(self):
        key, _, choose = sampler(vocabulary=VOCABULARY)
        model = toy()
        model.generation_config.watermarking_config = Watermark(choose)
        shown = repr(model.generation_config) + repr(Watermark(choose))
        self.assertIn(key.commitment, shown)
        output = model.generate(**padded(self.prompts), **OPTIONS)
        self.assertEqual(output.shape, (4, 87))


@unittest.skipUnless(os.environ.get("TAGGANT_GGUF") and os.environ.get("TAGGANT_CLI"), "TAGGANT_GGUF and TAGGANT_CLI are not set")
class Real(unittest.TestCase):
    """SmolLM2 under transformers; the record of the command, marked here, found by the command."""

    def test_the_command_finds_what_the_wheel_marked(self):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        gguf = Path(os.environ["TAGGANT_GGUF"])
        asked = [
            "Explain how a bicycle stays upright.", "Write a short story about a lighthouse keeper.", "What should I consider before adopting a dog?",
            "Describe the water cycle to a child.", "Give me a recipe for vegetable soup.", "Why did the Roman Empire decline?",
            "Write a letter to a friend about a journey by train.", "How do computers store numbers?",
        ]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)

            def command(*words: object) -> list[dict]:
                ran = subprocess.run([os.environ["TAGGANT_CLI"], *map(str, words)], capture_output=True, text=True, cwd=folder)
                self.assertIn(ran.returncode, (0, 1), ran.stderr)
                return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]

            (folder / "paths.txt").write_text("".join(f"e/account/n{number}\n" for number in range(8)))
            (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text, "account": f"n{number}"}) + "\n" for number, text in enumerate(asked)))
            command("key", "new", "--out", "root.key")
            command("key", "derive", "--root", "root.key", "--path", "e/campaign/c", "--out", "campaign.key")
            command("key", "derive", "--root", "root.key", "--paths", "paths.txt", "--out", "accounts.jsonl")
            command(
                "generate", "--model", gguf, "--prompts", "prompts.jsonl", "--key", "campaign.key", "--account-keys", "accounts.jsonl",
                "--max-tokens", 1, "--out", "one.jsonl", "--record", "records.json",
            )
            campaign, keys = Key.load(folder / "campaign.key"), Key.load_many(folder / "accounts.jsonl")
            records = Record.load_many(folder / "records.json")
            samplers = [Sampler(record, [campaign, key]) for record, key in zip(records, keys)]

            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, padding_side="left")
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token
            texts = [f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" for text in asked]
            inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
            torch.manual_seed(1)
            output = generate(model, samplers, **inputs, do_sample=True, temperature=1.0, top_p=0.95, top_k=0, max_new_tokens=120, min_new_tokens=120)
            rows = responses(inputs["input_ids"], output, [tokenizer.eos_token_id, tokenizer.pad_token_id], inputs["attention_mask"])
            (folder / "rows.jsonl").write_text("".join(json.dumps({"id": number, **row}) + "\n" for number, row in enumerate(rows)))

            *lines, pooled = command("detect", "--record", "records.json", "--key", "campaign.key", "--input", "rows.jsonl", "--json")
            print(f"\nSmolLM2, {sum(len(row['tokens']) for row in rows)} tokens: campaign, pooled log10 p = {pooled['log10_p']:.1f}")
            self.assertEqual(pooled["verdict"], "Detected")
            ours = detect(campaign, records[0], rows)
            self.assertEqual((ours.units, ours.verdict), (pooled["units"], "Detected"))
            self.assertAlmostEqual(ours.log10_p, pooled["log10_p"], places=6)
            right = 0
            for number, row in enumerate(rows):
                (folder / "row.jsonl").write_text(json.dumps(row) + "\n")
                *found, _ = command(
                    "detect", "--record", "records.json", "--key", "campaign.key", "--many-keys", "accounts.jsonl", "--input", "row.jsonl", "--json"
                )
                print(f"account {number}: best of 8 keys is {found[0]['line'] - 1}, log10 p = {found[0]['log10_p']:.1f}, next {found[1]['log10_p']:.1f}")
                right += found[0]["line"] - 1 == number
            self.assertEqual(right, 8)


if __name__ == "__main__":
    unittest.main()
