"""Does ingest lose a picture when everything around it is killed? `python -m bench.soak` tries, and counts."""
