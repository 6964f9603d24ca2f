"""The stubs say what the module is, and every example in a docstring runs."""

import ast
import doctest
import inspect
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any, Iterator

import numpy as np

import taggant
from support import ROOT
from taggant import _taggant

STUB = Path(taggant.__file__).with_name("_taggant.pyi")


def described(function: ast.FunctionDef, bound: bool) -> list[tuple[str, str, Any]]:
    """Name, kind and default of each parameter in the stub."""
    args = function.args
    plain = [*args.posonlyargs, *args.args][bound:]
    missing = [inspect.Parameter.empty] * (len(plain) - len(args.defaults))
    values = [*missing, *(ast.literal_eval(default) for default in args.defaults)]
    found = [(arg.arg, "positional", value) for arg, value in zip(plain, values)]
    for arg, default in zip(args.kwonlyargs, args.kw_defaults):
        found.append((arg.arg, "keyword", inspect.Parameter.empty if default is None else ast.literal_eval(default)))
    return found


def actual(function: Any) -> list[tuple[str, str, Any]]:
    """The same of what is built."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = inspect.signature(function).parameters.values()
    return [(one.name, "keyword" if one.kind is keyword else "positional", one.default) for one in found if one.name != "self"]


def public(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


class Stubs(unittest.TestCase):
    def setUp(self):
        self.tree = ast.parse(STUB.read_text())
        self.classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    def test_names(self):
        self.assertEqual(set(self.classes) | set(self.functions), public(vars(_taggant)))
        self.assertEqual(public(taggant.__all__), public(vars(_taggant)))
        self.assertEqual(taggant.__all__, sorted(taggant.__all__))
        [listed] = [node for node in self.tree.body if isinstance(node, ast.Assign)]
        # The modules inside have stubs of their own (test_modules.py).
        own = [name for name in _taggant.__all__ if not inspect.ismodule(getattr(_taggant, name))]
        self.assertEqual(ast.literal_eval(listed.value), sorted(own))
        self.assertTrue(STUB.with_name("py.typed").exists())

    def test_functions(self):
        for name, node in self.functions.items():
            with self.subTest(name):
                self.assertEqual(described(node, False), actual(getattr(_taggant, name)))

    def test_classes(self):
        for name, node in self.classes.items():
            built = getattr(_taggant, name)
            with self.subTest(name):
                if issubclass(built, Exception):
                    self.assertEqual(node.bases[0].id, built.__base__.__name__)
                    continue
                members = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
                self.assertEqual(public(members), public(vars(built)))
                self.assertEqual("__new__" in members, "__new__" in vars(built))
                for member, stub in members.items():
                    marks = {mark.id for mark in stub.decorator_list}
                    found = vars(built)[member]
                    if member == "__new__":
                        self.assertEqual(described(stub, True), actual(built), member)
                    elif "property" in marks:
                        self.assertTrue(inspect.isdatadescriptor(found), member)
                    elif not member.startswith("__"):
                        self.assertEqual("staticmethod" in marks, isinstance(found, staticmethod), member)
                        self.assertEqual(described(stub, "staticmethod" not in marks), actual(getattr(built, member)), member)


def documented() -> Iterator[tuple[str, str]]:
    """Every docstring of the package, with the name of what it documents."""
    yield "taggant", taggant.__doc__
    for name in public(vars(_taggant)):
        value = getattr(_taggant, name)
        yield name, value.__doc__
        if isinstance(value, type) and not issubclass(value, Exception):
            for member in public(vars(value)):
                yield f"{name}.{member}", getattr(value, member).__doc__


class Examples(unittest.TestCase):
    def test_all_is_documented(self):
        for name, text in documented():
            self.assertTrue(text and text.strip(), f"{name} has no docstring")

    def test_examples_run(self):
        runner = doctest.DocTestRunner(verbose=False)
        parser, here = doctest.DocTestParser(), os.getcwd()
        key = taggant.RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
        record = taggant.Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=1000)
        stream, rng = taggant.Sampler(record, key).stream(), np.random.default_rng(6)
        for _ in range(200):
            stream.select(rng.normal(size=1000).astype(np.float32), coin=1)
        with tempfile.TemporaryDirectory() as folder:
            # The files that the first example reads.
            key.save(Path(folder) / "east.key")
            record.save(Path(folder) / "record.json")
            # The case that an example checks.
            for name in ("sample", "trust.json"):
                (Path(folder) / name.replace("sample", "case")).symlink_to(ROOT / "tests" / "cases" / name)
            os.chdir(folder)
            try:
                for name, text in documented():
                    names = {**vars(taggant), "tokens": stream.tokens}
                    runner.run(parser.get_doctest(inspect.cleandoc(text), names, name, None, None))
            finally:
                os.chdir(here)
        self.assertGreater(runner.tries, 30)
        self.assertEqual(runner.failures, 0)


if __name__ == "__main__":
    unittest.main()
