"""Duplicates as a page that stands alone: each group with its pictures, to look through."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from html import escape
from itertools import groupby
from typing import Any

from imgsearch.errors import ImgsearchError
from imgsearch.ops.duplicates import Listed
from imgsearch.picture.pixels import thumbnail
from imgsearch.storage import Store
from imgsearch.storage.store import uri_of

_TURNS = {
    2: "mirrored",
    3: "upside down",
    4: "mirrored, upside down",
    5: "turned",
    6: "turned",
    7: "turned",
    8: "turned",
}
_TIERS = {"certain": "The same picture", "look": "To be looked at"}
_STYLE = """body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}
h2{margin:2rem 0 .5rem}section{display:flex;flex-wrap:wrap;gap:1rem;padding:.75rem 0;border-top:1px solid #ddd}
figure{margin:0;width:160px}img,.none{width:160px;height:160px;object-fit:contain;background:#f4f4f4}
.none{display:block}figcaption{overflow-wrap:anywhere}figure:first-child figcaption{font-weight:600}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}section{border-color:#444}img,.none{background:#222}}"""


def report(found: Sequence[Listed], store: Store, *, left_out: int = 0) -> str:
    """Return an HTML page of what was found, with a thumbnail of each picture inside it: nothing else is loaded."""
    parts = [f"<p>{len(found)} pictures show what another one shows.</p>"]
    if left_out:
        parts.append(f"<p>{left_out} more are not on this page.</p>")
    shown = partial(_shown, store=store)
    for tier, of_tier in groupby(sorted(found, key=_order), key=lambda one: one.tier):
        parts.append(f"<h2>{_TIERS[tier]}</h2>")
        for _, group in groupby(of_tier, key=lambda one: (one.tenant_id, one.original)):
            members = list(group)
            first = members[0]
            original = _figure(shown(first.original_sha256), first.original_product, first.tenant_id)
            parts.append(f"<section>{original}{''.join(_member(one, shown(one.sha256)) for one in members)}</section>")
    head = f'<meta charset="utf-8"><title>Duplicates</title><style>{_STYLE}</style>'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body><h1>Duplicates</h1>{"".join(parts)}</body></html>\n'
    )


def _order(one: Listed) -> tuple[Any, ...]:
    return one.tier, one.tenant_id, one.original, one.distance or 0, one.image_id


def _member(one: Listed, source: str) -> str:
    said = [f"{one.distance} bits" if one.distance is not None else "", _TURNS.get(one.turn or 1, "")]
    said.append(f"cosine {one.similarity:.3f}" if one.similarity is not None else "")
    return _figure(source, one.product_id, ", ".join(filter(None, said)))


def _figure(source: str, product: str, said: str) -> str:
    picture = f'<img src="{source}" alt="{escape(product)}" loading="lazy">' if source else '<span class="none"></span>'
    return f"<figure>{picture}<figcaption>{escape(product)}<br>{escape(said)}</figcaption></figure>"


def _shown(sha256: str, store: Store) -> str:
    """Return a thumbnail as an address that holds it; empty where the store has no such picture."""
    digest = bytes.fromhex(sha256)
    try:
        try:
            data = store.get_thumbnail(digest)
        except ImgsearchError:
            data = thumbnail(store.get(uri_of(digest)))
    except ImgsearchError:
        return ""
    return f"data:image/webp;base64,{b64encode(data).decode()}"
