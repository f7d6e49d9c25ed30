"""The tables."""

from __future__ import annotations

from imgsearch import db

revision = "0001"
down_revision = None
branch_labels = ("imgsearch",)
depends_on = None


def upgrade() -> None:
    db.require_pgvector()
    db.apply("0001_schema")


def downgrade() -> None:
    db.apply("0001_schema_down")
