"""A text that is longer than a model reads is never cut silently."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from imgsearch_workers.model.encoder import SharedEncoder, count_tokens
from imgsearch_workers.model.siglip import IMAGE, SiglipEncoder

from imgsearch.query import memory, resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import answering
from tests.processes import WorkerProcess
from tests.shop import Row, fill

Connection = psycopg.Connection[Any]
LONG = " ".join(f"word{n}" for n in range(90))
SAID = "Only the first 64 of 90 tokens of the text were read."


def test_whoever_asks_is_told_from_wherever_the_vector_comes(
    connection: Connection, settings: Settings, space: Space
) -> None:
    fill(connection, space, [Row(vector=[1.0] * 48)])
    with answering(settings, space):
        first = resolve(connection, LONG)
        assert (first.source, first.truncated) == ("worker", SAID)
    assert (resolve(connection, LONG).source, resolve(connection, LONG).truncated) == ("memory", SAID)
    memory.forget_answers()
    again = resolve(connection, LONG)
    assert (again.source, again.truncated) == ("database", SAID)
    assert search(connection, LONG).truncated == SAID
    assert resolve(connection, [(LONG, 1), ([1.0] * 48, 0.5)]).truncated == SAID


def test_a_text_that_is_read_whole_says_nothing(connection: Connection, settings: Settings, space: Space) -> None:
    whole = " ".join(LONG.split()[:64])
    with answering(settings, space):
        assert resolve(connection, whole).truncated is None
        assert resolve(connection, [1.0] * 48).truncated is None
    assert connection.execute("SELECT tokens, tokens_read FROM imgsearch.query_vector").fetchall() == [(None, None)]


def test_a_worker_counts_and_sql_gives_notice(connection: Connection, worker: WorkerProcess) -> None:
    told: list[str | None] = []
    connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
    connection.execute(f"CALL imgsearch.embed('{LONG}')")
    connection.execute(f"SELECT imgsearch.vec('{LONG}')")
    assert told == ["imgsearch: only the first 64 of 90 tokens of the text were read"] * 2
    connection.execute("CALL imgsearch.embed('red shoe')")
    connection.execute("SELECT imgsearch.vec('red shoe')")
    assert len(told) == 2


def test_the_demos_model_counts_what_its_tower_reads() -> None:
    encoder = SiglipEncoder.load("demo", threads=1)
    length = encoder.checkpoint.config["text_config"]["max_position_embeddings"]
    [(short, all_of_it), (long, part)] = encoder.count_tokens(["Red, canvas SHOE!", "red shoe " * 30])
    assert (short, all_of_it) == (4, 4)  # and the end of the text
    assert (long, part) == (61, length)
    [(edge, read)] = encoder.count_tokens(["red " * (length - 1)])
    assert edge == read == length
    one, other = encoder.embed_texts(["red " * 60, "red " * 61])
    assert one @ other == pytest.approx(1)
    assert SharedEncoder(encoder).count_tokens(["red"]) == [(2, 2)]
    assert SiglipEncoder.load("demo", threads=1, towers=IMAGE).count_tokens(["red"]) == []
    assert count_tokens(object(), ["red"]) == []  # type: ignore[arg-type]
