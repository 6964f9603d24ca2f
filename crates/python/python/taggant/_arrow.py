"""Rows from Arrow columns, through the Arrow PyCapsule interface: what pyarrow, polars and pandas give away without a copy.

The interface is three C structures, which `ctypes` can read, so that nothing must be installed or linked for it.
"""

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ._taggant import FormatError, TokenError

Ints = NDArray[Any]


class GivesArray(Protocol):
    """What gives away one array, such as `pyarrow.Array`."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


class GivesStream(Protocol):
    """What gives away arrays one after another, such as `polars.Series` and every table."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class Schema(ctypes.Structure):
    """struct ArrowSchema."""


class Array(ctypes.Structure):
    """struct ArrowArray."""


class Stream(ctypes.Structure):
    """struct ArrowArrayStream."""


Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(Schema))),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(Array))),
    ("private_data", ctypes.c_void_p),
]
Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(Stream))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(Stream))),
    ("private_data", ctypes.c_void_p),
]

_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


class Owned:
    """A structure that the producer filled for us and that we must give back."""

    def __init__(self, kind: type[ctypes.Structure]):
        self.struct: Any = kind()

    def __del__(self):
        if self.struct.release:
            self.struct.release(ctypes.byref(self.struct))


class Lists(NamedTuple):
    """The rows of a column: row i is values[starts[i]:ends[i]]."""

    values: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    valid: NDArray[np.bool_]


def chunks(rows: Any) -> Iterator[tuple[Lists, Lists | None]] | None:
    """The rows of a column of lists, or of the columns `tokens` and `prompt_tokens` of a table; None if `rows` cannot be given away."""
    arrays = _arrays(rows)
    return None if arrays is None else _chunks(arrays)


def _chunks(arrays: Iterator[tuple[Schema, Array, Any]]) -> Iterator[tuple[Lists, Lists | None]]:
    count = 0
    for schema, array, owner in arrays:
        yield _rows(schema, array, owner, count)
        count += array.length


def each(rows: Any) -> Iterator[Any]:
    """The same rows one by one, as whatever takes a row does; `rows` may also be anything else that holds rows."""
    found = chunks(rows) if hasattr(rows, "__arrow_c_array__") or hasattr(rows, "__arrow_c_stream__") else None
    if found is None:
        yield from rows
        return
    for tokens, prompts in found:
        for place in range(len(tokens.starts)):
            row = {"tokens": tokens.values[tokens.starts[place] : tokens.ends[place]]}
            if prompts is not None and prompts.valid[place]:
                row["prompt_tokens"] = prompts.values[prompts.starts[place] : prompts.ends[place]]
            yield row


def ids(what: str, row: Any) -> NDArray[np.uint32] | None:
    """The token ids in a column of integers, which errors call `what`; None if `row` cannot be given away."""
    arrays = _arrays(row)
    if arrays is None:
        return None
    parts, count = [np.zeros(0, np.uint32)], 0
    for schema, array, owner in arrays:
        if schema.format not in DTYPES or schema.dictionary:
            raise TokenError(f"{what}: the Arrow format `{schema.format.decode(errors='replace')}`; token ids are integers")
        inside = range(array.offset, array.offset + array.length)
        missing = ~_valid(array, owner, inside)
        if missing.any():
            raise TokenError(f"{what}: null at position {count + int(np.argmax(missing))}")
        if array.length:
            values = _view(array.buffers[1], DTYPES[schema.format], inside.stop, owner)[inside.start :]
            wrong = (values < 0) | (values > MOST)
            if wrong.any():
                place = int(np.argmax(wrong))
                raise TokenError(f"{what}: {_out_of_range(int(values[place]))} at position {count + place}")
            parts.append(values.astype(np.uint32))
        count += array.length
    return np.concatenate(parts)


