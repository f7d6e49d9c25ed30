"""Name in full what is pgvector's: its schema, where others may create, stands in no search_path of ours.

Files write `halfvec`, `::vector`, `<=>` and `l2_normalize(…)`. What shares its name with something else is written in
full there: `@extschema:vector@.avg(…)` and `OPERATOR(@extschema:vector@.+)`, as in the scripts of extensions.
"""

from __future__ import annotations

from imgsearch.db.sql.tokens import tokens

NAMES = frozenset(
    (
        "halfvec",
        "halfvec_send",
        "binary_quantize",
        "l2_distance",
        "l2_norm",
        "l2_normalize",
        "vector_dims",
        "vector_norm",
    )
)
_OPERATORS = frozenset(("<=>", "<~>", "<#>"))


def in_full(text: str, home: str) -> str:
    """Return SQL with what is pgvector's named in full. home: its schema, as it is written in SQL."""
    return _named(text.replace("@extschema:vector@", home), home)


def _named(text: str, home: str) -> str:
    parts: list[str] = []
    before = ""
    for kind, part in tokens(text):
        parts.append(_part(kind, part, before, home))
        if kind != "space":
            before = part
    return "".join(parts)


def _part(kind: str, part: str, before: str, home: str) -> str:
    if kind == "name" and ((part in NAMES and before != ".") or (part == "vector" and before == ":")):
        return f"{home}.{part}"
    if kind == "operator" and part in _OPERATORS and before != ".":
        return f"OPERATOR({home}.{part})"
    if kind == "dollar":
        mark = part[: part.index("$", 1) + 1]
        return f"{mark}{_named(part[len(mark) : -len(mark)], home)}{mark}"
    if kind == "string" and part[0] == "'" and before != "IS":  # IS: a comment on an object
        return f"'{_named(part[1:-1], home)}'"
    return part
