"""Refusing a model, in the words of one error: what is wrong with it, and the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from imgsearch.errors import ModelError


def refuse(model: str, why: str, cause: Exception | None = None) -> NoReturn:
    """Raise ModelError about this model: `why` ends with the cure."""
    raise ModelError(f"The model {model!r} {why}.") from cause


def parsed(model: str, path: Path) -> dict[str, Any]:
    """Return a JSON object of a model's folder. Raises ModelError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{path.name} is not a JSON object")
    except (OSError, ValueError) as error:
        refuse(model, f"has an unreadable {path.name} ({error}); download or save it again", error)
    return values
