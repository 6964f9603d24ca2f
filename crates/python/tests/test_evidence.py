"""What is served is written down, and what others wrote is checked: the same files as the command's."""

import shutil
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np

from support import ROOT, sampler
from taggant import FormatError, IoError, IssuanceLog, KeyFileError, LimitError, MismatchError, ParameterError, RootKey, TokenError, verify_case, verify_log


class Logs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "issuance.jsonl"
        self.key, self.record, _ = sampler()
        self.pseudonyms = RootKey.from_bytes(bytes(32)).derive("2026-12/pseudonym/all")

    def row(self, name="r", **fields):
        return {"id": name, "tokens": [1, 2, 3], "record": self.record, **fields}

    def test_what_is_appended_is_there_and_changes_are_found(self):
        with IssuanceLog(self.path, [self.record], pseudonyms=self.pseudonyms) as log:
            log.append(self.row("a", account="ada@example.com", prompt="Hello", response="text", tokens=np.array([5, 6], dtype=np.int64)))
            (third, _), (fourth, head) = log.append([self.row("b"), {"id": "c", "response": "{}", "unmarked": "JSON"}])
            self.assertEqual((third, fourth, log.lines, log.head), (3, 4, 4, head))
        report = verify_log(self.path, [head])
        self.assertEqual((report.lines, report.exchanges, report.marks, report.head, report.fault), (4, 3, 1, head, None))
        text = self.path.read_text()
        self.assertNotIn("ada@example.com", text)
        self.assertIn("Hello", text)
        # Each change is a fault; so is a line that was made known and is not there.
        for changed in (text.replace("Hello", "Hallo"), text.replace("JSON", "json"), "".join(text.splitlines(True)[:2] + text.splitlines(True)[3:])):
            self.path.write_text(changed)
            self.assertIsNotNone(verify_log(self.path).fault)
        self.path.write_text("".join(text.splitlines(True)[:3]))
        self.assertIsNone(verify_log(self.path).fault)
        self.assertIn(head[:8], verify_log(self.path, [head]).fault)

    def test_it_goes_on_where_it_ended(self):
        IssuanceLog(self.path, [self.record]).append(self.row("a"))
        _, other, _ = sampler("greenlist")
        with IssuanceLog(self.path, [other]) as log:
            log.append(self.row("b"))
            log.append(self.row("c", record=other))
        report = verify_log(self.path)
        self.assertEqual((report.exchanges, report.marks, report.fault), (3, 2, None))

    def test_digests_stand_for_texts(self):
        with IssuanceLog(self.path, [self.record], pseudonyms=self.pseudonyms, digests_only=True) as log:
            log.append(self.row("a", prompt="a secret prompt", response="a secret answer"))
        self.assertNotIn("secret", self.path.read_text())
        self.assertIsNone(verify_log(self.path).fault)

    def test_threads_share_it(self):
        with IssuanceLog(self.path, [self.record]) as log:
            threads = [threading.Thread(target=lambda n=n: [log.append(self.row(f"{n}-{m}")) for m in range(10)]) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        report = verify_log(self.path)
        self.assertEqual((report.exchanges, report.fault), (80, None))

    def test_what_cannot_be_logged_is_refused_and_leaves_no_line(self):
        _, other, _ = sampler(path="2026-12/campaign/west")
        log = IssuanceLog(self.path, [self.record])
        for row, kind, part in (
            ({"tokens": [1]}, ParameterError, "without `id`"),
            ({"id": "a", "record": self.record}, ParameterError, "neither `tokens` nor `response`"),
            ({"id": "a", "tokens": [1]}, ParameterError, "either `record`"),
            (self.row(unmarked="x"), ParameterError, "either `record`"),
            (self.row(account="ada"), ParameterError, "never logged as they are"),
            (self.row(mark="x"), ParameterError, "field `mark`"),
            (self.row(response=7), ParameterError, "`response` is of type int"),
            (self.row(record="x"), ParameterError, "`record` is of type str"),
            (self.row(tokens=[1, 10**6]), TokenError, "1000000"),
            (self.row(tokens=[1.5]), TokenError, "float"),
            (self.row(record=other), MismatchError, "mark"),
            (self.row(twins="zz"), FormatError, ""),
            ("row", ParameterError, "dict"),
        ):
            with self.subTest(row), self.assertRaisesRegex(kind, part):
                log.append([self.row("good"), row] if isinstance(row, dict) else row)
        self.assertEqual((log.lines, verify_log(self.path).exchanges), (1, 0))
        with self.assertRaisesRegex(LimitError, "writer"):
            IssuanceLog(self.path, [self.record])
        log.close()
        with self.assertRaisesRegex(ParameterError, "closed"):
            log.append(self.row())
        with self.assertRaises(KeyFileError):
            IssuanceLog(self.path, [self.record], pseudonyms=self.key)
        with self.assertRaisesRegex(ParameterError, "pseudonyms"):
            IssuanceLog(self.path, [self.record], digests_only=True)
        with self.assertRaises(IoError):
            verify_log(self.path.with_name("none"))


class Cases(unittest.TestCase):
    def test_a_case_is_checked_and_a_changed_file_named(self):
        trust = ROOT / "tests" / "cases" / "trust.json"
        with tempfile.TemporaryDirectory() as folder:
            case = Path(folder) / "case"
            shutil.copytree(ROOT / "tests" / "cases" / "sample", case)
            checks = verify_case(case, trust)
            self.assertEqual({check.code for check in checks if check.status != "PASS"}, {"analysis.recomputed"})
            self.assertGreater(len(checks), 20)
            records = case / "transcript" / "records.jsonl"
            data = bytearray(records.read_bytes())
            data[len(data) // 2] ^= 1
            records.write_bytes(data)
            failed = [check for check in verify_case(case, trust) if check.status == "FAIL"]
            self.assertTrue(any("transcript/records.jsonl" in check.detail for check in failed), failed)
            with self.assertRaises(IoError):
                verify_case(Path(folder) / "none", trust)
            with self.assertRaises(FormatError):
                verify_case(case, case / "mark" / "record.json")


if __name__ == "__main__":
    unittest.main()
