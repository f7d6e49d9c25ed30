"""Files that hold settings: `.env`, and those that IMGSEARCH_…_FILE names. As UTF-8, with or without its mark."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from imgsearch.errors import SettingsError


def read(path: Path, called: str) -> str:
    """Return the text of a file; `called`: what the message calls it. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{called} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{called} cannot be read: it is not UTF-8; save it as UTF-8.") from error
    if "\0" in text:
        raise SettingsError(f"{called} cannot be read: it holds zero bytes, as UTF-16 does; save it as UTF-8.")
    return text


def dotenv() -> Mapping[str, str | None]:
    """Return what `.env` here says, nothing where there is none. Raises SettingsError."""
    from dotenv import dotenv_values

    path = Path(".env")
    if not (path.is_file() or path.is_fifo()):
        return {}
    return dotenv_values(stream=io.StringIO(read(path, "The file .env")))
