"""HEIC needs one thread: what a decoder that was taken over gains by that is bounded."""

from __future__ import annotations

import json

import pytest
from imgsearch_workers.decoding.decoder import DecodePool

from imgsearch.errors import PictureError
from tests.test_decode_pool import LINUX, code_of, evil, is_right, said

__all__ = ["evil"]  # a fixture


@LINUX
def test_threads_of_a_child_that_was_taken_over_are_its_own_and_end(evil: DecodePool) -> None:
    """HEIC needs one thread, so threads may be started; how many is bounded by memory, by the kernel, and by time."""
    with pytest.raises(PictureError) as caught:
        evil.decode(b"EVIL threads without end")
    if caught.value.code == "corrupt":
        assert json.loads(str(caught.value).rsplit(". ", 1)[0]) < 32_768
    else:
        assert caught.value.code in ("decoder_timeout", "decoder_crashed")
    assert is_right(evil)
    assert code_of(evil, "fork") == "corrupt"  # refused, with or without a flag that threads have


@LINUX
def test_a_clone_with_other_flags_than_a_threads_is_refused(evil: DecodePool) -> None:
    for trick in ("clone like a fork", "clone3"):
        assert str(said(evil, trick)).startswith("refused: "), trick
