"""Table step 0001, and everything that is applied whole; nothing is left to do after `imgsearch db upgrade`."""

from __future__ import annotations

from alembic import op

from imgsearch.schema import migrate

revision = "imgsearch_0001"
down_revision = None
branch_labels = ("imgsearch",)
depends_on = None


def upgrade() -> None:
    migrate.upgrade(op.get_bind())


def downgrade() -> None:
    migrate.remove(op.get_bind())
