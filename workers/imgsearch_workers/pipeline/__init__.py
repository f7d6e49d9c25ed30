"""From a claimed job to a delivered vector."""
