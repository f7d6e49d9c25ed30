"""`imgsearch evaluate`: how good a space answers, by a shop's judgements or a published benchmark."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, progress, table
from imgsearch.errors import UsageError
from imgsearch.evaluation import benchmark, judged
from imgsearch.evaluation.evaluation import KS, Evaluation, standard
from imgsearch.evaluation.evaluation import evaluate as measure
from imgsearch.evaluation.judged import Per
from imgsearch.evaluation.metrics import Difference, Estimate
from imgsearch.evaluation.places import chosen
from imgsearch.settings import load_settings

_SHOWN = 5  # of what was left out


def evaluate(
    file: Path = typer.Argument(
        help="A CSV file: text, picture, query_image_id or query_product_id; product_id or image_id; "
        "grade, fits (0 or 1) or event (purchase, cart, click, view). Or the file of a --benchmark."
    ),
    space: list[str] = typer.Option(
        [], "--space", help="The space to measure; twice or more: each is compared with the first. [the searched one]"
    ),
    k: list[int] = typer.Option(list(KS), "--k", help="How many are looked at; repeatable."),
    tenant: str = typer.Option(None, "--tenant", help="Only this tenant's pictures."),
    bench: str | None = typer.Option(
        None, "--benchmark", help=f"The file is that of a benchmark: {', '.join(benchmark.READERS)}."
    ),
    pictures: Path = typer.Option(None, "--pictures", help="The folder of the pictures a benchmark asks with."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Measure answers against what people judged: hit, recall and nDCG at k, mAP, MRR, each with its 95 % interval.

    The order is exact, so the figures are the model's alone; how much of it the index finds says `imgsearch recall`.
    """
    per: Per = "product"
    if bench is not None:
        found = benchmark.read(bench, file, pictures)
        questions, ks, measures = found.questions, found.ks, dict(found.measures)
    else:
        given = judged.read(file)
        questions, per, ks, measures = given.questions, given.per, tuple(k), standard(k)
    if len(set(space)) < len(space):
        raise UsageError("A space is named twice; name each once.")
    settings = load_settings()
    with db.connect(settings, autocommit=True) as connection, progress(quiet=json) as bar:
        task = bar.add_task("questions", total=len(questions))
        made = measure(
            connection,
            questions,
            chosen(connection, space),
            per=per,
            ks=ks,
            measures=measures,
            tenant=tenant,
            timeout=settings.query_timeout,
            told=lambda: bar.advance(task),
        )
    if json:
        as_json(_document(made))
    else:
        _show(made)


def _show(made: Evaluation) -> None:
    names = [one.space.name for one in made.spaces]
    columns: list[str | tuple[str, str]] = ["measure", *((name, "right") for name in names)]
    for name in names[1:]:
        columns += [(f"{name} − {names[0]}", "right"), ("p", "right")]
    rows = [
        [
            measure,
            *(_interval(one.figures[measure]) for one in made.spaces),
            *(cell for other in made.differences for cell in _difference(other[measure])),
        ]
        for measure in made.spaces[0].figures
    ]
    asked = made.questions - len(made.left_out)
    output.print(
        f"{asked:,} of {made.questions:,} questions; in brackets the 95 % interval (bootstrap over questions)."
    )
    output.print(table(columns, rows))
    for one in made.spaces:
        if one.missing:
            errors.print(
                f"{one.space.name}: {len(one.missing):,} that fit have no vector and count as not found, "
                f"for example {', '.join(one.missing[:3])}.",
                style="yellow",
                markup=False,
            )
    for called, why in made.left_out[:_SHOWN]:
        errors.print(f"Left out: {called[:60]}: {why}", style="yellow", markup=False)
    if len(made.left_out) > _SHOWN:
        errors.print(f"… and {len(made.left_out) - _SHOWN:,} more.", style="yellow")


def _interval(found: Estimate) -> str:
    if math.isnan(found.mean):
        return "–"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _difference(found: Difference) -> tuple[str, str]:
    if math.isnan(found.mean):
        return "–", "–"
    return (
        f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
        "< 0.001" if found.p < 0.0005 else f"{found.p:.3f}",
    )


def _document(made: Evaluation) -> dict[str, Any]:
    return {
        "questions": made.questions,
        "left_out": [{"question": called, "why": why} for called, why in made.left_out],
        "spaces": [
            {
                "space": one.space.name,
                "space_id": one.space.space_id,
                "missing": list(one.missing),
                "measures": {name: _plain(asdict(found)) for name, found in one.figures.items()},
            }
            for one in made.spaces
        ],
        "differences": [
            {"space": one.space.name, "to": made.spaces[0].space.name}
            | {"measures": {name: _plain(asdict(found)) for name, found in other.items()}}
            for one, other in zip(made.spaces[1:], made.differences, strict=True)
        ],
    }


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    """Return figures as JSON has them: what is not a number is null."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
