"""The published benchmarks of image retrieval: their files as they are handed out → questions and their own measures.

Each picture of the benchmark's gallery is a product of its own, whose product_id is the name the benchmark gives it.

    revisited   gnd_roxford5k.pkl, gnd_rparis6k.pkl    Radenović et al., CVPR 2018: easy, medium, hard, junk
    landmarks   retrieval_solution_v2.1.csv            Google Landmarks v2, Weyand et al., CVPR 2020: mAP@100
    stanford    Ebay_test.txt                          Stanford Online Products, Oh Song et al., CVPR 2016: hit@k
    inshop      list_eval_partition.txt                DeepFashion In-Shop, Liu et al., CVPR 2016: hit@k
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsearch.errors import JudgementError
from imgsearch.evaluation import metrics
from imgsearch.evaluation.evaluation import Measure, standard
from imgsearch.evaluation.judged import Box, Question
from imgsearch.evaluation.pickled import load
from imgsearch.evaluation.places import Places
from imgsearch.query import ProductId

EASY, HARD = 2.0, 1.0  # grades of what fits: a setup takes one of them, or both
LANDMARKS_K = 100


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What a benchmark asks, and how it measures. `ks`: how deep an answer is read."""

    questions: tuple[Question, ...]
    measures: Mapping[str, Measure]
    ks: tuple[int, ...]


def read(name: str, path: Path, pictures: Path | None) -> Benchmark:
    """Return a benchmark by its name and its published file; `pictures`: the folder of what is asked with.

    Raises JudgementError.
    """
    if name not in READERS:
        raise JudgementError(f"There is no benchmark {name!r}; there are: {', '.join(READERS)}.")
    if name != "stanford" and pictures is None:
        raise JudgementError(f"{name} asks with pictures; say where they are: --pictures FOLDER.")
    try:
        made = READERS[name](path, pictures or path.parent)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JudgementError(f"{path} cannot be read ({error}); give the file as it is handed out.") from error
    if not made.questions:
        raise JudgementError(f"{path} holds no question of {name}.")
    return made


def revisited(path: Path, pictures: Path) -> Benchmark:
    """Read gnd_<dataset>.pkl: imlist, qimlist and gnd with bbx, easy, hard, junk (places in imlist)."""
    said = load(path)
    try:
        names, asked, truths = list(said["imlist"]), list(said["qimlist"]), list(said["gnd"])
        questions = tuple(
            Question(
                query=pictures / f"{query}.jpg",
                box=Box(*(float(edge) for edge in truth["bbx"])) if truth.get("bbx") is not None else None,
                grades={str(names[int(n)]): EASY for n in truth["easy"]}
                | {str(names[int(n)]): HARD for n in truth["hard"]},
                junk=frozenset(str(names[int(n)]) for n in truth["junk"]),
            )
            for query, truth in zip(asked, truths, strict=True)
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise JudgementError(f"{path} is not a ground truth of ROxford or RParis ({error!r}).") from error
    measures: dict[str, Measure] = {}
    for setup, fits in (("easy", {EASY}), ("medium", {EASY, HARD}), ("hard", {HARD})):
        measures[f"mAP {setup}"] = _revisited(fits, metrics.revisited_precision)
        for k in (1, 5, 10):
            measures[f"mP@{k} {setup}"] = _revisited(fits, _at(k))
    return Benchmark(questions=questions, measures=measures, ks=(10,))


def landmarks(path: Path, pictures: Path) -> Benchmark:
    """Read the solution of the retrieval challenge: id, images (names between spaces), Usage; ignored ones are left."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"id", "images", "Usage"} <= set(rows[0]):
        raise JudgementError(f"{path} is not a solution of Google Landmarks; it needs id, images and Usage.")
    questions = tuple(
        Question(query=_landmark(pictures, row["id"]), grades=dict.fromkeys(row["images"].split(), 1.0))
        for row in rows
        if row["Usage"] != "Ignored" and row["images"] != "None"
    )
    k = LANDMARKS_K

    def precision(found: Places, question: Question) -> float:
        return metrics.average_precision(found.ranked, question.grades, k)

    return Benchmark(questions=questions, measures={f"mAP@{k}": precision}, ks=(k,))


def stanford(path: Path, pictures: Path) -> Benchmark:
    """Read Ebay_test.txt: every picture is asked by itself against all others; what has its class fits."""
    return _by_class(
        [(row["path"], row["class_id"]) for row in _spaced(path, 0, ("class_id", "path"))], (1, 10, 100, 1000)
    )


def inshop(path: Path, pictures: Path) -> Benchmark:
    """Read list_eval_partition.txt: query pictures are asked against the gallery; what shows the same item fits."""
    rows = _spaced(path, 1, ("image_name", "item_id", "evaluation_status"))
    gallery = defaultdict(list)
    for row in rows:
        if row["evaluation_status"] == "gallery":
            gallery[row["item_id"]].append(row["image_name"])
    ks = (1, 10, 20, 30, 40, 50)
    questions = tuple(
        Question(query=pictures / row["image_name"], grades=dict.fromkeys(gallery[row["item_id"]], 1.0))
        for row in rows
        if row["evaluation_status"] == "query"
    )
    return Benchmark(questions=questions, measures=_hits(ks), ks=ks)


READERS: dict[str, Callable[[Path, Path], Benchmark]] = {
    "revisited": revisited,
    "landmarks": landmarks,
    "stanford": stanford,
    "inshop": inshop,
}


def _by_class(pictures: Sequence[tuple[str, str]], ks: tuple[int, ...]) -> Benchmark:
    alike: dict[str, list[str]] = defaultdict(list)
    for name, kind in pictures:
        alike[kind].append(name)
    questions = tuple(
        Question(query=ProductId(name), grades={other: 1.0 for other in alike[kind] if other != name})
        for name, kind in pictures
    )
    return Benchmark(questions=questions, measures=_hits(ks), ks=ks)


def _hits(ks: tuple[int, ...]) -> dict[str, Measure]:
    return {name: measure for name, measure in standard(ks).items() if name.startswith("hit@")}


def _revisited(fits: set[float], measure: Callable[..., float]) -> Measure:
    def measured(found: Places, question: Question) -> float:
        good = {name for name, grade in question.grades.items() if grade in fits}
        return measure(found.ranked, good, question.junk | (set(question.grades) - good)) if good else math.nan

    return measured


def _at(k: int) -> Callable[..., float]:
    return lambda ranked, good, junk: metrics.revisited_precision_at(ranked, good, k, junk)


def _landmark(pictures: Path, name: str) -> Path:
    """Return where the challenge's archives put a picture: a/b/c/abc….jpg, or all in one folder."""
    deep = pictures / name[0] / name[1] / name[2] / f"{name}.jpg" if len(name) > 2 else pictures
    return deep if deep.is_file() else pictures / f"{name}.jpg"


def _spaced(path: Path, before: int, wanted: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a table whose columns stand between spaces; `before` lines come before its header."""
    lines = path.read_text(encoding="utf-8").splitlines()[before:]
    names = lines[0].split() if lines else []
    if not set(wanted) <= set(names):
        raise JudgementError(f"{path} needs the columns {', '.join(wanted)}; it has {', '.join(names) or 'none'}.")
    rows: list[dict[str, Any]] = [dict(zip(names, line.split(), strict=False)) for line in lines[1:] if line.strip()]
    if short := next((number for number, row in enumerate(rows, before + 2) if len(row) < len(names)), None):
        raise JudgementError(f"{path}, line {short}: {len(names)} values are expected.")
    return rows
