"""Promotion, the doctor and explain."""

from __future__ import annotations

from imgsearch import db

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0008_promote")
    db.apply("0008_doctor")
    db.apply("0008_explain")


def downgrade() -> None:
    db.apply("0008_maintenance_down")
