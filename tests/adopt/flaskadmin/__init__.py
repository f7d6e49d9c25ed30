"""Flask-Admin over Flask-SQLAlchemy, from PyPI, with image search attached: `make adopt`."""
