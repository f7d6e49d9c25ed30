"""Which settings the embedded Postgres runs with, and why."""

from __future__ import annotations

import os
from pathlib import Path

MEGABYTE = 1 << 20

Row = tuple[str, str, str]  # setting, value, reason


def machine_memory() -> int:
    """Return the memory this process may count on, in MB: the machine's, or its container's where that is less."""
    pages: int = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [pages]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits) // MEGABYTE


def _shared_memory() -> int | None:
    """Return the size of /dev/shm in MB, or None where there is none (macOS)."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108  # asked for its size, nothing is written
    except OSError:
        return None
    return found.f_frsize * found.f_blocks // MEGABYTE


def rows(memory_mb: int | None, durable: bool) -> list[Row]:
    """Return the settings of a server that may count on `memory_mb` (default: this machine's)."""
    if memory_mb is None:
        memory_mb = max(1024, machine_memory())
    shared = min(memory_mb // 4, 4096)
    maintenance = min(max(memory_mb // 8, 32), 2048)
    cached = memory_mb // 2
    table = [
        (
            "shared_buffers",
            f"{shared}MB",
            "25 % of memory; beyond 4 GB the page cache does as well and workers need it",
        ),
        ("maintenance_work_mem", f"{maintenance}MB", "an HNSW build that outgrows it becomes many times slower"),
        (
            "autovacuum_work_mem",
            f"{min(maintenance, 128)}MB",
            "up to three run at once; they must not each take the above",
        ),
        ("effective_cache_size", f"{cached}MB", "half of memory: the model in the workers has the other half"),
        ("jit", "off", "compiling costs more than any of our statements runs"),
        ("random_page_cost", "1.1", "laptops and CI have SSDs; 4 would make index probes look dear"),
        ("max_wal_size", "2GB", "a bulk load with an HNSW writes 41 kB of WAL per row; fewer forced checkpoints"),
        ("checkpoint_timeout", "15min", "the same; the cost is a longer recovery after a crash"),
        ("checkpoint_completion_target", "0.9", "spread the writes, so that searches do not stall"),
        ("wal_compression", "on", "full-page images of HNSW pages shrink well; this build has pglz only"),
        ("max_connections", "100", "web processes, workers and a console or two; more wants a pooler"),
        ("synchronous_commit", "on", "a picture whose commit was answered must be there after a power cut"),
        ("log_checkpoints", "off", "nobody reads them on a laptop, and the log is never rotated while running"),
        ("log_line_prefix", "'%m [%p] %a '", "when, which process, which part of imgsearch"),
    ]
    if not durable:
        table += [
            ("fsync", "off", "a test's data may die with the machine; never for a user's"),
            ("full_page_writes", "off", "only useful with fsync"),
        ]
    shm = _shared_memory()
    if shm is not None and shm < maintenance + 64:
        table.append(
            ("dynamic_shared_memory_type", "mmap", f"shared memory is {shm} MB: a parallel HNSW build would fail")
        )
    return table


def addresses(folder: Path, address: str, port: int) -> list[Row]:
    """Return the settings that say where the server listens; `address` is empty for the socket alone."""
    quoted = str(folder).replace("'", "''").replace('"', '""')  # a list: the name stands in both kinds of quotes
    return [
        ("unix_socket_directories", f"'\"{quoted}\"'", "a private folder: who reaches it needs no password"),
        ("listen_addresses", f"'{address}'", "no TCP unless asked for, and then the loopback only"),
        ("port", str(port), "part of the socket's name"),
    ]


def text(table: list[Row]) -> str:
    """Return the file that Postgres includes."""
    head = "# Written anew by imgsearch at every start. For settings of your own use ALTER SYSTEM: it wins over these."
    return "\n".join([head, *(f"{name} = {value}  # {reason}" for name, value, reason in table), ""])
