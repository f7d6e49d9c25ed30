"""Where picture bytes live and how they are fetched."""
