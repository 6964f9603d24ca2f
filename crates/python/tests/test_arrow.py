"""Rows from Arrow: the same answers as from lists, without a copy where there need be none, and errors that name the row."""

import gc
import unittest
from typing import Any

import numpy as np
from support import resident, sampler

import taggant
from taggant import _arrow, detect, detect_each, distill

try:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
except ImportError:
    raise unittest.SkipTest("pyarrow, polars or pandas is not installed")

ROWS = [[1, 2, 3, 4, 5], [], [6, 7, 8, 9], [5, 5, 5, 1, 2, 3], [10, 11, 12]]
TYPES = [pa.uint32(), pa.int32(), pa.int64(), pa.uint64(), pa.int16(), pa.uint16(), pa.uint8(), pa.int8()]


def read(column: Any) -> list[list[int]]:
    """The rows as `_arrow` reads them, without what computes on them."""
    return [tokens.values[start:end].tolist() for tokens, _ in _arrow.chunks(column) for start, end in zip(tokens.starts, tokens.ends)]


class Columns(unittest.TestCase):
    def setUp(self):
        self.key, self.record, _ = sampler(vocabulary=1000)

    def same(self, rows: Any, expected: list[Any] = ROWS):
        """Whether rows are read the same by everything that takes rows."""
        one, other = (detect(self.key, self.record, what) for what in (rows, expected))
        self.assertEqual((one.units, one.tokens, one.score), (other.units, other.tokens, other.score))
        [one], [other] = (detect_each([self.key], self.record, what) for what in (rows, expected))
        self.assertEqual((one.units, one.score), (other.units, other.score))
        one, other = (distill.closed(self.key, self.record, what, served=what) for what in (rows, expected))
        self.assertEqual((one.keys[0].log10_p, one.rows), (other.keys[0].log10_p, other.rows))

    def test_lists_of_every_type(self):
        for kind in TYPES:
            for make in (pa.list_, pa.large_list):
                with self.subTest(make(kind)):
                    array = pa.array(ROWS, type=make(kind))
                    self.assertEqual(read(array), ROWS)
                    self.same(array)
        fixed = [row + row for row in ([1, 2, 3], [4, 5, 6], [7, 8, 9])]
        array = pa.array(fixed, type=pa.list_(pa.int64(), 6))
        self.assertEqual(read(array), fixed)
        self.same(array, fixed)
        self.assertEqual(read(array[1:]), fixed[1:])

    def test_slices_and_chunks(self):
        array = pa.array([[99], *ROWS, [98, 97]], type=pa.list_(pa.uint32()))
        self.same(array[1:6])
        self.assertEqual(
            [read(array[start:stop]) for start in range(8) for stop in range(8)],
            [array[start:stop].to_pylist() for start in range(8) for stop in range(8)],
        )
        chunked = pa.chunked_array([array[1:3], array[3:3], array[3:6]])
        self.assertEqual((chunked.num_chunks, read(chunked)), (3, ROWS))
        self.same(chunked)
        self.same(chunked[1:4], ROWS[1:4])
        for empty in (pa.array([], type=pa.list_(pa.int64())), pa.chunked_array([], type=pa.list_(pa.int64())), array[:0]):
            self.assertEqual(read(empty), [])
            self.assertEqual((detect(self.key, self.record, empty).tokens, distill.closed(self.key, self.record, empty).rows), (0, 0))
        # Values under an offset of their own.
        values = pa.array([0, 0, 0, *range(1, 10)], type=pa.int32())[3:]
        lists = pa.ListArray.from_arrays(pa.array([0, 4, 9], type=pa.int32()), values)
        self.assertEqual(read(lists), [[1, 2, 3, 4], [5, 6, 7, 8, 9]])

    def test_tables(self):
        prompts = [[1, 2], None, [7, 8], [], [10, 11, 12]]
        expected = [{"tokens": tokens, "prompt_tokens": prompt} for tokens, prompt in zip(ROWS, prompts)]
        columns = {
            "id": list("abcde"),
            "tokens": pa.array(ROWS, type=pa.list_(pa.int32())),
            "prompt_tokens": pa.array(prompts, type=pa.list_(pa.int64())),
        }
        table = pa.table(columns)
        self.same(table, expected)
        self.same(table.slice(2, 2), expected[2:4])
        self.same(pa.concat_tables([table.slice(0, 2), table.slice(2)]), expected)
        self.same(table.to_batches()[0], expected)
        self.same(pl.from_arrow(table), expected)
        self.same(pl.from_arrow(table)[1:4], expected[1:4])
        self.same(pa.table({"tokens": ROWS, "prompt_tokens": pa.nulls(5)}), ROWS)
        # A reader can be read once.
        self.assertEqual(
            detect(self.key, self.record, table.to_reader(max_chunksize=2)).score, detect(self.key, self.record, expected).score
        )
        struct = pa.StructArray.from_arrays([columns["tokens"], columns["prompt_tokens"]], ["tokens", "prompt_tokens"])
        self.same(struct[1:4], expected[1:4])

    def test_polars_and_pandas(self):
        for dtype in (pl.UInt32, pl.Int64, pl.Int32):
            series = pl.Series("tokens", ROWS, dtype=pl.List(dtype))
            self.same(series)
            self.same(pl.concat([series[:2], series[2:]], rechunk=False))
        self.same(pl.Series([[1, 2, 3], [4, 5, 6]], dtype=pl.Array(pl.Int64, 3)), [[1, 2, 3], [4, 5, 6]])
        backed = pd.Series(ROWS, dtype=pd.ArrowDtype(pa.list_(pa.int64())), name="tokens")
        self.same(backed)
        self.same(backed[2:], ROWS[2:])
        self.same(pd.DataFrame({"tokens": backed}))
        self.same(pd.Series(ROWS))
        self.same(pd.Series(ROWS, dtype=object)[1:], ROWS[1:])

    def test_single_rows(self):
        expected = detect(self.key, self.record, [{"tokens": ROWS[3], "prompt_tokens": ROWS[0]}])
        arrays = [
            pa.array,
            pl.Series,
            pd.Series,
            lambda row: pa.array([9, *row, 9])[1:-1],
            lambda row: pa.chunked_array([row[:2], row[2:]]),
        ]
        arrays += [lambda row, kind=kind: pa.array(row, type=kind) for kind in TYPES]
        for make in arrays:
            found = detect(self.key, self.record, [{"tokens": make(ROWS[3]), "prompt_tokens": make(ROWS[0])}])
            self.assertEqual((found.units, found.score), (expected.units, expected.score))
        self.assertEqual(distill.WindowIndex(self.record, [[1, 2, 3]]).count(pl.Series([1, 2])), 1)
        one, detector = pl.Series(ROWS), taggant.Detector(self.key, self.record)
        for row in one:
            detector.row(row)
        self.assertEqual(detector.pooled().score, detect(self.key, self.record, one).score)

    def test_texts_of_an_open_test(self):
        table = pa.table({"tokens": ROWS[2:], "prompt_tokens": pa.array([[1, 2], None, []], type=pa.list_(pa.int64()))})
        logits = [np.random.default_rng(len(row)).normal(size=(len(row), 1000)) for row in ROWS[2:]]
        rows = table.to_pylist()
        found = [distill.open(self.key, self.record, what, logits).keys[0] for what in (table, pl.from_arrow(table), rows)]
        self.assertEqual({(finding.units, finding.log10_p) for finding in found}, {(found[2].units, found[2].log10_p)})
        self.assertEqual(distill.open(self.key, self.record, table["tokens"], logits).rows, 3)

    def test_what_has_32_bits_stays_where_it_is(self):
        for kind in (pa.uint32(), pa.int32()):
            array = pa.array(ROWS, type=pa.list_(kind))[2:]
            [(tokens, _)] = _arrow.chunks(array)
            self.assertEqual(tokens.values.ctypes.data, array.values.buffers()[1].address + 4 * len(ROWS[0]))
            self.assertFalse(tokens.values.flags.writeable)

    def test_what_was_read_outlives_its_source(self):
        def lists() -> Any:
            table = pa.chunked_array([pa.array([[number] * 1000], type=pa.list_(pa.uint32())) for number in range(50)])
            return [tokens.values for tokens, _ in _arrow.chunks(table)]

        held = lists()
        gc.collect()
        junk = [np.zeros(1000, np.uint32) for _ in range(200)]
        self.assertEqual([values.tolist() for values in held], [[number] * 1000 for number in range(50)])
        del junk

    def test_memory_is_given_back(self):
        def steps(count: int):
            for number in range(count):
                array = pa.array([[number % 1000] * 5000], type=pa.list_(pa.int32()))
                for source in (array, pa.chunked_array([array, array]), pl.Series([[1, 2, 3] * 1000])):
                    detect(self.key, self.record, source)
                try:
                    detect(self.key, self.record, pa.chunked_array([array, pa.array([None], type=array.type)]))
                except taggant.FormatError:
                    pass

        steps(100)
        before = resident()
        steps(1500)
        # Forgotten, they would be 150 MB.
        self.assertLess(resident() - before, 20 << 20)


