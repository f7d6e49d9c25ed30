"""Who asks: a tenant and what it may do. The tenant comes from here, never from the request."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch.ops.api_keys import SCOPES, Scope


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Somebody who asks. `tenant` None means all tenants: an open, loopback-only site, or your own decision."""

    tenant: str | None
    scope: Scope = "search"
    name: str = ""

    def may(self, scope: Scope) -> bool:
        """Answer whether `scope` is within what was granted."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


EVERYBODY = Identity(tenant=None, scope="admin", name="everybody on this machine")
