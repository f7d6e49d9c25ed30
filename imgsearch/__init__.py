"""Image search inside Postgres: one noun, a vector beside your row, and one verb, anything → vector."""
