"""${message}

A migration orders one .sql file of imgsearch/db/sql. It must not lock a table for long, and the previous version of
the code must keep working beside it.
"""

from __future__ import annotations

from imgsearch import db

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    db.apply("${up_revision}_${slug}")


def downgrade() -> None:
    db.apply("${up_revision}_${slug}_down")
