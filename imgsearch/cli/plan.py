"""`imgsearch plan`: what so many images will take, before there is one."""

from __future__ import annotations

import typer

from imgsearch.cli.console import as_json, output, table
from imgsearch.ops import capacity
from imgsearch.ops.capacity import Machine, Wanted

_EXPLAINED = {
    "images": "rows: what you filter on, and the bits of each space",
    "keys": "indexes on ids, products, digests and attributes",
    "bits": "indexes that filtered searches read",
    "vectors": "vectors, and the indexes on their ids",
    "hnsw": "the graph",
    "words": "titles, and the words in them",
    "questions": "texts and pictures that were asked",
    "other": "the sample, the queue, the rest",
}


def plan(
    images: int = typer.Argument(..., min=1, help="How many pictures."),
    dimension: int = typer.Option(768, min=1, max=4000, help="Numbers of a vector; the model says how many."),
    spaces: int = typer.Option(1, min=1, help="Models at once: two while you change from one to another."),
    per_product: float = typer.Option(4.0, min=1, help="Pictures of a product."),
    regions: int = typer.Option(0, min=0, help="Parts of each picture that you add as images of their own."),
    attributes: int = typer.Option(120, min=2, help="Bytes of the attributes of one image, as JSON."),
    title: int = typer.Option(60, min=0, help="Characters of a product's title and words."),
    promoted: int = typer.Option(0, min=0, help="Attributes with a column of their own (index promote)."),
    questions: int = typer.Option(10_000, min=0, help="Texts and pictures that were asked and are remembered."),
    kilobytes: float = typer.Option(130.0, min=0, help="Of one picture's file."),
    shape: str = typer.Option("siglip-b16-256", help="The model, as measured: see docs/capacity.md."),
    cores: int = typer.Option(8, min=1, help="Of the machines that embed, all together."),
    gpus: int = typer.Option(0, min=0, help="GPUs (as fast as an H200); 0: the cores embed."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Plan disk, memory and hours for so many images, from what was measured. Needs no database."""
    wanted = Wanted(
        images=images,
        dimension=dimension,
        spaces=spaces,
        per_product=per_product,
        regions=regions,
        attributes=attributes,
        title=title,
        promoted=promoted,
        questions=questions,
        kilobytes=kilobytes,
    )
    found = capacity.plan(wanted, Machine(shape=shape, cores=cores, gpus=gpus))
    if json:
        as_json(found)
        return
    rows = [
        (name, size_of(size), f"{size / wanted.rows:,.0f}", _EXPLAINED[name])
        for name, size in found["database"].items()
    ]
    columns: list[str | tuple[str, str]] = ["part", ("disk", "right"), ("bytes an image", "right"), "what it is"]
    output.print(table(columns, rows))
    index, hours = found["rebuild"], found["hours"]
    memory, store = found["memory"], found["store"]
    output.print(
        f"[bold]Postgres: {size_of(found['database_total'])}[/], so a disk of {size_of(found['disk'])}: "
        f"an index that is rebuilt stands beside the old one ({size_of(index)}), and a fifth is left for the WAL."
    )
    output.print(
        f"Memory: {size_of(memory['searches'])} are read again and again (shared_buffers and what the system keeps); "
        f"maintenance_work_mem of {size_of(memory['build'])} builds the graph in one go."
    )
    output.print(
        f"Picture store: {size_of(store['pictures'])} of pictures, {size_of(store['thumbnails'])} of thumbnails."
    )
    by = f"{gpus} GPU and {cores} cores" if gpus else f"{cores} cores"
    output.print(
        f"Time: {hours['embedding']:,.1f} hours to embed all by {by} ({shape}), "
        f"{hours['build']:,.1f} to build the graph by {max(1, cores // 2)} processes."
    )


def size_of(size: float) -> str:
    """Return bytes as people read them."""
    for unit, bytes_ in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= bytes_:
            return f"{size / bytes_:,.1f} {unit}"
    return f"{size / 1e3:,.0f} kB"