def _arrays(value: Any) -> Iterator[tuple[Schema, Array, Any]] | None:
    """The arrays of a column or table, each with its type and with what must stay for as long as it is looked at."""
    try:
        if hasattr(value, "__arrow_c_array__"):
            return _one(*value.__arrow_c_array__())
        return _stream(value.__arrow_c_stream__())
    except ImportError:
        # pandas exports by pyarrow only; without it a series is a sequence like any other.
        return None


def _one(schema: Any, array: Any) -> Iterator[tuple[Schema, Array, Any]]:
    # A capsule gives back what it holds when it goes.
    owner = (schema, array)
    kind, items = Schema.from_address(_pointer(schema, b"arrow_schema")), Array.from_address(_pointer(array, b"arrow_array"))
    if not (kind.release and items.release):
        raise FormatError("an Arrow array that was given away already")
    yield kind, items, owner


def _stream(capsule: Any) -> Iterator[tuple[Schema, Array, Any]]:
    stream = Stream.from_address(_pointer(capsule, b"arrow_array_stream"))
    schema = Owned(Schema)
    _must(stream, stream.get_schema(ctypes.byref(stream), ctypes.byref(schema.struct)))
    while True:
        array = Owned(Array)
        _must(stream, stream.get_next(ctypes.byref(stream), ctypes.byref(array.struct)))
        if not array.struct.release:
            return
        # The capsule as well: a chunk may rest on its stream.
        yield schema.struct, array.struct, (capsule, schema, array)


def _must(stream: Stream, code: int):
    if code:
        text = stream.get_last_error(ctypes.byref(stream)) or b"no reason given"
        raise FormatError(f"the Arrow stream failed with error {code}: {text.decode(errors='replace')}")


def _rows(schema: Schema, array: Array, owner: Any, first: int) -> tuple[Lists, Lists | None]:
    """The rows of one chunk, which are counted from `first`."""
    whole = range(array.offset, array.offset + array.length)
    if schema.format != b"+s":
        return _lists(schema, array, owner, whole, first, "", False), None
    _all_there(_valid(array, owner, whole), first, "")
    columns = {schema.children[place].contents.name: place for place in range(schema.n_children)}
    if b"tokens" not in columns:
        named = ", ".join(name.decode(errors="replace") for name in columns) or "none"
        raise FormatError(f"a table without a column `tokens` (it has: {named}); encode its text with the tokenizer that was marked")

    def column(name: bytes, optional: bool) -> Lists:
        place, shown = columns[name], "" if name == b"tokens" else f", {name.decode()}"
        child, values = schema.children[place].contents, array.children[place].contents
        inside = range(whole.start + values.offset, whole.stop + values.offset)
        if whole.stop > values.length:
            raise FormatError(f"a table of {whole.stop} rows with a column of {values.length}; its producer is at fault")
        return _lists(child, values, owner, inside, first, shown, optional)

    return column(b"tokens", False), column(b"prompt_tokens", True) if b"prompt_tokens" in columns else None


MOST = 2**32 - 1
DTYPES = {b"c": "i1", b"C": "u1", b"s": "i2", b"S": "u2", b"i": "i4", b"I": "u4", b"l": "i8", b"L": "u8"}


