"""The SQLAlchemy interface: models, and imgsearch inside a host's Alembic history."""
