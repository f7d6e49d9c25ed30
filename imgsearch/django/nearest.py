"""The statement behind `similar_to()`: Django compiles the candidates, imgsearch's SQL ranks them, a join brings both.

A queryset keeps its own SELECT, joins and slice. The compiler knows the slice, so only here is it known how many
nearest images are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connections
from django.db.models import Func
from django.db.models.expressions import F, Value
from django.db.models.fields import CharField, IntegerField, TextField, UUIDField
from django.db.models.functions import Cast
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.datastructures import Join
from django.db.utils import Error

from imgsearch.db.sqlstate import translate
from imgsearch.django.columns import NEAREST, Found
from imgsearch.django.mapping import DEFAULT_TENANT, Searchable
from imgsearch.django.similar import Similar
from imgsearch.django.template import Part, fill, join
from imgsearch.errors import SpaceChanged, UsageError
from imgsearch.query import Resolved
from imgsearch.retrieval.template import LARGEST_OFFSET, Slot, pieces


@dataclass(frozen=True)
class Chosen:
    """The best `most` rows of a queryset as it was when they were chosen: what comes later is done with them alone.

    most: None for every row that has a picture.
    """

    query: Query
    most: int | None


class NearestQuery(Query):
    """A query whose rows are joined to their nearest images."""

    ranks = True  # not where its candidates are compiled, as a plain Query
    similar: Similar
    chosen: Chosen | None = None

    def get_compiler(self, using: Any = None, connection: Any = None, elide_empty: bool = True) -> Any:
        return NearestCompiler(self, connection or connections[using], using, elide_empty)

    def get_aggregation(self, using: Any, aggregate_exprs: Any) -> Any:
        self.distinct: bool = self.distinct or _multiplies(self)
        return super().get_aggregation(using, aggregate_exprs)


class NearestCompiler(SQLCompiler):
    """Compiles the queryset as Django does, with one more join: the candidates, ranked."""

    _before: Any = None
    _wanted: int | None = None

    @cached_property
    def asked(self) -> Resolved:
        """Return the question, asked once for all places that name it."""
        similar: Similar = self.query.similar
        return similar.resolve()

    def as_sql(self, with_limits: bool = True, with_col_aliases: bool = False) -> Any:
        if self.connection.vendor != "postgresql":
            raise UsageError(f"similar_to() needs Postgres; {self.using!r} is {self.connection.vendor}.")
        chosen = self.query.chosen
        self._before = (chosen.query if chosen else self.query).clone()  # what follows adds the joins of the SELECT
        last = chosen.most if chosen else self.query.high_mark if with_limits else None
        self._wanted = last if last is None or last <= LARGEST_OFFSET else None
        self.query.distinct = self.query.distinct or _multiplies(self.query)
        return super().as_sql(with_limits, with_col_aliases)

    def get_from_clause(self) -> Any:
        result, params = super().get_from_clause()
        ranked, same = self._rank(self._wanted), self._same()
        name = self.connection.ops.quote_name(NEAREST)
        result.append(f"INNER JOIN ({ranked.sql}) {name} ON ({same.sql})")
        return result, [*params, *ranked.params, *same.params]

    def execute_sql(self, *args: Any, **options: Any) -> Any:
        anew = self.query.clone()
        try:
            return super().execute_sql(*args, **options)
        except Error as error:
            typed = translate(error.__cause__) if error.__cause__ is not None else None
            if isinstance(typed, SpaceChanged) and not self.connection.in_atomic_block:
                # Another model took over between the question and this statement: it is asked anew, of the new one.
                return anew.get_compiler(self.using, self.connection).execute_sql(*args, **options)
            if typed is None:
                raise
            raise typed from error

    def _same(self) -> Part:
        """Return the condition that a row is one that was found: by its own pictures, or by those it falls back on."""
        name, meta = self.connection.ops.quote_name, self.query.model._meta  # noqa: SLF001
        row = self.quote_name_unless_alias(self.query.get_initial_alias())
        mapping, found = self.query.similar.searchable, Part(f"{name(NEAREST)}.key", ())
        if len(meta.pk_fields) > 1:
            return _same_parts(found, row, meta.pk_fields, self.connection)
        parts = {"found": found, "key": Part(f"{row}.{name(meta.pk.column)}", ())}
        if not mapping.fallback:
            return fill("same", parts)
        parts["other"] = Part(f"{row}.{name(meta.get_field(mapping.fallback).column)}", ())
        parts["has_none"] = _has_none(mapping, parts["key"])
        return fill("same_or_other", parts)

    def _rank(self, wanted: int | None) -> Part:
        """Return the statement that ranks the candidates: the nearest `wanted`, or all of them."""
        similar, resolved = self.query.similar, self.asked
        parts = {
            "candidates": self._candidates(),
            "kept": _kept(resolved, similar),
            **_joins(self.query.model, self.connection, similar.searchable),
        }
        return fill("ranked", {"found": _found(parts, resolved, wanted, similar), "key": parts["key"]})

    def _candidates(self) -> Part:
        """Compile the queryset's own filters into SELECT key, tenant."""
        similar, query = self.query.similar, self._before
        query.__class__ = Query
        query.clear_ordering(force=True)
        query.clear_limits()
        query.select_for_update, query.explain_info = False, None
        query.annotations = {name: e for name, e in query.annotations.items() if not _mentions_distance(e)}
        tenant: Any = Value(similar.tenant or DEFAULT_TENANT, output_field=TextField())
        if similar.tenant is None and similar.searchable.tenant:
            tenant = F(similar.searchable.tenant)
        query.add_annotation(_key(query.model), "imgsearch_key")
        query.add_annotation(tenant, "imgsearch_tenant")
        named = ["imgsearch_key", "imgsearch_tenant"]
        if similar.searchable.fallback:
            query.add_annotation(F(similar.searchable.fallback), "imgsearch_other")
            named.append("imgsearch_other")
        query.set_values(named)
        query.distinct = _multiplies(self.query)
        sql, params = query.get_compiler(connection=self.connection, elide_empty=self.elide_empty).as_sql()
        statement = "candidates_of_others" if similar.searchable.fallback else "candidates"
        has_none = _has_none(similar.searchable, Part("k.key", ()))
        return fill(statement, {"compiled": Part(sql, tuple(params)), "has_none": has_none})


