"""Rules of the file of marks, detection under the same file, and what is served written down."""

import gc
import json
import logging
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import marks as files
import numpy as np

from taggant import FormatError, IoError, IssuanceLog, ParameterError, RootKey, TokenError, verify_log
from taggant.issued import Issued, Serving
from taggant.policy import Request, Rule, drawn
from taggant.serving import Marks, RequestError

VOCABULARY = 500

RULES = """
[tiers]
flagged = ["east"]

[[rule]]
structured = true
mark = false
because = "structured output leaves too little choice"

[[rule]]
tools = true
mark = false
because = "tool calls"

[[rule]]
tier = "flagged"
mark = "west"
twins = 1.0

[[rule]]
max_tokens_below = 8
temperature_below = 0.3
mark = false
because = "short and nearly greedy"
"""


class Folder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.path, self.made = files.write(self.folder, VOCABULARY)

    def marks(self, more: str = "") -> Marks:
        self.path.write_text(self.path.read_text() + more)
        return Marks.load(self.path)


class Rules(Folder):
    def test_the_first_rule_that_fits_decides(self):
        marks = self.marks(RULES)
        for request, name, reason, twins in (
            (Request("west"), "west", "marked", False),
            (Request("east"), "west", "marked", True),
            (Request("east", structured=True), None, "structured output leaves too little choice", False),
            (Request("west", structured=True, tools=True), None, "structured output leaves too little choice", False),
            (Request("west", tools=True), None, "tool calls", False),
            (Request("west", temperature=0.2, max_tokens=7), None, "short and nearly greedy", False),
            (Request("west", temperature=0.2, max_tokens=8), "west", "marked", False),
            (Request("west", temperature=0.2), "west", "marked", False),
            (Request("east", temperature=0.0), None, "temperature 0 leaves no choice to mark", False),
            (Request("internal", structured=True), None, "structured output leaves too little choice", False),
        ):
            with self.subTest(request):
                decision = marks.decide(request)
                self.assertEqual((decision.name, decision.reason, decision.twins), (name, reason, twins))
                self.assertEqual(decision.sampler is None, name is None)
        with self.assertRaises(RequestError):
            marks.decide(Request("north", structured=True))

    def test_an_unmarked_account_can_be_marked_by_a_rule(self):
        marks = self.marks('[[rule]]\naccounts = ["internal"]\nmark = "east"\n')
        self.assertEqual(marks.decide(Request("internal")).name, "east")

    def test_a_share_of_requests_has_twins(self):
        """Binomial(20,000, 0.2): outside of 3,800 to 4,200 with p < 4e-4. The same id, the same answer."""
        asked = [Request(id=f"r{number}") for number in range(20_000)]
        taken = sum(drawn(request, 0.2) for request in asked)
        self.assertTrue(3_800 <= taken <= 4_200, taken)
        self.assertEqual([drawn(request, 0.2) for request in asked[:50]], [drawn(request, 0.2) for request in asked[:50]])
        self.assertTrue(all(drawn(request, 1.0) and not drawn(request, 0.0) for request in [*asked[:50], Request()]))

    def test_a_tier_is_a_file(self):
        (self.folder / "flagged.txt").write_text("east\n\nnorth\n")
        marks = self.marks('[tiers]\nflagged = "flagged.txt"\n[[rule]]\ntier = "flagged"\nmark = "west"\n')
        self.assertEqual((marks.decide(Request("east")).name, marks.decide(Request("west")).name), ("west", "west"))

    def test_rules_that_mean_nothing_are_refused(self):
        plain = self.path.read_text()
        for rule, kind, part in (
            ("structured = true", FormatError, "rule 1 does nothing"),
            ("mark = false", FormatError, "says `because`"),
            ('mark = "north"', FormatError, "mark 'north' is not defined; known are east, west"),
            ('mark = "east"\nform = "json"', FormatError, "field 'form'; known are mark, twins"),
            ('mark = "east"\ntier = "vip"', FormatError, "tier 'vip' is not defined"),
            ("twins = 1.5", FormatError, "from 0 to 1"),
            ("twins = true", FormatError, "twins is of type bool"),
            ('mark = false\nbecause = "x"\ntwins = 0.1', FormatError, "no twins either"),
            ('mark = "east"\nstructured = 1', FormatError, "structured is of type int"),
            ('mark = "east"\naccounts = [1]', FormatError, "accounts must be names"),
            ('mark = "east"\n[tiers]\na = 7', FormatError, "tier 'a' must be a list"),
            ('mark = "east"\n[tiers]\na = "none.txt"', IoError, "none.txt"),
            ('mark = "east"\n[log]\nsize = 1', FormatError, "log has the field size"),
            ('mark = "east"\n[log]\npath = "x"\ndigests_only = true', FormatError, "digests_only needs pseudonyms"),
        ):
            with self.subTest(rule), self.assertRaisesRegex(kind, part):
                self.path.write_text(f"{plain}[[rule]]\n{rule}\n")
                Marks.load(self.path)


