"""Every error imgsearch raises on purpose, in one tree.

    ImgsearchError                      exit  http
    ├── SettingsError                      2   500   a setting is missing or makes no sense
    ├── ExtraMissing                       2   500   an optional part is not installed
    ├── UsageError                         2   400   the caller asked for something impossible
    │   ├── QueryError                     2   400   an empty, too long or otherwise unusable query
    │   │   ├── VectorError                2   400   wrong dimension, zero or NaN
    │   │   ├── UnknownImage               4   404   no such image, or it has no vector yet
    │   │   ├── RegionError                2   400   a region that is no part of its picture
    │   │   └── TextsNotUnderstood         2   400   a text asked of a model that sees pictures only
    │   ├── FilterError                    2   400   a filter that cannot be understood
    │   ├── AttachmentError                2   400   a table that cannot be attached, or not so
    │   ├── CalibrationError               2   400   judgements of which nothing can be learnt
    │   ├── JudgementError                 2   400   judgements that cannot be read or say nothing
    │   ├── UnknownSpace                   4   404   no space has this name or number
    │   ├── SpaceTaken                     2   400   a space of this name, or of this very model, is there already
    │   ├── SpaceNotFull                   2   400   a space that would find fewer images than the searched one
    │   ├── UnknownKey                     4   404   no API key has this handle
    │   ├── KeyEnded                       2   401   an API key that was revoked, replaced or has expired
    │   └── CatalogueError                 2   400   a CSV/JSONL catalogue with bad rows
    ├── PictureError                       3   422   this picture will never be embedded (has a code)
    ├── StoreError                         5   503   the picture store is missing something or unreachable
    │   ├── ObjectMissing                  5   404   the store answers that the object does not exist
    │   ├── StoreDenied                    5   503   the store refuses our rights
    │   ├── FetchRefused                   3   422   an address or answer that must not be fetched
    │   └── FetchFailed                    5   424   the address that a user gave did not give a picture
    ├── DatabaseError                      5   503   the database cannot be used as it is
    │   ├── DatabaseUnreachable            5   503
    │   ├── DatabaseRights                 5   503   the role lacks a right
    │   ├── ExtensionMissing               5   503   pgvector absent or too old
    │   ├── ReadOnlyDatabase               5   503   a replica was asked for what only a primary can do
    │   ├── DiskFull                       5   503   no room is left where the database writes
    │   ├── SchemaBehind                   5   503   migrations are not applied
    │   ├── SchemaBusy                     5   503   a change of the schema finds no moment to lock what it changes
    │   ├── SchemaAhead                    5   503   the schema is of a release this code cannot work with
    │   └── BackupDamaged                  5   503   a backup lacks a part, or has other bytes than were written
    ├── SpaceError                         5   503   vectors would not be comparable
    │   ├── NoSpace                        5   503   no active space yet: no worker has started
    │   ├── SpaceMismatch                  5   503   this model is not the one the space was made with
    │   ├── SpaceChanged                   5   503   another space became the searched one while a query was asked
    │   ├── SpaceBusy                      5   503   a change of spaces has to wait for others
    │   └── SpaceGone                      5   503   the space was dropped
    ├── ModelError                         5   503   the model cannot be loaded or answers nonsense
    ├── QueryTimeout                       6   504   nobody embedded the query in time
    │   └── NoQueryWorker                  6   503   nobody is there who could
    ├── Busy                               6   503   as many requests wait as may
    └── EmbeddedError                      5   500   an embedded server cannot be started

The class docstring is the default message; every message ends with what to do next. `exit_code` is the CLI's.
"""

from __future__ import annotations

from typing import ClassVar


