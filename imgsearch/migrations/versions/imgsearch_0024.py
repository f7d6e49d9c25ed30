"""Table step 0024_dismissals."""

from __future__ import annotations

from alembic import op

from imgsearch.sqlalchemy.alembic import upgrade_schema

revision = "imgsearch_0024"
down_revision = "imgsearch_0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_schema(op.get_context())


def downgrade() -> None:
    """Steps go forward only; the baseline's downgrade removes everything."""
