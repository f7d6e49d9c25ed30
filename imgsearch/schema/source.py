"""The SQL that makes the schema, in the order it is applied: table steps once, the rest whenever its text changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Step:
    """One change of the tables: a file of `tables/`, run once, never changed after a release."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        return sha256(self.text.encode()).hexdigest()


@cache
def steps() -> tuple[Step, ...]:
    """Return the table steps, the oldest first."""
    return tuple(
        Step(path.name.removesuffix(".sql"), path.read_text(encoding="utf-8")) for path in _sql(_root() / "tables")
    )


@cache
def function(subject: str) -> str:
    """Return the text of the functions of one subject."""
    return (_root() / "functions" / f"{subject}.sql").read_text(encoding="utf-8")


@cache
def functions() -> tuple[str, ...]:
    """Return the texts of types and functions: types first, then the subjects by name."""
    paths = sorted(_sql(_root() / "functions"), key=lambda path: (not path.name.startswith("types"), path.name))
    return tuple(path.read_text(encoding="utf-8") for path in paths)


@cache
def views() -> tuple[str, ...]:
    """Return the texts of triggers and views, which need functions and the generated objects."""
    paths = [_root() / "triggers.sql", *_sql(_root() / "views")]
    return tuple(path.read_text(encoding="utf-8") for path in paths)


@cache
def text(name: str) -> str:
    """Return one of the files beside the folders: clear, grants, remove."""
    return (_root() / f"{name}.sql").read_text(encoding="utf-8")


@cache
def digest() -> str:
    """Return the digest of everything that is applied whole."""
    return sha256("\0".join((*functions(), *views(), text("grants"))).encode()).hexdigest()


def _root() -> Traversable:
    return files(__package__)


def _sql(folder: Traversable) -> list[Traversable]:
    return sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
