from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Never, TypeAlias, final, overload

import numpy as np
from numpy.typing import NDArray

from ._arrow import GivesArray, GivesStream

__version__: str
__all__ = [
    "CaseCheck",
    "Check",
    "Detector",
    "FormatError",
    "IoError",
    "IssuanceLog",
    "Key",
    "KeyFileError",
    "KeyReport",
    "Layer",
    "LimitError",
    "LogReport",
    "LogitsError",
    "MismatchError",
    "Page",
    "ParameterError",
    "PathError",
    "Record",
    "RecordError",
    "Report",
    "RootKey",
    "Sampler",
    "Stream",
    "TaggantError",
    "TokenError",
    "UnsupportedError",
    "__version__",
    "bias_batch",
    "detect",
    "detect_each",
    "select_batch",
    "verify_case",
    "verify_log",
]

_Path: TypeAlias = str | PathLike[str]
_Keys: TypeAlias = Key | Sequence[Key]
_Tokens: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
_Row: TypeAlias = _Tokens | Mapping[str, Any]
_Rows: TypeAlias = Iterable[_Row] | GivesArray | GivesStream
_Contexts: TypeAlias = Sequence[_Tokens] | NDArray[np.integer[Any]]
_Logits: TypeAlias = NDArray[np.float32]
_Verdict: TypeAlias = Literal["Detected", "NotDetected", "Inconclusive"]
_Statistic: TypeAlias = Literal["sum", "weighted", "maximin"]
_Family: TypeAlias = Literal["forensic", "public"]

class TaggantError(Exception): ...
class ParameterError(TaggantError): ...
class KeyFileError(TaggantError): ...
class PathError(TaggantError): ...
class RecordError(TaggantError): ...
class MismatchError(TaggantError): ...
class LogitsError(TaggantError): ...
class TokenError(TaggantError): ...
class FormatError(TaggantError): ...
class LimitError(TaggantError): ...
class UnsupportedError(TaggantError): ...
class IoError(TaggantError): ...

@final
class RootKey:
    @staticmethod
    def generate() -> RootKey: ...
    @staticmethod
    def from_bytes(secret: bytes, family: _Family = "forensic") -> RootKey: ...
    @staticmethod
    def load(path: _Path) -> RootKey: ...
    def save(self, path: _Path) -> None: ...
    def derive(self, path: str) -> Key: ...
    @property
    def family(self) -> _Family: ...

@final
class Key:
    @staticmethod
    def load(path: _Path) -> Key: ...
    @staticmethod
    def load_many(path: _Path) -> list[Key]: ...
    @staticmethod
    def derive(root: RootKey, path: str) -> Key: ...
    def save(self, path: _Path) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def family(self) -> _Family: ...
    @property
    def commitment(self) -> str: ...

@final
class Layer:
    @property
    def role(self) -> Literal["campaign", "account"]: ...
    @property
    def window(self) -> int: ...
    @property
    def commitment(self) -> str: ...

