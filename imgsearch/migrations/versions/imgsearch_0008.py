"""Table step 0008_votes."""

from __future__ import annotations

from alembic import op

from imgsearch.schema import migrate

revision = "imgsearch_0008"
down_revision = "imgsearch_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    migrate.upgrade(op.get_bind())


def downgrade() -> None:
    """Steps go forward only; the baseline's downgrade removes everything."""
