"""The SQL that makes the schema, in the order it is applied: table steps once, the rest whenever its text changed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from imgsearch.schema.step import Part, Step, part

_TOLD = re.compile(
    r"^COMMENT ON (TYPE|FUNCTION|PROCEDURE|VIEW|TRIGGER) ([^;]+?) IS\s+'(?:[^']|'')*';[ \t]*\n", re.MULTILINE
)
_WRITTEN = re.compile(r"(?:CREATE (?:OR REPLACE )?(?:VIEW|FUNCTION) |write_view\(')(imgsearch(?:_internal)?\.\w+)")
_MADE = re.compile(r"^CREATE OR REPLACE FUNCTION ([\w.]+)\(", re.MULTILINE)


@dataclass(frozen=True)
class Object:
    """What an upgrade makes anew where its text changed, with its comment, and the kind and the name that this says.

    kind: TYPE, FUNCTION (also a procedure), VIEW, TRIGGER, or FUNCTIONS: all of one name, which one block writes.
    """

    kind: str
    name: str
    text: str

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def digest(self) -> str:
        return sha256(self.text.encode()).hexdigest()


@cache
def steps() -> tuple[Step, ...]:
    """Return the table steps, the oldest first, each with what `tables/locks.toml` says of its parts."""
    stated = tomllib.loads((_root() / "tables" / "locks.toml").read_text(encoding="utf-8"))
    return tuple(
        Step(
            name,
            "".join(path.read_text(encoding="utf-8") for path in paths),
            _parts(stated[name]),
            **_flags(stated[name]),
        )
        for name, paths in _step_files()
    )


def _step_files() -> list[tuple[str, list[Traversable]]]:
    """Return the files of each step: one, or a folder of them in the order of their names."""
    folder = _root() / "tables"
    whole = [(path.name.removesuffix(".sql"), [path]) for path in _sql(folder)]
    parted = [(path.name, _sql(path)) for path in folder.iterdir() if path.is_dir() and path.name[0].isdigit()]
    return sorted(whole + parted, key=lambda step: step[0])


def _parts(stated: dict[str, object]) -> tuple[Part, ...]:
    listed = stated["part"]
    assert isinstance(listed, list)
    return tuple(part(one) for one in listed)


def _flags(stated: dict[str, object]) -> dict[str, bool]:
    return {"online": bool(stated["online"])}


@cache
def objects() -> tuple[Object, ...]:
    """Return types, functions, triggers and views one by one, in the order they are made in."""
    return tuple(one for text in (*functions(), *views(), text("grants")) for one in split(text))


def split(text: str) -> tuple[Object, ...]:
    """Return what a file makes: each ends with its comment; a block behind the last one writes functions of a name."""
    found, begin = [], 0
    for told in _TOLD.finditer(text):
        kind = "FUNCTION" if told[1] == "PROCEDURE" else told[1]
        found.append(Object(kind, " ".join(told[2].split()), text[begin : told.end()]))
        begin = told.end()
    rest = text[begin:]
    found += [Object("FUNCTIONS", name, rest) for name in dict.fromkeys(_MADE.findall(rest))]
    return tuple(found)


@cache
def written() -> frozenset[str]:
    """Return the names of functions and views that functions write: for the spaces there are, or for a moment."""
    named = {name for text in (*functions(), *views(), text("grants")) for name in _WRITTEN.findall(text)}
    return frozenset(named - {one.name.split("(")[0] for one in objects() if one.kind != "FUNCTIONS"})


@cache
def rest(name: str) -> str:
    """Return what stands behind the last object of one of the files beside the folders."""
    made = split(text(name))
    return text(name)[sum(len(one.text) for one in made) :]


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
