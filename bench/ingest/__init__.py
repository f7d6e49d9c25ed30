"""How fast do pictures become searchable, and what does each step cost? `python -m bench.ingest` measures."""
