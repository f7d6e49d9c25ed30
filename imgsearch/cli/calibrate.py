"""`imgsearch calibrate`: from a shop's judgements to the probability that a row fits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, output, table
from imgsearch.errors import UsageError
from imgsearch.ops import calibration
from imgsearch.ops.calibration import Calibrated
from imgsearch.settings import load_settings

_KINDS, _METHODS = ("text", "picture"), ("platt", "isotonic")


def calibrate(
    judged: Path = typer.Argument(
        None, help="A CSV file: text, picture or query_image_id; image_id or product_id, position; fits (0 or 1)."
    ),
    tenant: str = typer.Option(
        None, "--tenant", help="Whose judgements these are; all of them without one of their own."
    ),
    kind: str = typer.Option(None, "--kind", help="Only what was asked by text, or only by picture."),
    method: str = typer.Option(
        "platt", "--method", help="platt: a sigmoid; isotonic: any curve that rises, for 1,000 and more."
    ),
    keep: bool = typer.Option(True, "--keep/--dry-run", help="Store what was fitted, or only show it."),
    forget: bool = typer.Option(
        False, "--forget", help="Use no judgements any more, of the --kind and --tenant given."
    ),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Fit to judgements how likely a row fits; then search with --min-match 0.5 or --cutoff auto."""
    if kind not in (None, *_KINDS) or method not in _METHODS:
        raise UsageError(f"--kind is one of {', '.join(_KINDS)}; --method one of {', '.join(_METHODS)}.")
    if (judged is None) != forget:
        raise UsageError("Name a file of judgements, or say --forget with --kind.")
    settings = load_settings()
    with db.connect_primary(settings) as connection:
        if forget:
            if kind is None:
                raise UsageError("Say of which --kind the judgements are to be forgotten: text or picture.")
            gone = calibration.forget(connection, kind=kind, tenant=tenant)  # type: ignore[arg-type]
            output.print("Forgotten." if gone else "There was nothing to forget.")
            return
        made = calibration.calibrate(
            connection,
            calibration.read(judged),
            tenant=tenant,
            kind=kind,  # type: ignore[arg-type]
            method=method,  # type: ignore[arg-type]
            keep=keep,
            timeout=settings.query_timeout,
        )
    if json:
        as_json([asdict(one) | {"kept": keep} for one in made])
        return
    for one in made:
        _show(one, keep=keep)


def _show(made: Calibrated, *, keep: bool) -> None:
    """Print how far off the matches are, before and after, on questions that were held out."""
    before = "there was nothing" if made.before is None else f"{made.before:.3f}"
    output.print(
        f"By {made.kind}: {made.judged:,} judgements of {made.questions:,} questions, {made.fitting:,} fit. "
        f"Expected calibration error: before {before}, now {made.error:.3f} on questions held out."
    )
    columns: list[str | tuple[str, str]] = ["match", ("judged", "right"), ("said", "right"), ("fitted", "right")]
    rows = [(f"{one.low:.1f} to {one.high:.1f}", one.many, f"{one.said:.3f}", f"{one.fitted:.3f}") for one in made.bins]
    output.print(table(columns, rows))
    if made.curve.scale is not None:
        output.print(f"match = 1 / (1 + exp(-({made.curve.scale:.3f} · cosine + {made.curve.bias:.3f})))")
    output.print("Stored: searches use it from now on." if keep else "Not stored: --dry-run.")
