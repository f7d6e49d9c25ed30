"""A worker as a process: start, wake-ups, health, logs."""
