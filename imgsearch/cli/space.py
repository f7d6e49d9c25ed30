"""`imgsearch space …`: models come and go."""

from __future__ import annotations

import typer

from imgsearch.cli import compare

app = typer.Typer(help="Spaces: one for each model.", no_args_is_help=True)
app.command("compare")(compare.compare)
