"""The release before and this one, web processes and workers of both, on one schema that goes forward beneath them."""

from __future__ import annotations

import pytest

from bench import previous, rolling

pytestmark = pytest.mark.slow


def test_no_request_fails_while_the_schema_goes_forward_beneath_two_releases() -> None:
    """Searches, uploads and prices, over HTTP and by SQL; with a step over the table of images."""
    try:
        figures = rolling.run(12, 60, 6, rehearse=True)
    except previous.NotThere as error:
        pytest.skip(str(error))
    assert figures["failed"] == []
    assert figures["failures"] == 0
    assert figures["violations"] == 0
    assert figures["embedded"] == figures["images"] > 60, "workers of both embedded what came meanwhile"
    for phase in rolling.PHASES:
        assert figures["ms"][f"{phase}: search"]["many"] > 5
    assert figures["longest, ms"] < 15_000, "nobody stood behind a lock: on a busy machine it takes a second or two"
    assert any(line.startswith("9000_rehearsal, part 5 of 5") for line in figures["upgrade"])
