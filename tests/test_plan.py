"""What is planned is what it takes: a plan beside a real table of 20,000 images, and what it says on a terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench import capacity as measured
from bench import planned_shop
from imgsearch import db
from imgsearch.cli.plan import size_of
from imgsearch.errors import UsageError
from imgsearch.ops import capacity
from imgsearch.ops.capacity import Machine, Wanted
from imgsearch.schema import source
from imgsearch.settings import Settings
from tests.terminal import Run

SHOP = planned_shop.Shop(images=20_000, dimension=64, per_product=3, attributes=200, title=80)


@pytest.mark.slow
def test_a_plan_is_within_a_tenth_of_what_a_real_table_takes(settings: Settings) -> None:
    """Other dimensions, attributes, titles and pictures per product than those of the constants."""
    wanted = Wanted(
        images=SHOP.images,
        dimension=SHOP.dimension,
        per_product=SHOP.per_product,
        attributes=SHOP.attributes,
        title=SHOP.title,
        vocabulary=len(planned_shop.WORDS),
        questions=0,
    )
    with db.connect(settings, autocommit=True) as connection:
        planned_shop.fill(connection, SHOP)
        measured.build(connection)
        taken = measured.sizes(connection)
    planned = capacity.database(wanted)
    some = 0.03 * sum(taken.values())  # of the rest, mostly empty tables, it matters not
    off = {part: planned[part] / taken[part] - 1 for part in planned if taken.get(part, 0) > some}
    assert {"images", "keys", "bits", "vectors", "hnsw", "words"} <= set(off)
    assert {part: round(by, 3) for part, by in off.items() if abs(by) > 0.1} == {}
    assert abs(sum(planned.values()) / sum(taken.values()) - 1) < 0.05


def test_a_page_holds_as_many_vectors_as_were_measured() -> None:
    """A million images of 768 numbers: docs/decisions/0002-search-statement.md."""
    found = capacity.database(Wanted(images=1_000_000, dimension=768))
    assert found["hnsw"] / 2**20 == pytest.approx(1953, rel=0.01)
    assert capacity.vector_bytes(768) * 1e6 / 2**20 == pytest.approx(1562, rel=0.01)
    for dimension in range(1, 4001, 7):
        assert capacity.vector_bytes(dimension) >= 2 * dimension
        assert capacity.graph_on_disk(dimension) >= 2 * dimension + 200


def test_more_of_anything_takes_more() -> None:
    def total(**more: Any) -> int:
        return sum(capacity.database(Wanted(**{"images": 1_000_000, "dimension": 768, **more})).values())

    plain = total()
    for more in ({"spaces": 2}, {"regions": 1}, {"attributes": 500}, {"promoted": 2}, {"dimension": 1152}):
        assert total(**more) > plain, more
    assert total(per_product=1.0) > plain > total(per_product=20.0)
    assert total(regions=1) == pytest.approx(2 * plain, rel=0.01)


def test_hours_follow_cores_gpus_and_how_many_there_are() -> None:
    wanted = Wanted(images=1_000_000, dimension=768)
    few, many = (capacity.hours(wanted, Machine(cores=cores)) for cores in (8, 16))
    assert few["embedding"] == pytest.approx(2 * many["embedding"])
    fast = capacity.hours(wanted, Machine(cores=16, gpus=1))
    assert fast["embedding"] < many["embedding"] / 15
    assert fast["embedding"] == capacity.hours(wanted, Machine(cores=16, gpus=4))["embedding"], "decoding bounds it"
    assert capacity.build_seconds(1_000_000, 768) == pytest.approx(4248, rel=0.01)
    assert capacity.build_seconds(10_000_000, 768) > 10 * capacity.build_seconds(1_000_000, 768)
    assert capacity.build_seconds(10, 768) < 1


@pytest.mark.parametrize(
    ("shape", "gpus", "said"),
    [
        ("mine", 0, "Nobody measured 'mine'"),
        ("demo", 1, "not measured on a GPU"),
        ("siglip-l16-384", 0, "without a GPU"),
    ],
)
def test_what_nobody_measured_is_not_guessed(shape: str, gpus: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        capacity.hours(Wanted(images=10, dimension=768), Machine(shape=shape, gpus=gpus))


def test_the_command_tells_every_part_and_the_whole(run: Run) -> None:
    shown = run("plan", 1_500_000, "--dimension", 768).out
    assert all(part in shown for part in capacity.PARTS)
    assert "GB" in shown
    assert "hours to embed" in shown
    found = run("plan", 1_500_000, "--dimension", 768, "--spaces", 2, "--gpus", 1, "--json").document
    assert found["database_total"] == sum(found["database"].values())
    assert found["disk"] > found["database_total"] + found["rebuild"]
    assert set(found["hours"]) == {"embedding", "build"}
    assert found["measured_by"].startswith("python -m bench.capacity")
    refused = run("plan", 10, "--shape", "mine")
    assert (refused.code, "Nobody measured" in refused.err) == (2, True)


def test_the_plan_knows_the_graph_that_is_built() -> None:
    assert f"WITH (m = {capacity.M}, " in source.function("operators")


def test_sizes_are_read_by_people() -> None:
    assert [size_of(n) for n in (900, 2.5e6, 3.21e9, 4e12)] == ["1 kB", "2.5 MB", "3.2 GB", "4.0 TB"]


PAGE = (Path(__file__).parents[1] / "docs/capacity.md").read_text()


def between(name: str) -> str:
    return PAGE.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0].strip()


def test_the_page_shows_what_the_command_says(run: Run) -> None:
    [command] = re.findall(r"^imgsearch (plan .*)$", PAGE, re.MULTILINE)
    said = "\n".join(line.rstrip() for line in run(*command.split(), COLUMNS="118").out.splitlines())
    assert between("plan") == f"```text\n{said.strip()}\n```"


SHAPES = {768: "siglip-b16-256", 1152: "siglip-so400m14-384"}


def test_the_page_shows_the_sizes_that_are_planned() -> None:
    rows = []
    for images, dimension in ((100_000, 768), (1_000_000, 768), (1_000_000, 1152), (10_000_000, 768)):
        wanted_here, shape = Wanted(images=images, dimension=dimension), SHAPES[dimension]
        found = capacity.plan(wanted_here, Machine(shape=shape, cores=16, gpus=1))
        slow = capacity.hours(wanted_here, Machine(cores=8))["embedding"] if dimension == 768 else None
        sizes = [found["database_total"], found["disk"], *found["memory"].values(), found["store_total"]]
        hours = ["–" if one is None else f"{one:,.1f} h" for one in (slow, found["hours"]["embedding"])]
        rows.append(f"| {' | '.join([f'{images:,}', f'{dimension:,}', *map(size_of, sizes), *hours])} |")
    wanted = "\n".join(rows)
    assert between("sizes").split("|---|\n")[-1] == wanted, f"docs/capacity.md should say:\n{wanted}"


SCALE = (Path(__file__).parents[1] / "docs/scale.md").read_text()
BITS_US = 0.15  # a picture that matches, out of an index: docs/decisions/0002-search-statement.md


def test_the_page_on_paper_carries_the_plan_on() -> None:
    rows = []
    for images in (1_000_000, 10_000_000, 100_000_000, 1_000_000_000):
        found = capacity.plan(Wanted(images=images, dimension=768), Machine(cores=2))
        sizes = (found["database_total"], found["database"]["hnsw"], found["memory"]["searches"])
        said = [f"{images:,}", *map(size_of, sizes), f"{found['hours']['build']:,.1f} h"]
        said += [f"{images / 10 * BITS_US / 1e6:,.2f} s", size_of(found["store_total"])]
        rows.append(f"| {' | '.join(said)} |")
    told = SCALE.split("<!-- scale: begin -->\n")[1].split("<!-- scale: end -->")[0].strip()
    wanted = "\n".join(rows)
    assert told.split("|---|\n")[-1] == wanted, f"docs/scale.md should say:\n{wanted}"
