"""What a folder of a backup holds: written last, so that a folder without it is a backup that was not finished."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imgsearch.errors import BackupDamaged, UsageError

NAME, DUMP, PICTURES, LIST = "manifest.json", "database.dump", "pictures", "pictures.txt"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """`settings`: what ALTER DATABASE … SET said, name → value. `pictures`: copied, listed or none."""

    taken_at: str
    release: str
    server: int
    pgvector: str
    images: int
    pictures: str
    objects: int
    size: int
    dump_sha256: str
    settings: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    format: int = FORMAT
    pgvector_schema: str = ""  # "" in a backup of before this was noted

    def write(self, folder: Path) -> None:
        """Write it in one step."""
        unfinished = folder / f"{NAME}.part"
        unfinished.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / NAME)


def read(folder: Path) -> Manifest:
    """Return what a folder holds. Raises UsageError for one without a backup, BackupDamaged for half of one."""
    if not (folder / NAME).is_file():
        if (folder / DUMP).exists() or (folder / f"{DUMP}.part").exists():
            raise BackupDamaged(f"The backup in {folder} was not finished: run `imgsearch backup {folder}` again.")
        raise UsageError(f"There is no backup in {folder}: it has no {NAME}.")
    try:
        values: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
        found = Manifest(**values | {"missing": tuple(values.get("missing", ()))})
    except (ValueError, TypeError) as error:
        raise BackupDamaged(f"{folder / NAME} cannot be read ({error}); take another backup.") from error
    if found.format != FORMAT:
        raise UsageError(f"The backup in {folder} is of format {found.format}, this version reads {FORMAT}.")
    return found


def is_ours(name: str) -> bool:
    """Return whether a backup writes a file or folder of this name."""
    return name.removesuffix(".part") in (NAME, DUMP, PICTURES, LIST)


def verify(folder: Path, found: Manifest) -> None:
    """Raises BackupDamaged when the dump is not what was written."""
    dump = folder / DUMP
    if not dump.is_file():
        raise BackupDamaged(f"{dump} is missing; take another backup. Nothing was restored.")
    if digest(dump) != found.dump_sha256:
        raise BackupDamaged(f"{dump} has other bytes than were written; take another backup. Nothing was restored.")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