def _lists(schema: Schema, array: Array, owner: Any, rows: range, first: int, what: str, optional: bool) -> Lists:
    """The lists at places `rows` of an array; an optional column may have nulls, as may one of nulls only."""
    kind, count = schema.format, len(rows)
    if kind == b"n" and optional:
        return Lists(np.zeros(0, np.uint32), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, bool))
    if kind in DTYPES and not schema.dictionary:
        raise FormatError(f"the column{what} holds token ids, not rows of them; a column of lists is needed")
    fixed = kind[3:] if kind.startswith(b"+w:") else None
    if fixed is None and kind not in (b"+l", b"+L") or schema.dictionary or schema.children[0].contents.dictionary:
        shown = "a dictionary" if schema.dictionary else f"`{kind.decode(errors='replace')}`"
        raise FormatError(f"the column{what} has the Arrow format {shown}; list, large_list or fixed_size_list is needed: cast it")
    item = schema.children[0].contents.format
    if item not in DTYPES:
        shown = item.decode(errors="replace")
        raise FormatError(f"the column{what} has lists of the Arrow format `{shown}`; token ids are integers: cast it")
    valid = _valid(array, owner, rows)
    if not optional:
        _all_there(valid, first, what)
    if fixed is not None:
        bounds = np.arange(rows.start, rows.stop + 1, dtype=np.int64) * int(fixed)
    elif count == 0:
        bounds = np.zeros(1, np.int64)
    else:
        width = "i4" if kind == b"+l" else "i8"
        bounds = _view(array.buffers[1], width, rows.stop + 1, owner)[rows.start :].astype(np.int64, copy=False)
    child = array.children[0].contents
    if bounds[0] < 0 or bounds[-1] > child.length or (np.diff(bounds) < 0).any():
        raise FormatError(f"the column{what} has lists that reach beyond its {child.length} values; its producer is at fault")
    start, stop = int(bounds[0]), int(bounds[-1])
    inside = range(child.offset + start, child.offset + stop)
    lists = _Places(bounds[:-1] - start, bounds[1:] - start, valid, first, what)
    missing = ~_valid(child, owner, inside)
    lists.refuse(missing, lambda place: "null")
    values = _view(child.buffers[1], DTYPES[item], inside.stop, owner)[inside.start :] if stop > start else np.zeros(0, np.uint32)
    return Lists(lists.ids(values), lists.starts, lists.ends, valid)


class _Places(NamedTuple):
    """Where lists begin and end among their values, and how they are named."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    valid: NDArray[np.bool_]
    first: int
    what: str

    def refuse(self, bad: NDArray[np.bool_], shown: Any):
        """Refuses the first bad value that is in a list."""
        for place in np.flatnonzero(bad):
            row = int(np.searchsorted(self.starts, place, side="right")) - 1
            if self.valid[row] and place < self.ends[row]:
                raise TokenError(f"row {self.first + row}{self.what}: {shown(place)} at position {place - self.starts[row]}")

    def ids(self, values: Ints) -> NDArray[np.uint32]:
        """The values as token ids, where they lie if they have 32 bits."""
        if values.dtype == np.uint32:
            return values
        if len(values) and (int(values.min()) < 0 or int(values.max()) > MOST):
            self.refuse((values < 0) | (values > MOST), lambda place: _out_of_range(int(values[place])))
        return values.view(np.uint32) if values.dtype == np.int32 else values.astype(np.uint32)


def _out_of_range(id: int) -> str:
    hint = "; a negative id stands for padding or for a token that was not sampled yet: leave it out" if id < 0 else ""
    return f"token id {id} is not from 0 to {MOST}{hint},"


def _all_there(valid: NDArray[np.bool_], first: int, what: str):
    if not valid.all():
        raise FormatError(f"row {first + int(np.argmin(valid))}{what}: null; leave rows without tokens out")


def _valid(array: Array, owner: Any, places: range) -> NDArray[np.bool_]:
    """Which places of an array are not null."""
    if array.null_count == 0 or len(places) == 0 or not array.buffers[0]:
        return np.ones(len(places), bool)
    bits = _view(array.buffers[0], "u1", (places.stop + 7) // 8, owner)
    return np.unpackbits(bits, count=places.stop, bitorder="little")[places.start :].astype(bool)


def _view(address: int | None, dtype: str, count: int, owner: Any) -> Ints:
    """The numbers at an address; `owner` stays for as long as they do."""
    if not address:
        raise FormatError("an Arrow array without the buffer that its format demands; its producer is at fault")
    bytes_there = (ctypes.c_ubyte * (count * np.dtype(dtype).itemsize)).from_address(address)
    setattr(bytes_there, "owner", owner)
    numbers = np.frombuffer(memoryview(bytes_there), dtype=dtype)
    numbers.flags.writeable = False
    return numbers
