"""Walls between tenants: row-level security and roles."""

from __future__ import annotations

from imgsearch import db

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0005_walls")


def downgrade() -> None:
    db.apply("0005_walls_down")
