"""How objects live in a folder: plain files, each one whole or absent, also after a power cut.

Plain system calls instead of obstore's LocalStore: that reads more slowly and does not fsync, so a power cut could
leave an empty file under a final name.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage.objects import Entry

UNFINISHED = ".unfinished"  # a folder beside the objects: renaming within one file system is atomic


class Files:
    """Objects as files below `root` (an absolute path, made on the first write)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}/"

    def read(self, key: str, max_bytes: int) -> bytes:
        with self._speaking(key):
            descriptor = os.open(self._prefix + key, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                if size > max_bytes:
                    raise FetchRefused(
                        f"{key} has {size} bytes, more than the {max_bytes} allowed; use a smaller picture."
                    )
                # Objects never grow in place: a short read means the disk failed us, not that more is coming.
                data = os.read(descriptor, size)
            finally:
                os.close(descriptor)
        if len(data) != size:
            raise StoreError(f"Only {len(data)} of {size} bytes of {key} could be read; check the disk and try again.")
        return data

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        final = self.root / key
        unfinished = self.root / UNFINISHED / secrets.token_hex(16)
        with self._speaking(key):
            self._make(unfinished.parent)
            self._make(final.parent)
            try:
                with unfinished.open("xb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                unfinished.rename(final)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            if durable:
                _sync_folder(final.parent)

    def stat(self, key: str) -> Entry | None:
        with self._speaking(key):
            try:
                found = (self.root / key).stat()
            except FileNotFoundError:
                return None
        return Entry(key, found.st_size, _time(found))

    def renew(self, key: str, data: bytes) -> None:
        with self._speaking(key):
            try:
                os.utime(self.root / key)
                return
            except FileNotFoundError:
                pass  # swept between our look and now: write it again
        self.write(key, data)

    def delete(self, key: str) -> None:
        with self._speaking(key):
            (self.root / key).unlink(missing_ok=True)

    def delete_older(self, key: str, before: datetime) -> bool:
        # Moved aside first, looked at second: a `renew` in between is either seen here (and the file put back)
        # or finds no file and writes it again. Looking first would leave a gap in which an upload is lost.
        aside = self.root / UNFINISHED / secrets.token_hex(16)
        with self._speaking(key):
            self._make(aside.parent)
            try:
                (self.root / key).rename(aside)
            except FileNotFoundError:
                return False
            if _time(aside.stat()) >= before:
                aside.rename(self.root / key)
                return False
            aside.unlink()
        return True

    def entries(self, under: str = "") -> Iterator[Entry]:
        folders = [under]
        while folders:
            folder = folders.pop()
            with self._speaking(folder or "the folder"):
                if not (self.root / folder).is_dir():
                    continue
                listing = list(os.scandir(self.root / folder))
            for item in listing:
                if item.is_dir(follow_symlinks=False):
                    if item.name != UNFINISHED:
                        folders.append(f"{folder}{item.name}/")
                    continue
                try:
                    found = item.stat()
                except FileNotFoundError:
                    continue  # deleted while we walk
                yield Entry(folder + item.name, found.st_size, _time(found))

    def sweep_unfinished(self, before: datetime) -> int:
        folder = self.root / UNFINISHED
        gone = 0
        with self._speaking(UNFINISHED):
            for path in folder.iterdir() if folder.is_dir() else ():
                if _time(path.stat()) < before:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(key, error) from error

    def _translated(self, key: str, error: OSError) -> StoreError:
        if isinstance(error, FileNotFoundError):
            if not self.root.is_dir():
                # A folder that is not mounted must not make every picture look lost.
                return StoreError(f"The folder {self.root} is not there; mount it or check IMGSEARCH_STORAGE_URL.")
            return ObjectMissing(f"There is no {key} in {self.root}; add the picture again.")
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return StoreDenied(f"{self.root} refuses us {key} ({error.strerror}); check owner and mode of the folder.")
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return StoreError(f"There is no space left for {key} in {self.root}; make room and try again.")
        return StoreError(f"{key} in {self.root} cannot be used ({error.strerror}); check the disk and try again.")


def _time(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _sync_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power cut: the file's own fsync does not cover its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