class Detection(Folder):
    def rows(self, marks: Marks, request: Request, count: int, seed: int) -> list[dict]:
        """Answers that the file's decision made, from random logits."""
        source, rows = np.random.default_rng(seed), []
        for _ in range(count):
            sampler = marks.decide(request).sampler
            if sampler is None:
                tokens = source.integers(VOCABULARY, size=60).tolist()
            else:
                stream = sampler.stream()
                for _ in range(60):
                    stream.select(source.normal(size=VOCABULARY).astype(np.float32), coin=int(source.integers(2**63)))
                tokens = stream.tokens
            rows.append({"tokens": tokens, "account": request.account, "structured": request.structured})
        return rows

    def test_both_sides_read_one_file(self):
        marks = self.marks(RULES)
        east = self.rows(marks, Request("east"), 3, 1)
        form = self.rows(marks, Request("west", structured=True), 3, 2)
        # A flagged account's text carries the mark that the rule names; structured text is expected to carry none and is pooled with none.
        reports = marks.detect([*east, *form])
        self.assertEqual(list(reports), ["west"])
        self.assertLess(reports["west"].log10_p, -20)
        self.assertEqual(reports["west"].units, marks.detect(east)["west"].units)
        # Innocent text, one seed: p is uniform, below 1e-3 once in a thousand.
        innocent = [{"tokens": row["tokens"], "account": "west"} for row in form]
        self.assertGreater(marks.detect(innocent)["west"].log10_p, -3)
        with self.assertRaises(RequestError):
            marks.detect([{"tokens": [1, 2, 3], "account": "north"}])
        self.assertEqual(marks.detect([]), {})

    def test_alpha_is_that_of_all_marks_together(self):
        """A p-value between alpha and its half is a finding by itself, and none beside another mark's."""
        marks = Marks.load(self.path)
        east = self.rows(marks, Request("east"), 1, 4)
        west = [{**row, "account": "west"} for row in east]
        alpha = marks.detect(east)["east"].p_value * 1.5
        self.assertEqual(marks.detect(east, alpha=alpha)["east"].verdict, "Detected")
        both = marks.detect([*east, *west], alpha=alpha)
        self.assertEqual([both[name].verdict for name in ("east", "west")], ["NotDetected", "NotDetected"])
        self.assertEqual(both["east"].p_value * 1.5, alpha)


class Log(Folder):
    def setUp(self):
        super().setUp()
        RootKey.from_bytes(bytes(32)).derive("e/pseudonym/all").save(self.folder / "pseudonyms.key")
        self.log = self.folder / "issuance.jsonl"

    def test_what_is_served_is_written_and_only_once(self):
        marks = self.marks('[log]\npath = "issuance.jsonl"\npseudonyms = "pseudonyms.key"\n')
        self.assertFalse(self.log.exists(), "who only reads the file writes nothing")
        issued = marks.issued()
        self.assertIs(issued, marks.issued())
        record = marks.choose("east").record
        for number in range(1000):
            issued.served(Serving([1, 2, 3, -1], [7, number % VOCABULARY], "ada@example.com", record, "marked"))
        issued.served(Serving([4], None, None, None, "tool calls"))
        issued.served(Serving([-1], None, None, None, "nothing came"))
        # Another worker of the same server writes nothing, and does not fail.
        with self.assertLogs("taggant.serving", logging.WARNING):
            self.assertIsNone(Marks.load(self.path).issued())
        issued.close()
        report = verify_log(self.log)
        self.assertEqual((report.exchanges, report.marks, report.fault), (1001, 2, None))
        text = self.log.read_text()
        self.assertNotIn("ada@example.com", text)
        last = json.loads(text.splitlines()[-1])["exchange"]
        self.assertEqual((last["unmarked"], last["response"]["tokens"]), ("tool calls", [4]))

    def test_one_bad_row_keeps_none_of_the_others_out(self):
        _, record = self.made["east"]
        issued = Issued(IssuanceLog(self.log, [record]), False)
        with self.assertLogs("taggant.issued", logging.ERROR) as said:
            for tokens in ([1], [VOCABULARY + 7], [2]):
                issued.served(Serving(tokens, None, "ada", record, "marked"))
            issued.close()
        self.assertEqual((verify_log(self.log).exchanges, len(said.output)), (2, 1))
        self.assertIn(str(VOCABULARY + 7), said.output[0])

    def test_a_log_without_pseudonyms_has_no_accounts(self):
        marks = self.marks('[log]\npath = "issuance.jsonl"\n')
        marks.issued().served(Serving([1, 2], None, "ada@example.com", marks.choose("west").record, "marked"))
        marks.issued().close()
        self.assertEqual(verify_log(self.log).exchanges, 1)
        self.assertNotIn("account", self.log.read_text().splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
