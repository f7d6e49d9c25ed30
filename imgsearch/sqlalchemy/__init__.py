"""The SQLAlchemy door: models, and imgsearch inside a host's Alembic history."""
