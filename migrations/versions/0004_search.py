"""The search statement."""

from __future__ import annotations

from imgsearch import db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("sample", "attributes", "walk", "search", "nearest"):
        db.apply(f"0004_{part}")


def downgrade() -> None:
    db.apply("0004_search_down")
