"""Software that nobody here wrote, as PyPI has it, with image search attached: `make adopt`."""
