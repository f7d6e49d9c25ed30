"""Who asks: a tenant and what it may do. The tenant comes from here, never from the request."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch.errors import UsageError
from imgsearch.ops.api_keys import SCOPES, Scope
from imgsearch.retrieval.filters import Filters


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Somebody who asks. `tenant` None means all tenants: an open, loopback-only site, or your own decision.

    name: who it is, for example your user's id: each name has a rate limit of its own.
    limits: filters that every search is kept within, whatever is asked; for scope search.
    """

    name: str
    tenant: str | None
    scope: Scope = "search"
    limits: Filters | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError("An Identity needs a name, for example your user's id: each has a rate limit of its own.")
        if self.limits is not None and self.scope != "search":
            raise UsageError("Limits keep searches within bounds: an Identity that has some has scope search.")

    def may(self, scope: Scope) -> bool:
        """Return whether `scope` is within what was granted."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


EVERYBODY = Identity(tenant=None, scope="admin", name="everybody on this machine")
