"""One example of what each operation takes and answers, for the OpenAPI document; a test holds them to the models."""

from __future__ import annotations

from typing import Any

Json = Any
_CURSOR = "0.4817634,42,10,5d41402a"
_TOOK = {"resolve": 0.4, "sql": 3.1, "facets": 12.5}
_COUNT: Json = {"value": "shoes", "count": 120, "approximate": False, "error": 0}
_SHOE: Json = {
    "image_id": 42,
    "product_id": "sku-1",
    "tenant_id": "acme",
    "category": "shoes",
    "categories": ["sale", "shoes"],
    "price": 39.9,
    "in_stock": True,
    "attributes": {"colour": "red", "title": "Canvas shoe"},
}
_PAGE: Json = {
    "strategy": "bits",
    "complete": True,
    "matches": 453,
    "matching_images": 1204,
    "more": True,
    "took_ms": _TOOK,
    "resolved": {"kind": "text", "source": "memory", "truncated": None, "boxes": []},
    "doubtful": False,
    "after": _CURSOR,
    "thumbnails_expire_at": "2026-01-31T14:00:00Z",
    "rows": [
        {
            **_SHOE,
            "distance": 0.4817634,
            "title": "Canvas shoe",
            "thumbnail": None,
            "match": 0.83,
            "pictures": 3,
            "others": [{"image_id": 43, "thumbnail": None}],
            "after": _CURSOR,
            "look": None,
            "box": None,
            "label": None,
        }
    ],
    "reranked": None,
    "facets": {
        "category": [_COUNT],
        "in_stock": [],
        "price": [{"low": 25, "high": None, "count": 80, "approximate": False, "error": 0}],
        "attributes": {"colour": [{**_COUNT, "value": "red"}]},
    },
}
_PRODUCT: Json = {
    **_SHOE,
    "title": "Canvas shoe",
    "thumbnail": None,
    "pictures": 3,
    "others": [{"image_id": 43, "thumbnail": None}],
    "after": "39.9,42,0,,5d41402a",
}
_IMAGE: Json = {
    **_SHOE,
    "position": 0,
    "state": "ready",
    "attempts": 1,
    "error": None,
    "incomplete": False,
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "thumbnail": None,
    "thumbnail_expires_at": None,
}
_VECTOR: Json = {
    "vector": [0.6, -0.8],
    "dimension": 2,
    "model": "google/siglip2-base-patch16-256",
    "source": "worker",
    "took_ms": 37.2,
}
_FIELDS: Json = {"product_id": "sku-1", "category": "shoes", "price": 39.9, "attributes": {"colour": "red"}}
_ADDED: Json = {"images": [{"image_id": 42, "outcome": "added", "waits": True, "url": "/v1/images/42"}]}

# Of a form: its field `request`.
REQUESTS: dict[str, Json] = {
    "set_merchandise": {"product_id": "p42", "query": "red shoe", "place": 1},
    "search_images": {
        "text": "red canvas shoe",
        "category": ["shoes"],
        "max_price": 50,
        "k": 10,
        "sort": "price",
        "facets": {"category": True, "price": [0, 25, 50], "attributes": ["colour"]},
    },
    "list_choices": {"facet": "attribute", "name": "brand", "contains": "ad", "category": ["shoes"]},
    "search_images_by_upload": {"region": [0.1, 0.2, 0.5, 0.5], "in_stock": True, "k": 10},
    "embed_upload": {"region": [40, 60, 200, 200]},
    "embed": {"text": "red canvas shoe"},
    "add_images": {"images": [{**_FIELDS, "url": "https://shop.example/1.jpg"}]},
    "upload_images": {"images": [_FIELDS]},
    "change_image": {"price": 34.9, "in_stock": False, "attributes": {"sale": True, "colour": None}},
    "change_product": {"price": 34.9, "title": "Canvas shoe", "codes": ["4006381333931"]},
    "bulk_images": [
        {"action": "add", **_FIELDS, "url": "https://shop.example/1.jpg"},
        {"action": "change", "product_id": "sku-2", "price": 34.9},
        {"action": "delete", "product_id": "sku-3", "position": 1},
    ],
}
RESPONSES: dict[str, Json] = {
    "search_images": _PAGE,
    "search_images_by_upload": {
        **_PAGE,
        "resolved": {"kind": "picture", "source": "worker", "truncated": None, "boxes": [[0.1, 0.25, 0.4, 0.5]]},
    },
    "list_choices": {"different": 1, "values": [{**_COUNT, "value": "adidas"}]},
    "suggest": {"suggestions": [{"text": "Canvas shoe", "kind": "title", "product_id": "sku-1"}]},
    "embed": _VECTOR,
    "embed_upload": _VECTOR,
    "add_images": _ADDED,
    "upload_images": _ADDED,
    "get_image": _IMAGE,
    "list_duplicates": {
        "duplicates": [
            {
                "image_id": 43,
                "product_id": "sku-2",
                "position": 0,
                "tier": "certain",
                "distance": 6,
                "turn": 2,
                "similarity": 0.98,
                "thumbnail": None,
            }
        ]
    },
    "change_image": _IMAGE,
    "list_images": {"images": [_IMAGE], "after": "42"},
    "list_merchandise": {
        "merchandise": [
            {"product_id": "p42", "place": 1, "query": "red shoe", "category": None, "tenant": "acme"},
            {"product_id": "p13", "place": None, "query": None, "category": None, "tenant": "acme"},
        ]
    },
    "list_products": {
        "products": [_PRODUCT],
        "after": None,
        "thumbnails_expire_at": "2026-01-31T14:00:00Z",
    },
    "change_product": {"product_id": "sku-1", "images": 3, "changed": 3, "words": True},
    "bulk_images": [
        {"line": 1, "outcome": "added", "image_ids": [42], "error": None},
        {"line": 2, "outcome": "missing", "image_ids": [], "error": None},
        {"line": 3, "outcome": "failed", "image_ids": [], "error": {"code": "bad_request", "detail": "…"}},
    ],
    "get_status": {
        "images": 3000,
        "pending": 2,
        "leased": 1,
        "failed": 0,
        "workers": 1,
        "oldest_waiting": 0.8,
        "model": "google/siglip2-base-patch16-256",
        "dimension": 768,
    },
    "get_health": {"alive": True},
    "get_readiness": {
        "ready": True,
        "database": True,
        "schema": True,
        "model": True,
        "query_worker": True,
        "store": True,
    },
    "get_metrics": "imgsearch_images 3000.0\n",
}
