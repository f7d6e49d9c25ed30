"""What so many images will take: disk, memory, hours; from constants that `python -m bench.capacity` measured.

Two kinds of parts. Where a row is a vector (`vectors`, `hnsw`) it fills so much of a page of 8 kB that bytes go in
steps: there the layout of the page is computed. All others are lines through what was measured. A plan is of a shop
whose images came in by the queue, some at a time, and were vacuumed meanwhile, as autovacuum does.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from imgsearch.errors import UsageError

PAGE = 8192
HEAP = PAGE - 24  # without the page's header
GRAPH = HEAP - 8  # pgvector keeps eight bytes at the end of each page
M = 24  # neighbours of an element, as imgsearch_internal.graph_sql() has it; 6 bytes each
NEIGHBOURS = 8 + 2 * M * 6  # of an element of the lowest level; each level above takes M more, and has an M-th of them
PARTS = ("images", "keys", "bits", "vectors", "hnsw", "words", "questions", "other")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is planned for. attributes: bytes of one image's JSON; title: characters; kilobytes: of one picture's file.

    regions: parts of each picture that are added as images of their own. promoted: attributes with a column.
    vocabulary: different words in titles; questions: texts and pictures that were asked and are remembered.
    """

    images: int
    dimension: int
    spaces: int = 1
    per_product: float = 4.0
    regions: int = 0
    attributes: int = 120
    title: int = 60
    vocabulary: int = 20_000
    promoted: int = 0
    questions: int = 10_000
    kilobytes: float = 130.0

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be."""
        if not 1 <= self.dimension <= 4000:
            raise UsageError(
                f"The dimension is {self.dimension}; a vector of pgvector's halfvec has 1 to 4000 numbers."
            )
        if self.images < 1 or self.spaces < 1 or self.per_product < 1 or min(self.regions, self.promoted) < 0:
            raise UsageError(
                "Images, spaces and images per product are at least 1, regions and attributes not negative."
            )

    @property
    def rows(self) -> int:
        """Return how many images stand in the database."""
        return self.images * (1 + self.regions)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What embeds and builds: `shape` is a model that was measured; cores decode, and embed where there is no GPU."""

    shape: str = "siglip-b16-256"
    cores: int = 8
    gpus: int = 0


@cache
def constants() -> dict[str, Any]:
    """Return what was measured, and by which command."""
    found: dict[str, Any] = json.loads(files("imgsearch.ops").joinpath("capacity.json").read_text(encoding="utf-8"))
    return found


def part_of(relation: str, table: str | None) -> str:
    """Return the part of the plan that a relation of the schema imgsearch belongs to; `table`: of an index."""
    of = table or relation
    if "_hnsw" in relation:
        return "hnsw"
    if of.startswith("embedding_"):
        return "vectors"
    if of == "image":
        return "images" if table is None else "bits" if relation.startswith("image_bits") else "keys"
    if of in ("product", "vocabulary"):
        return "words"
    return "questions" if of == "query_vector" else "other"


def database(wanted: Wanted) -> dict[str, int]:
    """Return bytes in Postgres by part; without the WAL and what a rebuild of an index takes for a while."""
    c = constants()["database"]
    n, d, spaces = wanted.rows, wanted.dimension, wanted.spaces
    products = n / wanted.per_product
    line = {name: fit[0] + fit[1] * d for name, fit in c["by_dimension"].items()}
    found = {
        "images": n * (line["images"] + (spaces - 1) * (line["images"] - c["by_dimension"]["images"][0])
                       + c["per_attribute_byte"] * (wanted.attributes - c["attributes"])),
        "keys": n * c["keys"],
        # Filling a further space writes each row again, and each bits index with it.
        "bits": n * line["bits"] * (1 + (spaces - 1) * (c["bits_of_two"] - 1)) * (3 + wanted.promoted) / 3,
        "vectors": n * spaces * (vector_bytes(d) + c["keys_of_vector"]),
        "hnsw": n * spaces * graph_on_disk(d),
        "words": products * (c["product"] + c["per_title_character"] * (wanted.title - c["title"]))
                 + wanted.vocabulary * c["word"],
        "questions": wanted.questions * spaces * line["question"],
        "other": c["other"],
    }  # fmt: skip
    return {name: math.ceil(found[name]) for name in PARTS}


