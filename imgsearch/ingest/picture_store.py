"""The picture store as one database's: what it puts there is marked as its own, and only what is its own is deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from imgsearch.db import sql
from imgsearch.errors import StoreError
from imgsearch.storage import Store, owners
from imgsearch.storage.owners import Owner
from imgsearch.storage.store import Swept, sweep, uri_of

_owners: WeakKeyDictionary[Any, Owner] = WeakKeyDictionary()  # of each connection, which is asked once


def own_store(lent: psycopg.Connection[Any], store: Store) -> Store:
    """Return the store as that of this connection's database."""
    connection: Any = lent if isinstance(lent, psycopg.Connection) else lent.asynchronous
    if connection not in _owners:
        _owners[connection] = Owner(**sql.rows(lent, "upload", "owner")[0])
    return store.of(_owners[connection])


def others_of(lent: psycopg.Connection[Any], store: Store) -> list[Owner]:
    """Return which other databases keep pictures in the store; an unknown one for pictures that nobody has marked."""
    place = own_store(lent, store)
    return owners.others(place.objects, place.owner) if place.owner else []


def take_over(lent: psycopg.Connection[Any], store: Store) -> list[Owner]:
    """Make this connection's database the only owner of the store; return whose it was as well."""
    place = own_store(lent, store)
    return owners.take_over(place.objects, place.owner) if place.owner else []


def used_of(lent: psycopg.Connection[Any], digests: list[bytes]) -> set[bytes]:
    """Return those of at most 1,000 digests that some image uses."""
    uris = [uri_of(digest) for digest in digests]
    return {row["sha256"] for row in sql.rows(lent, "upload", "used", {"digests": digests, "uris": uris})}


def swept(lent: psycopg.Connection[Any], store: Store, older_than: timedelta) -> Swept:
    """Delete what no image uses. Raises StoreDenied where that may be another database's."""
    others = others_of(lent, store)
    if any(other.id != owners.UNKNOWN for other in others):
        raise owners.refused(others)

    def used(digests: list[bytes]) -> set[bytes]:
        kept = used_of(lent, digests)
        if others and len(kept) < len(digests):
            raise owners.refused(others)
        return kept

    return sweep(store, used, older_than)


class Deletion:
    """Deletes bytes that no image uses any more, until the store refuses: `error` says why the rest is still there."""

    def __init__(self, lent: psycopg.Connection[Any], store: Store) -> None:
        self._lent, self._store = lent, store
        self.objects = 0
        self.error: StoreError | None = None
        try:
            if others := others_of(lent, store):
                self.error = owners.refused(others)
        except StoreError as error:
            self.error = error

    def tell(self) -> None:
        """Raise what kept bytes from being deleted, if something did."""
        if self.error:
            raise self.error

    def delete(self, digests: list[bytes]) -> None:
        """Delete the pictures with these digests, and what was made of them."""
        try:
            for unused in set(digests) - used_of(self._lent, digests) if not self.error else ():
                self._store.delete(uri_of(unused))
                self.objects += 1
        except StoreError as error:
            self.error = error