@final
class Record:
    def __new__(
        cls,
        scheme: str,
        window: int,
        keys: _Keys,
        *,
        tokenizer: str,
        vocabulary: int,
        parameters: Mapping[str, float] | None = None,
        statistic: _Statistic = "sum",
        profile: str | None = None,
    ) -> Record: ...
    @staticmethod
    def load(path: _Path) -> Record: ...
    @staticmethod
    def load_many(path: _Path) -> list[Record]: ...
    @staticmethod
    def from_json(text: str) -> Record: ...
    def save(self, path: _Path) -> None: ...
    def to_json(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def parameters(self) -> dict[str, float]: ...
    @property
    def statistic(self) -> _Statistic: ...
    @property
    def window(self) -> int: ...
    @property
    def layers(self) -> list[Layer]: ...
    @property
    def share(self) -> float | None: ...
    @property
    def tokenizer(self) -> str: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def profile(self) -> str | None: ...

@final
class Check:
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> Literal["run", "not applicable", "skipped"]: ...
    @property
    def detail(self) -> str: ...

@final
class Report:
    @property
    def verdict(self) -> _Verdict: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def detected(self) -> bool: ...
    @property
    def log10_p(self) -> float: ...
    @property
    def p_value(self) -> float: ...
    @property
    def units(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def expected(self) -> float: ...
    @property
    def statistic(self) -> _Statistic: ...
    @property
    def scheme(self) -> str: ...
    @property
    def record(self) -> Record: ...
    @property
    def alpha(self) -> float: ...
    @property
    def checks(self) -> list[Check]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def __bool__(self) -> Never: ...

@final
class KeyReport:
    @property
    def key(self) -> Key: ...
    @property
    def units(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def log10_p(self) -> float: ...
    @property
    def log10_p_holm(self) -> float: ...
    @property
    def verdict(self) -> Literal["Detected", "NotDetected"]: ...

@final
class Detector:
    def __new__(cls, key: _Keys, record: Record, *, alpha: float = 1e-6, tokenizer: str | None = None) -> Detector: ...
    @staticmethod
    def control(key: _Keys, record: Record, *, alpha: float = 1e-6, tokenizer: str | None = None) -> Detector: ...
    def row(self, row: _Row) -> Report: ...
    def pooled(self) -> Report: ...

@final
class Sampler:
    def __new__(cls, record: Record, keys: _Keys) -> Sampler: ...
    def select(
        self,
        logits: _Logits,
        context: _Tokens,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        coin: int | None = None,
    ) -> int: ...
    def bias(
        self,
        logits: _Logits,
        context: _Tokens,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        out: _Logits | None = None,
    ) -> _Logits: ...
    def stream(self, context: _Tokens | None = None) -> Stream: ...
    @property
    def record(self) -> Record: ...

@final
class Stream:
    @staticmethod
    def plain() -> Stream: ...
    @property
    def tokens(self) -> list[int]: ...
    def select(
        self,
        logits: _Logits,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        coin: int | None = None,
    ) -> int: ...
    def bias(
        self,
        logits: _Logits,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        out: _Logits | None = None,
    ) -> _Logits: ...
    def push(self, token: int) -> None: ...
    def follow(self, context: _Tokens) -> None: ...
    def __len__(self) -> int: ...

@final
class IssuanceLog:
    def __new__(
        cls, path: _Path, records: Sequence[Record] | None = None, *, pseudonyms: Key | None = None, digests_only: bool = False
    ) -> IssuanceLog: ...
    @overload
    def append(self, rows: Mapping[str, Any]) -> tuple[int, str]: ...
    @overload
    def append(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]: ...
    @property
    def head(self) -> str: ...
    @property
    def lines(self) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> IssuanceLog: ...
    def __exit__(self, *_error: Any) -> None: ...

@final
class LogReport:
    @property
    def lines(self) -> int: ...
    @property
    def exchanges(self) -> int: ...
    @property
    def marks(self) -> int: ...
    @property
    def head(self) -> str: ...
    @property
    def fault(self) -> str | None: ...

@final
class CaseCheck:
    @property
    def code(self) -> str: ...
    @property
    def status(self) -> Literal["PASS", "FAIL", "NOT CHECKED"]: ...
    @property
    def detail(self) -> str: ...

@final
class Page:
    def __new__(cls, rows: int, vocabulary: int) -> Page: ...
    @property
    def logits(self) -> _Logits: ...
    def bias(
        self,
        streams: Sequence[Stream],
        logits: _Logits,
        contexts: _Contexts | None = None,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
    ) -> _Logits: ...

def detect(key: _Keys, record: Record, rows: _Rows, *, alpha: float = 1e-6, tokenizer: str | None = None) -> Report: ...
def detect_each(
    keys: Sequence[Key],
    record: Record,
    rows: _Rows,
    *,
    campaign: Key | None = None,
    alpha: float = 1e-6,
    threads: int = 1,
    tokenizer: str | None = None,
) -> list[KeyReport]: ...
def select_batch(
    streams: Sequence[Stream],
    logits: _Logits,
    contexts: _Contexts | None = None,
    *,
    ids: _Contexts | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    coins: Sequence[int] | NDArray[np.uint64] | None = None,
) -> NDArray[np.uint32]: ...
def bias_batch(
    streams: Sequence[Stream],
    logits: _Logits,
    contexts: _Contexts | None = None,
    *,
    ids: _Contexts | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    out: _Logits | None = None,
) -> _Logits: ...
def verify_case(folder: _Path, trust: _Path) -> list[CaseCheck]: ...
def verify_log(path: _Path, anchored: Sequence[str] | None = None) -> LogReport: ...
