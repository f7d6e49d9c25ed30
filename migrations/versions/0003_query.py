"""Anything → vector, and what an admin looks at."""

from __future__ import annotations

from imgsearch import db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0003_query")


def downgrade() -> None:
    db.apply("0003_query_down")