# How the key in a product_id, a text, finds the primary key through its index. One that is no such key finds nothing.
_KEYS: dict[str, str] = {
    "integer": "pictured_integer",
    "uuid": "pictured_uuid",
    "text": "pictured_text",
}


def _joins(model: Any, connection: Any, mapping: Searchable) -> dict[str, Part]:
    """Return the join from a candidate to its images, from a picture to its candidate, and the key of what is found."""
    if mapping.pictures:
        found = {"from_candidate": "i.image_id = c.key", "from_image": "true", "key": "f.image_id"}
        return {name: Part(text, ()) for name, text in found.items()}
    fields = model._meta.pk_fields  # noqa: SLF001
    field = fields[0] if len(fields) == 1 else TextField()
    while field.remote_field:
        field = field.target_field
    kinds = {"integer": IntegerField, "uuid": UUIDField, "text": (TextField, CharField)}
    kind = next((name for name, classes in kinds.items() if isinstance(field, classes)), "")
    named = Part("i.product_id", ())
    if mapping.prefix:
        named = Part("substr(i.product_id, %s)", (len(mapping.prefix) + 1,))
    return {
        "from_candidate": Part("i.product_id = pg_catalog.normalize(%s || c.key::text)", (mapping.prefix,)),
        "from_image": fill(_KEYS[kind], {"key": named}) if kind else Part("true", ()),
        "key": Part(f"f.label::{field.cast_db_type(connection)}", ()),
    }


def _key(model: Any) -> Any:
    """Return the primary key of a row; a composite one as the text that product_id says."""
    fields = model._meta.pk_fields  # noqa: SLF001
    if len(fields) == 1:
        return F("pk")
    parts = [Func(Cast(F(one.name), TextField()), function="imgsearch_internal.key_escaped") for one in fields]
    return Func(*parts, template="%(expressions)s", arg_joiner=" || '/' || ", output_field=TextField())


def _same_parts(found: Part, row: str, fields: Any, connection: Any) -> Part:
    """Return the condition that a row has the composite key that was found, which its index can answer."""
    name = connection.ops.quote_name
    conditions = (
        fill(
            "same_part",
            {
                "found": found,
                "column": Part(f"{row}.{name(one.column)}", ()),
                "place": Part(str(place), ()),
                "kind": Part(one.cast_db_type(connection) or "text", ()),
            },
        ).sql
        for place, one in enumerate(fields, 1)
    )
    return Part(" AND ".join(conditions), ())


def _has_none(mapping: Searchable, key: Part) -> Part:
    return fill("has_none", {"prefix": Part("%s", (mapping.prefix,)), "key": key})


def _kept(resolved: Resolved, similar: Similar) -> Part:
    """Return the condition that leaves out what was rejected, and duplicates or all others."""
    kept = Part("true", ())
    if resolved.rejected or resolved.products:
        left_out = (list(resolved.rejected), list(resolved.products))
        kept = Part("i.image_id <> ALL (%s::bigint[]) AND i.product_id <> ALL (%s::text[])", left_out)
    if similar.duplicates is None:
        return kept
    return fill("marked" if similar.duplicates else "unmarked", {"kept": kept})


def _found(parts: dict[str, Part], resolved: Resolved, last: int | None, similar: Similar) -> Part:
    """Return the search itself, the statement of every nearest(), over the images of these candidates."""
    slots = {
        "query": Part("imgsearch_internal.as_vector(%s)", (resolved.vector,)),
        "candidates": fill("pictures", parts),
        "sampled": fill("sampled", parts),
        "last": Part("%s", (last,)),
        "space": Part("%s", (resolved.space_id,)),
        "max_distance": Part("%s", (similar.max_distance,)),
    }
    groups = 0 if similar.searchable.pictures else 1
    statement = pieces(last=last, repeats=True, names=frozenset(), groups=groups)
    return join(slots[piece.name] if isinstance(piece, Slot) else Part(piece, ()) for piece in statement)


def _multiplies(query: Any) -> bool:
    """Return whether a join can make several rows of one: then each is taken once."""
    if query.group_by is not None:
        return False
    joins = (join for alias, join in query.alias_map.items() if query.alias_refcount[alias] and isinstance(join, Join))
    return any(join.join_field.one_to_many or join.join_field.many_to_many for join in joins)


def _mentions_distance(expression: Any) -> bool:
    if isinstance(expression, Found):
        return True
    return any(_mentions_distance(part) for part in expression.get_source_expressions() if part is not None)