class ImgsearchError(Exception):
    """Something went wrong in imgsearch."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retry_after: float | None = None  # seconds after which it is worth trying again, where that is known

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.retry_after = retry_after or type(self).retry_after


class SettingsError(ImgsearchError):
    """A setting is missing or makes no sense; `imgsearch --help` lists them all."""

    exit_code = 2


class ExtraMissing(ImgsearchError):
    """An optional part of imgsearch is not installed; see the message for the command."""

    exit_code = 2


class UsageError(ImgsearchError):
    """The request cannot be carried out; see the message."""

    exit_code, http_status = 2, 400


class QueryError(UsageError):
    """The query is empty, too long or otherwise unusable."""


class VectorError(QueryError):
    """The query vector has the wrong dimension, is zero or holds NaN; use a vector of the active space."""


class UnknownImage(QueryError):
    """There is no such image, or it has no vector yet; look at imgsearch.status."""

    exit_code, http_status = 4, 404


class RegionError(QueryError):
    """The region is no part of the picture; give x, y, w, h within it, as shares from 0 to 1 or in pixels."""


class TextsNotUnderstood(QueryError):
    """The model of this space sees pictures only; ask with a picture, or by words alone (look_weight 0)."""


class FilterError(UsageError):
    """A filter cannot be understood."""


class AttachmentError(UsageError):
    """The table cannot be attached like this; look at imgsearch.attachments."""


class CalibrationError(UsageError):
    """Nothing can be learnt from these judgements; judge some that fit and some that do not."""


class JudgementError(UsageError):
    """These judgements cannot be read; see `imgsearch evaluate --help`."""


class UnknownSpace(UsageError):
    """There is no such space; see `imgsearch space list`."""

    exit_code, http_status = 4, 404


class SpaceTaken(UsageError):
    """There is a space of this name or model already; see `imgsearch space list`."""


class SpaceNotFull(UsageError):
    """The space would not find all images that are found now; fill it first: `imgsearch space fill NAME`."""


class UnknownKey(UsageError):
    """There is no such API key; see `imgsearch key list`."""

    exit_code, http_status = 4, 404


class KeyEnded(UsageError):
    """The API key was revoked, replaced or has expired; make a new one with `imgsearch key create`."""

    http_status = 401


class CatalogueError(UsageError):
    """The catalogue has rows that cannot be read."""


class PictureError(ImgsearchError):
    """The picture cannot be used and will not be tried again; `code` is one of `imgsearch.picture.CODES`."""

    exit_code, http_status = 3, 422

    def __init__(self, code: str, message: str | None = None, twin: int | None = None) -> None:
        super().__init__(message)
        self.code, self.twin = code, twin  # of the code duplicate: the image_id of the picture that is there already

    def __reduce__(self) -> tuple[type[PictureError], tuple[str, str, int | None]]:
        return type(self), (self.code, str(self), self.twin)


class StoreError(ImgsearchError):
    """The picture store cannot be reached; check IMGSEARCH_STORAGE_URL and try again."""

    exit_code, http_status = 5, 503


class ObjectMissing(StoreError):
    """The picture store has no such object; add the picture again."""

    http_status = 404


class StoreDenied(StoreError):
    """The picture store refuses our rights; check its credentials."""


class FetchRefused(StoreError):
    """This address must not be fetched; use another."""

    # `advice` is for the operator: it may name addresses and settings, so whoever gave the address never reads it.
    exit_code, http_status = 3, 422

    def __init__(self, message: str | None = None, *, advice: str = "") -> None:
        super().__init__(message or "This address must not be fetched; use another.")
        self.advice = advice


class FetchFailed(StoreError):
    """The address of the picture did not give one; check it and try again later."""

    http_status = 424


class DatabaseError(ImgsearchError):
    """The database cannot be used as it is."""

    exit_code, http_status = 5, 503


class DatabaseUnreachable(DatabaseError):
    """The database cannot be reached; check IMGSEARCH_DATABASE_URL, or unset it to use the embedded server."""


class DatabaseRights(DatabaseError):
    """The database role lacks a right; run `imgsearch db upgrade` as the owner."""


class ExtensionMissing(DatabaseError):
    """pgvector is absent or too old; an administrator runs CREATE EXTENSION vector or ALTER EXTENSION vector UPDATE."""


class ReadOnlyDatabase(DatabaseError):
    """This database only reads, as a replica does; set IMGSEARCH_PRIMARY_URL to the server that may be written to."""


class DiskFull(DatabaseError):
    """No room is left where the database writes; make some, and try again: nothing that was there is lost."""


class SchemaBehind(DatabaseError):
    """The database schema is behind this version of imgsearch; run `imgsearch db upgrade`."""


class SchemaBusy(DatabaseError):
    """A transaction of others is in the way of an upgrade; end it, or wait, then run `imgsearch db upgrade` again."""


class SchemaAhead(DatabaseError):
    """The schema is of a newer release that this version cannot work with; install the newer version."""


class BackupDamaged(DatabaseError):
    """The backup is not whole; take another one (`imgsearch backup DIR`). Nothing was restored."""


class SpaceError(ImgsearchError):
    """Vectors of different spaces are never compared."""

    exit_code, http_status = 5, 503


class NoSpace(SpaceError):
    """There is no space, because no worker has run here yet; start one (`imgsearch worker`) and it creates it."""


class SpaceMismatch(SpaceError):
    """This worker's model is not the one the active space was made with; set IMGSEARCH_MODEL to that model."""


class SpaceChanged(SpaceError):
    """Another model has just taken over; ask again."""

    retry_after = 1


class SpaceBusy(SpaceError):
    """Spaces are being changed by another session; try again when it has ended."""


class SpaceGone(SpaceError):
    """The space was dropped; give this worker another one (`imgsearch worker --space NAME`)."""


class ModelError(ImgsearchError):
    """The model cannot be loaded; check IMGSEARCH_MODEL."""

    exit_code, http_status = 5, 503


class QueryTimeout(ImgsearchError):
    """No worker embedded the query in time; is a query worker running? See imgsearch.status."""

    exit_code, http_status = 6, 504


class NoQueryWorker(QueryTimeout):
    """No query worker responds; ask again in a minute. The operator starts one: `imgsearch worker --queue queries`."""

    http_status, retry_after = 503, 5


class Busy(ImgsearchError):
    """As many requests are waiting as may; try again in a second."""

    exit_code, http_status, retry_after = 6, 503, 1


class EmbeddedError(ImgsearchError):
    """An embedded server cannot be started."""

    exit_code = 5
