"""Keys of the HTTP API, and what the page counts and lists."""

from __future__ import annotations

from imgsearch import db

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("0006_keys")
    db.apply("0006_facets")


def downgrade() -> None:
    db.apply("0006_keys_down")
