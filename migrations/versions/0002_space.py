"""Spaces and the triggers that keep them true."""

from __future__ import annotations

from imgsearch import db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0002_space")


def downgrade() -> None:
    db.apply("0002_space_down")
