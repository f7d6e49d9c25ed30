"""The README is true: its statements, programs and commands run, and its tables are the code's own."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image

from imgsearch.cli.app import app
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.settings import table as settings_table
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.processes import WorkerProcess, eventually

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
Connection = psycopg.Connection[Any]


DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def jpeg(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(out, "JPEG")
    image = Image.open(out)
    image.paste(colour, (0, 0, 64, 40))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def shop(connection: Connection, settings: Settings, worker: WorkerProcess) -> Connection:
    """Fifty pictures of two tenants, with the image id that the README asks for among them."""
    store = open_store(settings.storage_url)
    for n in range(50):
        colour = ("red", "green")[n % 2]
        picture = jpeg((200, n, n) if colour == "red" else (n, 200, n))
        upload.add(
            connection,
            picture,
            product_id=n,
            tenant=("acme", "bazaar")[n % 5 == 0],
            category="shoes",
            price=n + 1,
            attributes={"colour": colour, "title": f"{colour} shoe {n}"},
            store=store,
        )
    eventually(lambda: connection.execute("SELECT ready FROM imgsearch.status").fetchone() == (50,))
    return connection


def test_every_sql_block_runs(shop: Connection) -> None:
    assert len(blocks("sql")) >= 2
    shop.execute("CALL imgsearch.embed('red canvas shoe')")
    for block in blocks("sql"):
        for statement in re.split(r";\s*(?:--.*)?\n", block):
            if statement.strip():
                cursor = shop.execute(statement.encode())
                if "imgsearch.search(" in statement or "imgsearch.images" in statement:
                    rows = cursor.fetchall()
                    assert rows, statement
                if "violations" in statement:
                    assert cursor.fetchall() == []


# Those of models.md need a space of given vectors: tests/test_models_page.py.
@pytest.mark.parametrize("name", [name for name, text in DOCS.items() if blocks("sql", text) and name != "models.md"])
def test_every_sql_block_of_the_documentation_runs(name: str, connection: Connection, space: Space) -> None:
    cache.ask(connection, cache.of_text("red canvas shoe"))
    [asked] = cache.claim(connection, space.space_id, 1)
    cache.answer(connection, space.space_id, asked, FakeEncoder().embed_texts(["red canvas shoe"])[0])
    for block in blocks("sql", DOCS[name]):
        for statement in re.split(r";\s*(?:--.*)?\n", block):
            if statement.strip():
                connection.execute(statement.encode())


def test_every_python_block_finds_what_it_asks_for(
    shop: Connection, environment: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = environment["IMGSEARCH_DATABASE_URL"]
    names: dict[str, Any] = {"connect": lambda: psycopg.connect(url), "photo": jpeg((250, 1, 1))}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own README is what is tested
    *nearest, last = (line.split() for line in capsys.readouterr().out.splitlines())
    assert len(nearest) == 10
    acmes = {str(n) for n in range(50) if n % 5} | {"sku-1"}
    assert {product for product, _, _ in nearest} <= acmes
    assert all(float(price) < 50 for _, price, _ in nearest)
    distances = [float(distance) for *_, distance in nearest]
    assert distances == sorted(distances)
    assert last == ["10", "exact", "True", "10", "10"], "hits, how, complete, as many like the first and without it"

    client = names["app"].test_client()  # the Flask block's
    found = client.get("/search", query_string={"words": "red canvas shoe"}).get_json()
    assert len(found) == 10
    assert set(found) <= acmes
    added = client.post("/products/sku-2/photo", data={"photo": (io.BytesIO(jpeg((9, 9, 250))), "photo.jpg")})
    stored = shop.execute("SELECT product_id FROM imgsearch.image WHERE image_id = %s", [added.get_json()]).fetchone()
    assert stored == ("sku-2",)


@pytest.mark.slow
@pytest.mark.long
def test_every_command_runs(shop: Connection, environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos/red.jpg").write_bytes(jpeg((240, 0, 0)))
    (folder / "catalogue.csv").write_text("path,product_id,tenant_id,price,colour\nphotos/red.jpg,c-1,acme,9.5,red\n")
    ran = 0
    for block in blocks("console"):
        for line in block.splitlines():
            assert line.startswith("$ "), line
            command = shlex.split(line[2:])
            if command[0] == "imgsearch":
                done = subprocess.run(
                    [sys.executable, "-m", *command],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                    env=environment | {"PYTHONPATH": str(ROOT)},
                )
                assert done.returncode == 0, (line, done.stderr)
                assert done.stdout
                ran += 1
            else:
                assert command[0] == "make"
                assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert ran >= 5


def test_the_settings_table_is_the_codes_own() -> None:
    table = README.split("<!-- settings: begin -->")[1].split("<!-- settings: end -->")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.strip().splitlines()[2:]]
    wanted = [
        (
            f"`{s.variable}`" + (f" (or `{s.fallback}`)" if s.fallback else ""),
            f"`{s.default}`" if s.default else "–",
            s.help,
        )
        for s in settings_table()
    ]
    assert rows == wanted


def test_the_readme_names_only_commands_that_exist() -> None:
    known = {command.name for command in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        known |= {f"{group.name} {c.name or c.callback.__name__}" for c in group.typer_instance.registered_commands}  # type: ignore[union-attr]
    groups = {group.name for group in app.registered_groups}
    text = README + "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    words = re.findall(r"(?:`|^\$ )imgsearch ([a-z]+)(?: ([a-z-]+))?", text, re.MULTILINE)
    named = {f"{first} {second}" if first in groups and second else first for first, second in words}
    assert named - known - groups == set()
    assert {"index tune", "index recall", "db upgrade"} <= named


def test_its_links_lead_somewhere() -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_environment_of_tests_is_clean() -> None:
    assert not [name for name in os.environ if name.startswith("IMGSEARCH_")]
