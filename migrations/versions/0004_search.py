"""The search statement."""

from __future__ import annotations

from imgsearch import db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0004_search")


def downgrade() -> None:
    db.apply("0004_search_down")
