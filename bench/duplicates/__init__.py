"""How well are duplicates found, and in what time? `python -m bench.duplicates --help`."""
