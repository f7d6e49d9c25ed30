"""`imgsearch space compare`: how alike two spaces answer, without judgements, and where they differ most."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, progress, table
from imgsearch.errors import UsageError
from imgsearch.evaluation.comparison import DRAWN, Comparison
from imgsearch.evaluation.comparison import compare as measure
from imgsearch.evaluation.judged import Question
from imgsearch.evaluation.places import chosen
from imgsearch.evaluation.votes import pair
from imgsearch.settings import load_settings

_MOST = 10_000  # questions
_DIFFERENT = 5  # examples shown


def compare(
    first: str = typer.Argument(help="A space."),
    second: str = typer.Argument(help="Another one."),
    texts: Path = typer.Option(None, "--texts", help="A file with a text per line to ask; else pictures of both."),
    many: int = typer.Option(DRAWN, "--many", min=1, max=_MOST, help="How many pictures are asked with."),
    k: int = typer.Option(10, "--k", min=1, max=100, help="How many of an answer are compared."),
    tenant: str = typer.Option(None, "--tenant", help="Only this tenant's pictures."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Say how alike two spaces answer the same questions, in exact order, and show where they differ most."""
    asked = [] if texts is None else _read(texts)
    settings = load_settings()
    with db.connect(settings, autocommit=True) as connection, progress(quiet=json) as bar:
        spaces = chosen(connection, [first, second])
        pair(spaces)
        task = bar.add_task("questions", total=len(asked) or many)
        made = measure(
            connection,
            spaces[0],
            spaces[1],
            asked,
            k=k,
            many=many,
            tenant=tenant,
            timeout=settings.query_timeout,
            told=lambda: bar.advance(task),
        )
    if json:
        as_json(asdict(made))
        return
    _show(made, spaces[0].name, spaces[1].name)


def _show(made: Comparison, first: str, second: str) -> None:
    said = ((f"the same among the first {made.k}", made.overlap), ("rank-biased overlap", made.rbo), ("tau", made.tau))
    rows = [(name, f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]") for name, found in said]
    output.print(f"{made.questions:,} questions; in brackets the 95 % interval.")
    output.print(table(["", ("alike", "right")], rows))
    output.print("They differ most here:")
    for one in made.examples[:_DIFFERENT]:
        output.print(f"  {one.called[:60]} ({one.overlap:.0%} the same)", markup=False)
        for called, names in ((first, one.first), (second, one.second)):
            output.print(
                f"    {called[:24]:<24} {', '.join(names[:5])}", markup=False, no_wrap=True, overflow="ellipsis"
            )


def _read(path: Path) -> list[Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); write a text per line, in UTF-8.") from error
    asked = [Question(query=line.strip(), grades={}) for line in dict.fromkeys(lines) if line.strip()]
    if not 0 < len(asked) <= _MOST:
        raise UsageError(f"{path} holds {len(asked):,} texts; 1 to {_MOST:,} are asked.")
    return asked
