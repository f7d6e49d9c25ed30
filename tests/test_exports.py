"""`from imgsearch import …`: everything people use, by name, and nothing in its way."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import imgsearch
from imgsearch import errors

ROOT = Path(__file__).parent.parent
ERRORS = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
FUNCTIONS = {
    "add",
    "attach",
    "backfill",
    "detach",
    "explain",
    "forget",
    "nearest",
    "remove",
    "repair",
    "resolve",
    "search",
}


@pytest.mark.parametrize("name", imgsearch.__all__)
def test_each_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(imgsearch, name)
    assert value is getattr(imgsearch, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__.startswith("imgsearch.")
        assert inspect.getdoc(value)


def test_the_list_is_sorted_and_complete() -> None:
    assert imgsearch.__all__ == sorted(set(imgsearch.__all__))
    assert set(imgsearch.__all__) == set(imgsearch._HOMES)
    assert set(imgsearch.__all__) >= ERRORS
    assert set(imgsearch.__all__) >= FUNCTIONS
    with pytest.raises(AttributeError, match="nonsense"):
        _ = imgsearch.nonsense


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    import ast

    seen = {}
    [block] = [node for node in ast.parse(Path(imgsearch.__file__).read_text()).body if isinstance(node, ast.If)]
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.name: (node.module or "").removeprefix("imgsearch.") for alias in node.names}
    assert seen == imgsearch._HOMES


def test_no_module_stands_in_the_way_of_a_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(imgsearch.__path__)}
    assert not modules & set(imgsearch.__all__)


def test_search_is_a_function_also_after_everything_was_imported() -> None:
    code = (
        "import imgsearch.retrieval, imgsearch.ingest.upload, imgsearch.ops.maintenance, imgsearch.cli\n"
        "from imgsearch import search, explain\n"
        "print(callable(imgsearch.search), imgsearch.search is search)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "True"]
