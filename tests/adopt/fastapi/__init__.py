"""FastAPI on asyncpg with SQLAdmin, from PyPI, with image search attached: `make adopt`."""
