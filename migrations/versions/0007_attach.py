"""Tables of the shop's own, kept in step by triggers."""

from __future__ import annotations

from imgsearch import db

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("mapping", "follow", "attach", "drift"):
        db.apply(f"0007_{part}")


def downgrade() -> None:
    db.apply("0007_attach_down")
