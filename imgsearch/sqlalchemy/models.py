"""The tables of schema imgsearch as SQLAlchemy models, for select(Image) and joins to the caller's own tables.

The migrations make the tables; these models only describe what a caller may use, so they have no `create_all`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    Float,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    and_,
    cast,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, foreign, mapped_column, relationship, remote

SCHEMA = "imgsearch"

JobState = Literal["pending", "leased", "failed"]
SpaceState = Literal["building", "active", "standby"]

metadata = MetaData(schema=SCHEMA)


class Base(DeclarativeBase):
    """The models of imgsearch, on a MetaData of their own: a shop's create_all and autogenerate leave them alone."""

    metadata = metadata
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own protocol
        str: Text,
        JobState: Text,
        SpaceState: Text,
        float: Float(53),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
    }


class Image(Base):
    """One picture: what you filter on. Vectors and bits are reached through `nearest()` alone."""

    __tablename__ = "image"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    product_id: Mapped[str]
    position: Mapped[int] = mapped_column(server_default=FetchedValue())
    category: Mapped[str | None]
    categories: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # where it has several
    price: Mapped[float | None]
    in_stock: Mapped[bool] = mapped_column(Boolean, server_default=FetchedValue())
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default=FetchedValue())
    uri: Mapped[str]
    sha256: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    attachment_id: Mapped[int | None]
    incomplete: Mapped[bool] = mapped_column(Boolean, server_default=FetchedValue())

    if TYPE_CHECKING:  # assigned below, where both tables are there
        is_duplicate: Mapped[bool]
        """Whether it is marked as certainly the same as another one; `where(~Image.is_duplicate)` leaves those out."""


class Job(Base):
    """One picture that waits, is leased or has failed, in one space; see `imgsearch.ingest.queue`."""

    __tablename__ = "job"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    space_id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[JobState] = mapped_column(server_default=FetchedValue())
    due: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    lease: Mapped[datetime | None]
    token: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    worker: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=FetchedValue())
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class Space(Base):
    """Where vectors are comparable: one row per model; see `imgsearch.space`."""

    __tablename__ = "space"

    space_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default=FetchedValue())
    state: Mapped[SpaceState] = mapped_column(server_default=FetchedValue())
    model: Mapped[str]
    revision: Mapped[str]
    fingerprint: Mapped[str]
    dimension: Mapped[int]
    preprocessing: Mapped[str]
    mean: Mapped[Any] = mapped_column(HALFVEC)
    mean_text: Mapped[Any | None] = mapped_column(HALFVEC)
    probe_picture: Mapped[Any | None] = mapped_column(HALFVEC)
    probe_text: Mapped[Any | None] = mapped_column(HALFVEC)
    reads_texts: Mapped[bool] = mapped_column(server_default=FetchedValue())
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=FetchedValue())
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    activated_at: Mapped[datetime | None]
    share: Mapped[float] = mapped_column(server_default=FetchedValue())
    filled_to: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    filled_at: Mapped[datetime | None]
    filling: Mapped[dict[str, Any] | None]
    rotation: Mapped[int | None] = mapped_column(BigInteger)
    signs: Mapped[Any | None] = mapped_column(ARRAY(HALFVEC))


class QueryVector(Base):
    """A text or picture already searched for, and its vector; see `imgsearch.query.cache`."""

    __tablename__ = "query_vector"

    tenant_id: Mapped[str] = mapped_column(primary_key=True, server_default=FetchedValue())
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    space_id: Mapped[int] = mapped_column(primary_key=True)
    query: Mapped[str | None]
    picture: Mapped[bytes | None]
    embedding: Mapped[Any | None] = mapped_column(HALFVEC)
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    claimed: Mapped[datetime | None]
    asked_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    answered_at: Mapped[datetime | None]
    ticket: Mapped[str] = mapped_column(Uuid(as_uuid=False), server_default=FetchedValue())


class Worker(Base):
    """A worker's sign of life."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    space_id: Mapped[int | None]
    started_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    seen_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    forward_at: Mapped[datetime | None]


def pictures_of(key: Callable[[], Any], *, tenant: Callable[[], Any] | None = None, prefix: str = "") -> Any:
    """Return a relationship from a model of yours to its images, read-only, in the order of their positions.

        class Product(Base):
            images: Mapped[list[Image]] = pictures_of(lambda: Product.id, tenant=lambda: Product.store)

    key: the column whose value is `product_id`; tenant: the tenant's (else it is "default"); prefix: as in attach().
    Then `select(Product, Image).join(Product.images)` is a SELECT that `nearest()` extends.
    """

    def joined() -> Any:
        product = cast(key(), Text) if not prefix else literal(prefix, Text) + cast(key(), Text)
        owner = literal("default", Text) if tenant is None else cast(tenant(), Text)
        return and_(remote(foreign(Image.product_id)) == product, remote(foreign(Image.tenant_id)) == owner)

    return relationship(Image, primaryjoin=joined, viewonly=True, uselist=True, order_by=Image.position)


# The view of the active space's vectors. A Table and not a model: nobody writes to it.
vectors = Table(
    "vectors",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("image_id", BigInteger, primary_key=True),
    Column("sha256", LargeBinary),
    Column("embedding", HALFVEC),
    info={"is_view": True},
)

# What was found to be twice here. A Table and not a model: workers and `imgsearch duplicates` write it.
duplicate = Table(
    "duplicate",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("image_id", BigInteger, primary_key=True),
    Column("original", BigInteger, primary_key=True),
    Column("tier", Text),
)
Image.is_duplicate = column_property(
    select(literal_column("1"))
    .where(
        duplicate.c.tenant_id == Image.tenant_id,
        duplicate.c.image_id == Image.image_id,
        duplicate.c.tier == literal_column("'certain'"),
    )
    .correlate_except(duplicate)
    .exists(),
    deferred=True,
)

__all__ = ["SCHEMA", "Base", "Image", "Job", "QueryVector", "Space", "Worker", "metadata", "pictures_of", "vectors"]
