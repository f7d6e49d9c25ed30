"""Words and looks on a catalogue with titles: nDCG@10 of words alone, looks alone and both; what words cost.

    python -m bench.fused                                  200,000 pictures, 500 questions in four classes
    python -m bench.fused --rows 20000 --dim 64 --questions 40

Titles and codes are drawn (`bench.titles`), and so are questions and judgements (`bench.judged`). All is asked by
`imgsearch.search('some text')` of the database, whose vectors a worker would have made; word_weight => 0 is looks
alone, look_weight => 0 words alone. Of three tries of a question the fastest counts, fused and looks alone in turn.
The class "common word" asks for the word that half of the titles hold, and is not judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench import judged, load, vectors
from bench.dataset import OUT, Dataset, dataset
from bench.judged import CLASSES, Judged
from bench.progress import Say
from bench.timed import fastest
from bench.titles import COMMON, Titles, titles
from imgsearch.evaluation.metrics import ndcg

ARMS: dict[str, dict[str, Any]] = {"words": {"look_weight": 0}, "looks": {"word_weight": 0}, "fused": {}}
_ASK = "SELECT product_id, strategy FROM imgsearch.search(%(text)s::text, k => %(k)s"


def name_products(connection: psycopg.Connection[Any], data: Dataset, named: Titles, say: Say = print) -> None:
    """Write title and codes of every product that has pictures, unless they stand there."""
    wanted = np.unique(data.product_of)
    there = connection.execute("SELECT count(*) FROM imgsearch.product").fetchone()
    if there == (len(wanted),):
        return
    say(f"writing {len(wanted):,} titles")
    connection.execute("TRUNCATE imgsearch.product")
    for part in np.array_split(wanted, max(1, len(wanted) // 5000)):
        connection.execute(
            """INSERT INTO imgsearch.product (tenant_id, product_id, title, codes)
               SELECT (SELECT i.tenant_id FROM imgsearch.image i WHERE i.product_id = p.product_id LIMIT 1),
                      p.product_id, p.title, ARRAY[p.sku, p.ean]
               FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) p (product_id, title, sku, ean)""",
            [
                [load.product_id(n) for n in part.tolist()],
                *([column[n] for n in part.tolist()] for column in (named.titles, named.skus, named.eans)),
            ],
        )
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    connection.execute("VACUUM ANALYZE imgsearch.product")


def ask(connection: psycopg.Connection[Any], text: str, *, k: int = 10, **ranking: Any) -> list[tuple[Any, ...]]:
    """Return rows of (product_id, strategy) for a text that the database knows."""
    given = "".join(f", {name} => %({name})s" for name in ranking)
    values = {"text": text, "k": k, **ranking}
    return connection.execute(f"{_ASK}{given})".encode(), values, prepare=True).fetchall()


def quality(connection: psycopg.Connection[Any], asked: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Return {class: {arm: nDCG@10}}."""
    scores: dict[str, dict[str, list[float]]] = {kind: {arm: [] for arm in ARMS} for kind in CLASSES}
    for one in asked:
        for arm, ranking in ARMS.items():
            ranked = list(judged.product_numbers(ask(connection, one.text, **ranking), 0))
            scores[one.kind][arm].append(ndcg(ranked, one.grades, 10))
    return {
        kind: {arm: round(statistics.fmean(found), 4) for arm, found in by_arm.items()}
        for kind, by_arm in scores.items()
        if by_arm["fused"]
    }


def common(data: Dataset, many: int) -> list[Judged]:
    """Return questions for the word in half of the titles, each with another word that only looks know."""
    rng = np.random.default_rng(37)
    drawn = vectors.texts(vectors.world(judged.SEED, data.rows, data.dim), rng.choice(data.products.cluster, many), rng)
    return [Judged("common word", f"{COMMON} look{n}", v, {}) for n, v in enumerate(drawn.astype(np.float16))]


def costs(connection: psycopg.Connection[Any], asked: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Return {class: p50 in ms of fused and of looks alone, their ratio, and how pages were found}."""
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(one.kind for one in asked):
        times: dict[str, list[float]] = {"fused": [], "looks": []}
        strategies = Counter[str]()
        for one in (one for one in asked if one.kind == kind):
            runs = [partial(ask, connection, one.text, **ARMS[arm]) for arm in times]
            rows = [run() for run in runs]
            strategies[str(rows[0][0][1]) if rows[0] else "none"] += 1
            for arm, best in zip(times, fastest(runs), strict=True):
                times[arm].append(best)
        p50 = {arm: round(statistics.median(took), 2) for arm, took in times.items()}
        found[kind] = p50 | {"ratio": round(p50["fused"] / p50["looks"], 2), "strategies": dict(strategies)}
    return found


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures as lines."""
    found = [f"{kind:16} nDCG@10 {scores}" for kind, scores in figures["ndcg"].items()]
    found += [f"{kind:16} {cost}" for kind, cost in figures["ms"].items()]
    return [*found, f"fused below the better of the two in: {figures['worse'] or 'none'}"]


def measured(data: Dataset, url: str, questions: int, many: int) -> dict[str, Any]:
    """Return the figures of a loaded dataset: `questions` judged ones, `many` of each class timed."""
    named = titles(data)
    asked = judged.questions(data, named, questions)
    timed = [one for kind in CLASSES for one in [q for q in asked if q.kind == kind][:many]]
    timed += (often := common(data, many))
    with psycopg.connect(url, autocommit=True) as connection:
        name_products(connection, data, named)
        judged.teach(connection, [*asked, *often])
        try:
            figures: dict[str, Any] = {"rows": data.rows, "questions": len(asked), "ndcg": quality(connection, asked)}
            figures["worse"] = [
                kind for kind, by in figures["ndcg"].items() if by["fused"] < max(by["words"], by["looks"]) - 0.0005
            ]
            figures["ms"] = costs(connection, timed)
        finally:
            judged.forget(connection, [*asked, *often])
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--questions", type=int, default=500, help="in four classes (500)")
    parser.add_argument("--timed", type=int, default=40, help="questions of each class whose time is taken (40)")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/out/fused-<rows>.json)")
    given = parser.parse_args(arguments)
    data = dataset(given.rows, given.dim, alike=True)
    kept = load.running(data)
    url = load.ready(data)
    try:
        figures = measured(data, url, given.questions, given.timed)
    finally:
        if not kept:
            load.stop(data)
    print("\n".join(lines(figures)))
    (given.json or OUT / f"fused-{given.rows}.json").write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
