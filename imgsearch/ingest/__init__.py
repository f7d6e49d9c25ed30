"""What comes in: uploads, catalogue files, attached tables, and the queue of record."""
