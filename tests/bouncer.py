"""A real PgBouncer in transaction mode before a test's database, where there is one."""

from __future__ import annotations

import pytest

from bench.bouncer import PROGRAM, before

__all__ = ["before", "needed"]

needed = pytest.mark.skipif(
    PROGRAM is None, reason="needs PgBouncer: apt-get install pgbouncer, or PGBOUNCER=/path/to/it"
)