class Refused(unittest.TestCase):
    def refused(self, error: type[Exception], message: str, rows: Any):
        key, record, _ = sampler(vocabulary=1000)
        for call in (
            lambda: detect(key, record, rows),
            lambda: detect_each([key], record, rows),
            lambda: distill.closed(key, record, rows),
        ):
            with self.subTest(message), self.assertRaisesRegex(error, message):
                call()

    def test_nulls(self):
        rows = pa.array([[1, 2], [3, None, 4], None, [5]], type=pa.list_(pa.int64()))
        self.refused(taggant.TokenError, "^row 1: null at position 1$", rows[:2])
        self.refused(taggant.FormatError, "^row 0: null; leave rows without tokens out$", rows[2:])
        self.refused(taggant.FormatError, "^row 5: null;", pa.chunked_array([pa.array([[1, 2]] * 4, type=rows.type), rows[3:], rows[2:]]))
        self.refused(taggant.TokenError, "^row 2: null at position 0$", pl.Series([[1], [2], [None, 3]]))
        # What is null is not looked into, and what lies outside a slice is not either.
        values, valid = pa.array([1, 2, -7, None, 3], type=pa.int64()), pa.array([False, True, False])
        lists = pa.ListArray.from_arrays(pa.array([0, 2, 4, 5], type=pa.int32()), values, mask=valid)
        table = pa.table({"tokens": pa.array([[1, 2, 3]] * 3, type=pa.list_(pa.int64())), "prompt_tokens": lists})
        key, record, _ = sampler(vocabulary=1000)
        self.assertEqual(detect(key, record, table).units, 1)
        self.refused(taggant.FormatError, "row 1: null", lists)
        self.refused(
            taggant.TokenError,
            "row 0, prompt_tokens: null at position 0",
            pa.table({"tokens": [[1, 2]], "prompt_tokens": pa.array([[None]], type=lists.type)}),
        )

    def test_ids(self):
        for kind in (pa.int32(), pa.int64(), pa.int8()):
            rows = pa.array([[1], [2, 3], [4, 5, -1, 6]], type=pa.list_(kind))
            self.refused(
                taggant.TokenError,
                "^row 2: token id -1 is not from 0 to 4294967295; a negative id stands for padding.*, at position 2$",
                rows,
            )
            self.refused(taggant.TokenError, "^row 0: token id -1 .* at position 2$", rows[2:])
        for kind in (pa.int64(), pa.uint64()):
            self.refused(
                taggant.TokenError,
                "^row 0: token id 4294967296 is not from 0 to 4294967295, at position 1$",
                pa.array([[1, 2**32]], type=pa.list_(kind)),
            )
        self.refused(taggant.TokenError, "^row 1: token id 1000 .*vocabulary", pa.array([[1], [1000, 2, 3]], type=pa.list_(pa.uint32())))

    def test_ids_of_single_rows(self):
        for message, row in {
            "^row 0: null at position 1$": pa.array([1, None]),
            "^row 0: null at position 2$": pl.Series([1, 2, None]),
            "^row 0: token id -1 is not .* at position 3$": pa.chunked_array([[1, 2], [3, -1]]),
            "^row 0: token id 4294967296 is not from 0 to 4294967295, at position 0$": pa.array([2**32]),
            "^row 0: the Arrow format `g`; token ids are integers": pl.Series([1.5]),
            "^row 0: the Arrow format": pl.Series([[1, 2]]),
        }.items():
            self.refused(taggant.TokenError, message, [row])

    def test_other_columns(self):
        for message, rows in {
            "holds token ids, not rows of them": pa.array([1, 2, 3]),
            "Arrow format `u`; list, large_list or fixed_size_list": pa.array(["text"]),
            "lists of the Arrow format `u`; token ids are integers": pa.array([["text"]]),
            "lists of the Arrow format `g`; token ids": pl.Series([[1.5]]),
            r"Arrow format `\+vl`": pa.array([[1]], type=pa.list_view(pa.int64())),
            "a dictionary": pa.array(["a"]).dictionary_encode(),
            r"without a column `tokens` \(it has: id, text\)": pa.table({"id": [1], "text": ["a"]}),
            "column, prompt_tokens holds token ids": pa.table({"tokens": [[1]], "prompt_tokens": [1]}),
        }.items():
            self.refused(taggant.FormatError, message, rows)
        self.refused(
            taggant.FormatError, "row 1: null", pa.StructArray.from_arrays([pa.array([[1], [2]])], ["tokens"], mask=pa.array([False, True]))
        )

    def test_a_stream_that_fails(self):
        def batches() -> Any:
            yield pa.record_batch({"tokens": [[1, 2, 3]]})
            raise ValueError("the disk is gone")

        key, record, _ = sampler(vocabulary=1000)
        schema = pa.schema({"tokens": pa.list_(pa.int64())})
        with self.assertRaisesRegex(taggant.FormatError, "the Arrow stream failed with error .*the disk is gone"):
            detect(key, record, pa.RecordBatchReader.from_batches(schema, batches()))

        class Impostor:
            def __arrow_c_stream__(self) -> int:
                return 3

        self.refused(ValueError, "PyCapsule_GetPointer", Impostor())

        class Twice:
            given = pa.array([[1, 2, 3]]).__arrow_c_array__()

            def __arrow_c_array__(self, requested: object = None) -> tuple[Any, Any]:
                return self.given

        pa.array(Twice())
        self.refused(taggant.FormatError, "given away already", Twice())


if __name__ == "__main__":
    unittest.main()
