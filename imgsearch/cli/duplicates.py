"""`imgsearch duplicates`: which pictures show what another one shows."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import TaskID

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, progress, table
from imgsearch.errors import UsageError
from imgsearch.ingest import upload
from imgsearch.ops import duplicates as ops
from imgsearch.ops.duplicates_report import report
from imgsearch.settings import load_settings
from imgsearch.storage import FetchPolicy

_COLUMNS = ("tier", "original", "product", "is", "product ", ("bits", "right"), ("turn", "right"), ("cosine", "right"))


def duplicates(
    tenant: str | None = typer.Option(None, "--tenant", help="Only this tenant's; without, each tenant's by itself."),
    look: bool = typer.Option(False, "--look", help="Also what somebody should look at; some ms for each picture."),
    similarity: float = typer.Option(ops.SIMILARITY, "--similarity", help="Of what to look at: cosine, 0.5 to 1."),
    fill: bool = typer.Option(
        True, "--fill/--no-fill", help="Hash pictures of before, from the store, without a model."
    ),
    k: int = typer.Option(50, "--k", "-k", min=1, max=100_000, help="How many to show; all are kept."),
    html: Path | None = typer.Option(None, "--html", metavar="FILE", help="A page of them, with the pictures in it."),
    dismiss: tuple[int, int] | None = typer.Option(
        None, "--dismiss", metavar="IMAGE IMAGE", help="Say for good that these two are not the same; find nothing."
    ),
    check: bool = typer.Option(False, "--check", help="End with exit code 1 where there are certain ones."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Find pictures that show what another one shows, and keep them for imgsearch.duplicates and duplicates=False."""
    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {html.absolute().parent}; make it, or name another file.")
    settings = load_settings()
    if dismiss is not None:
        with db.connect_primary(settings, autocommit=True) as connection:
            ops.dismiss(connection, *dismiss, tenant=tenant)
        return
    store = upload.default_store(settings)
    failed: dict[int, str] = {}
    with db.connect_primary(settings, autocommit=True) as connection, progress(quiet=json) as bar:
        tasks: dict[str, TaskID] = {}

        def tick(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        if fill:
            policy = FetchPolicy(allow_hosts=settings.fetch_allow)
            failed = ops.fill(connection, store, tenant=tenant, policy=policy, tick=tick).failed
        found = ops.find(connection, tenant=tenant, look=look, similarity=similarity, tick=tick)
        tier: ops.Tier | None = None if look else "certain"
        listed = ops.duplicates(connection, tenant=tenant, tier=tier, k=k)
    if html is not None:
        left_out = found.certain + found.look - len(listed)
        html.write_text(report(listed, store, left_out=max(0, left_out)), encoding="utf-8")
    if json:
        as_json({**vars(found), "failed": failed, "duplicates": [vars(one) for one in listed]})
    else:
        _show(found, listed, failed, html)
    if check and found.certain:
        raise typer.Exit(1)


def _show(found: ops.Found, listed: list[ops.Listed], failed: dict[int, str], html: Path | None) -> None:
    if listed:
        rows = [
            (d.tier, d.original, d.original_product, d.image_id, d.product_id, d.distance, d.turn, d.similarity)
            for d in listed
        ]
        output.print(table(_COLUMNS, rows))
    said = f"{found.certain:,} of {found.pictures:,} pictures are certainly duplicates, in {found.groups:,} groups"
    output.print(f"{said}; {found.look:,} to be looked at.")
    if found.unhashed:
        errors.print(f"{found.unhashed:,} pictures have no hash: run it with --fill, or see below.")
    for image, why in list(failed.items())[:10]:
        errors.print(f"image {image}: {why}", markup=False, soft_wrap=True)
    if html is not None:
        output.print(f"The page: {html}", soft_wrap=True)
