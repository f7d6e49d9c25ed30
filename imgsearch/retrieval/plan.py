"""A plan of Postgres, read aloud: whether the HNSW was walked, what was looked at, and why not otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select
    from sqlalchemy.orm import Session

Node = Mapping[str, Any]
_STEPS = "CTE imgsearch_step"
MANY = 5000  # rows read for nothing that are worth a word


def of_select(connection: Session | Connection, statement: Select[Any]) -> Node:
    """Run a SQLAlchemy SELECT and return its plan. `connection` is a SQLAlchemy session or connection."""
    from sqlalchemy.ext.compiler import compiles
    from sqlalchemy.sql.expression import ClauseElement, Executable

    class Explained(Executable, ClauseElement):
        inherit_cache = False

    @compiles(Explained)
    def _explained(element: Any, compiler: Any, **options: Any) -> str:
        return "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(compiler.process(statement, **options))

    found: Node = connection.execute(Explained()).scalar_one()[0]
    return found


def words(explained: Node) -> list[str]:
    """Return what a plan with ANALYZE and BUFFERS says, line by line."""
    nodes = list(_nodes(explained["Plan"]))
    took, planned = explained["Execution Time"], explained["Planning Time"]
    lines = [
        f"{_rows(nodes[0]):,} rows in {took:.1f} ms, planned in {planned:.1f} ms.",
        pages(explained["Plan"]),
    ]
    steps = [node for node in nodes if _STEPS in node.get("Subplan Name", "")]
    if steps:
        lines += _chosen([n for n in nodes if n.get("Function Name") == "hnsw_candidates"], *_kept(steps[0]))
    ours = bool(steps)
    walks = [n for n in nodes if re.search(r"_hnsw(_[0-9a-f]{16})?$", n.get("Index Name", "")) and not ours]
    for walk in walks:
        lines.append(
            f"Walked {walk['Index Name']}: {_rows(walk):,} pictures came out nearest first until the page was full."
        )
        if _rows(walk) > 0 and _rows(nodes[0]) * 50 < _rows(walk):
            lines.append(
                "Few of those match: a filter against the query's neighbourhood. "
                "imgsearch.search() chooses another way for such filters."
            )
    read = [node for node in nodes if "Relation Name" in node and node not in walks and _rows(node)]
    lines += [_scanned(node) for node in read if node["Relation Name"] not in {"space", "image_sample"}]
    if not walks and not ours:
        lines.append("The HNSW was not walked: " + _reason(nodes))
    for node in nodes:
        lost = node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1)
        if lost > MANY and "Relation Name" in node:
            lines.append(
                f"Faster: {lost:,} rows of {node['Relation Name']} were read for nothing ({node.get('Filter', '')}); "
                "an index on what you filter by would find the others."
            )
    return lines


def _kept(steps: Node) -> tuple[int, int]:
    """Return how many pictures were kept for their bits, in how many rounds, each wider."""
    for node in _nodes(steps):
        kept = node["Plans"][0] if node["Node Type"] == "Aggregate" else node
        while kept["Node Type"] in {"Subquery Scan", "Result"} and "Plans" in kept:
            kept = kept["Plans"][0]
        if node["Node Type"] == "Aggregate" and kept["Node Type"] == "Limit" and kept["Actual Loops"]:
            return _rows(kept), int(kept["Actual Loops"])
    return 0, 0


def _chosen(walks: list[Node], pool: int, rounds: int) -> list[str]:
    """Return the way a statement of nearest() went: the rows of its parts tell."""
    walked = [(_rows(walk), int(walk["Actual Loops"])) for walk in walks if walk.get("Actual Loops")]
    lines = []
    if walked:
        believed, times = walked[0]
        again = ", the second time wider, as too few matched" if times > 1 else ""
        lines.append(f"hnsw: walked the graph{again}; looked at the nearest {believed:,} images.")
    else:
        lines.append("The HNSW was not walked: the sample says that comparing bits costs less than a walk.")
    if pool:
        also = "That was too few, so: " if walked else ""
        wider = f" in {rounds} rounds, each wider" if rounds > 1 else ""
        lines.append(
            f"{also}bits: ranked the candidates by their bits, kept {pool:,}{wider}, compared the best of them exactly."
        )
    return lines


def pages(node: Node) -> str:
    """Return how much of the database a plan touched."""
    hit, read = node.get("Shared Hit Blocks", 0), node.get("Shared Read Blocks", 0)
    return f"Touched {hit + read:,} pages of 8 kB, {read:,} of them not in shared_buffers."


def _scanned(node: Node) -> str:
    how = {
        "Seq Scan": "row by row",
        "Index Only Scan": f"from {node.get('Index Name')} alone",
        "Index Scan": f"by {node.get('Index Name')}",
        "Bitmap Heap Scan": "by a bitmap of its indexes",
    }.get(node["Node Type"], f"by {node['Node Type']}")
    fetches = node.get("Heap Fetches", 0)
    late = f", {fetches:,} of them in the table after all: vacuum is overdue" if fetches > MANY else ""
    return f"Read {node['Relation Name']} {how}: {_rows(node):,} rows{late}."


def _reason(nodes: list[Node]) -> str:
    sorts = [node for node in nodes if node["Node Type"] in {"Sort", "Incremental Sort"}]
    keys = [key for node in sorts for key in node.get("Sort Key", [])]
    distances = [key for key in keys if "<=>" in key]
    if not any(node["Node Type"] == "Limit" for node in nodes):
        return "the statement has no LIMIT."
    if any("- " in key.split("<=>")[0] or "DESC" in key for key in distances):
        return "ORDER BY must be the plain distance, ascending; not 1 - distance."
    if distances and len(sorts[0].get("Sort Key", [])) > 1:
        return "ORDER BY has more than the distance; an index can only answer the distance alone."
    if distances:
        return (
            "the planner expects so few matching rows that comparing all of them exactly costs less; "
            "if many match, its statistics are wrong: ANALYZE."
        )
    return "another plan answered; it ranks inside imgsearch, see imgsearch.explain_search()."


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def _rows(node: Node) -> int:
    return round(float(node.get("Actual Rows", 0)) * int(node.get("Actual Loops", 1)))
