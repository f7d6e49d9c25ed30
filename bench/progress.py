"""How a bench says what it does while it takes minutes."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