def vector_bytes(dimension: int) -> float:
    """Return bytes of a row of embedding_<n>: as many as fit a page, in a row a header, keys, a digest and halfvec."""
    row = _up(72 + 8 + 2 * dimension, 8) + 4
    return PAGE / (HEAP // row) if row <= HEAP else PAGE + row - HEAP


def graph_on_disk(dimension: int) -> float:
    """Return bytes of a vector in the HNSW: an element and its neighbours stand on one page where they fit."""
    element = _up(72 + 8 + 2 * dimension, 8) + 4
    size = element + NEIGHBOURS + 4
    if size > GRAPH:
        return PAGE + PAGE * (NEIGHBOURS + 4) / GRAPH
    most = GRAPH // size
    taller = (GRAPH - most * size) // (6 * M)  # how many of them may reach a level above
    fit = sum(math.comb(most, k) * (1 / M) ** k * (1 - 1 / M) ** (most - k) for k in range(min(taller, most) + 1))
    return PAGE / (most * fit + (most - 1) * (1 - fit)) if most > 1 else PAGE


def store(wanted: Wanted) -> dict[str, int]:
    """Return bytes in the picture store: files as they were uploaded, and thumbnails. Equal bytes are stored once."""
    thumbnails = wanted.images * constants()["store"]["thumbnail_bytes"]
    return {"pictures": math.ceil(wanted.images * wanted.kilobytes * 1024), "thumbnails": math.ceil(thumbnails)}


def memory(wanted: Wanted, parts: dict[str, int]) -> dict[str, int]:
    """Return bytes: what searches read again and again, and the graph while it is built (maintenance_work_mem)."""
    c = constants()["database"]["build_bytes"]
    searched = sum(parts[name] for name in ("images", "bits", "hnsw")) // wanted.spaces
    return {"searches": searched, "build": math.ceil(wanted.rows * (c[0] + c[1] * wanted.dimension))}


def hours(wanted: Wanted, machine: Machine) -> dict[str, float]:
    """Return hours of the clock: to embed all pictures once, and to build one space's HNSW by half of the cores.

    Raises UsageError for a shape nobody measured, or a GPU it was not measured on.
    """
    times = constants()["times"]
    shapes = times["shapes"]
    if machine.shape not in shapes:
        raise UsageError(f"Nobody measured {machine.shape!r}; there are: {', '.join(shapes)}.")
    shape = shapes[machine.shape]
    needed = "gpu_per_second" if machine.gpus else "core_seconds"
    if needed not in shape:
        other = "leave --gpus out" if machine.gpus else "say how many GPUs there are: --gpus 1"
        raise UsageError(f"{machine.shape} was not measured {'on' if machine.gpus else 'without'} a GPU; {other}.")
    if machine.gpus:  # the cores decode and write beside it
        each = max(
            1 / (shape["gpu_per_second"] * machine.gpus), float(shape["core_seconds_beside_gpu"]) / machine.cores
        )
    else:
        each = shape["core_seconds"] / machine.cores
    return {
        "embedding": wanted.rows * wanted.spaces * each / 3600,
        "build": build_seconds(wanted.rows, wanted.dimension) / max(1, machine.cores // 2) / 3600,
    }


def build_seconds(rows: int, dimension: int) -> float:
    """Return processor seconds to build an HNSW: by the dimension a line, by the number what was measured at 768.

    Beyond the largest that was measured it goes on growing as from the last but one to that.
    """
    built = constants()["times"]["build"]
    points = [(math.log(n), math.log(each)) for n, each in built["at_768"]]
    at = max(math.log(max(rows, 1)), points[0][0])
    (n1, s1), (n2, s2) = next(((a, b) for a, b in pairwise(points) if at <= b[0]), points[-2:])
    each = math.exp(s1 + (s2 - s1) * (at - n1) / (n2 - n1))
    zero, slope = built["seconds"]
    return float(rows * each * (zero + slope * dimension) / (zero + slope * 768))


def plan(wanted: Wanted, machine: Machine) -> dict[str, Any]:
    """Return the whole of it, for programs. Raises UsageError."""
    parts, pictures = database(wanted), store(wanted)
    total, index = sum(parts.values()), parts["hnsw"] // wanted.spaces
    return {
        "wanted": asdict(wanted) | {"rows": wanted.rows},
        "machine": asdict(machine),
        "database": parts,
        "database_total": total,
        "rebuild": index,  # a second copy of the index stands beside the first meanwhile
        "disk": math.ceil((total + index) * 1.2),  # and a fifth for WAL and what is not vacuumed yet
        "store": pictures,
        "store_total": sum(pictures.values()),
        "memory": memory(wanted, parts),
        "hours": {name: round(value, 2) for name, value in hours(wanted, machine).items()},
        "measured_by": constants()["command"],
    }


def _up(size: int, to: int) -> int:
    return -(-size // to) * to
