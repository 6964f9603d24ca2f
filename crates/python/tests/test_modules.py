"""The modules beside `taggant` itself: their stubs say what they are, and their examples run."""

import ast
import doctest
import importlib
import inspect
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

from test_docs import actual, described, public

import taggant
from taggant import _taggant

MODULES = ["distill", "interop", "stats", "twins"]


def loaded(name: str) -> tuple[ModuleType, ModuleType, ast.Module]:
    """A module, its compiled half and its stub."""
    stub = Path(taggant.__file__).with_name(f"{name}.pyi")
    return importlib.import_module(f"taggant.{name}"), getattr(_taggant, f"_{name}"), ast.parse(stub.read_text())


class Stubs(unittest.TestCase):
    def test_every_compiled_module_is_named_here(self):
        found = {name[1:] for name, value in vars(_taggant).items() if isinstance(value, ModuleType)}
        self.assertEqual(set(MODULES), found)

    def test_names(self):
        for name in MODULES:
            module, compiled, stub = loaded(name)
            with self.subTest(name):
                defined = {node.name for node in stub.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
                self.assertEqual(defined, set(module.__all__))
                self.assertLessEqual(public(vars(compiled)), defined)
                self.assertEqual(module.__all__, sorted(module.__all__))
                [listed] = [node for node in stub.body if isinstance(node, ast.Assign)]
                self.assertEqual(ast.literal_eval(listed.value), module.__all__)
                for one in public(vars(compiled)):
                    self.assertIs(getattr(module, one), getattr(compiled, one))

    def test_signatures(self):
        for name in MODULES:
            module, _, stub = loaded(name)
            for node in stub.body:
                if isinstance(node, ast.FunctionDef):
                    with self.subTest(f"{name}.{node.name}"):
                        self.assertEqual(described(node, False), actual(getattr(module, node.name)))
                if isinstance(node, ast.ClassDef):
                    self.compare(name, node, getattr(module, node.name))

    def compare(self, name: str, node: ast.ClassDef, built: Any):
        with self.subTest(f"{name}.{node.name}"):
            self.assertEqual(built.__module__, f"taggant.{name}")
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


def documented(name: str) -> Iterator[tuple[str, str]]:
    """Every docstring of a module, with the name of what it documents."""
    module, _, _ = loaded(name)
    yield name, module.__doc__
    for one in module.__all__:
        value = getattr(module, one)
        yield f"{name}.{one}", value.__doc__
        if isinstance(value, type):
            for member in public(vars(value)):
                yield f"{name}.{one}.{member}", getattr(value, member).__doc__


class Examples(unittest.TestCase):
    def test_all_is_documented(self):
        for name in MODULES:
            for one, text in documented(name):
                self.assertTrue(text and text.strip(), f"{one} has no docstring")

    def test_examples_run(self):
        runner, parser = doctest.DocTestRunner(verbose=False), doctest.DocTestParser()
        for name in MODULES:
            before = runner.tries
            for one, text in documented(name):
                runner.run(parser.get_doctest(inspect.cleandoc(text), dict(vars(taggant)), one, None, None))
            self.assertGreater(runner.tries, before + 3, name)
        self.assertEqual(runner.failures, 0)


if __name__ == "__main__":
    unittest.main()
