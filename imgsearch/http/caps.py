"""How large a request may be: the numbers that the request models hold and the OpenAPI document shows."""

from __future__ import annotations

from imgsearch.query.resolution import MAX_TEXT
from imgsearch.retrieval.template import LARGEST_PAGE

TEXT = MAX_TEXT  # characters of a text that is searched by
NAME = 200  # characters of a product id, a category, a tenant, an attribute's name
VALUE = 10_000  # characters of one text inside attributes
URL = 4096
K = LARGEST_PAGE
SKIP = 100_000
EXAMPLES = 16  # images in more_like, and in less_like
NUMBERS = 4000  # of a vector: halfvec's own limit of dimensions
PRICE = 1e15
LARGEST_ID = 2**63 - 1
IDS = 1000  # of product_ids, exclude_product_ids, exclude_image_ids
CATEGORIES = 1000  # in one list; a branch of a shop's tree may have hundreds
VALUES = 100  # of one attribute
ATTRIBUTES = 20  # attributes that one search filters by
LEVELS = 5  # of groups within groups in `condition`
CONDITIONS = 50  # in the whole of `condition`
DEPTH = 16  # of JSON inside attributes
IMAGES = 1000  # added by one request
CURSOR = 100  # characters of `after`
JSON_BYTES = 1 << 20  # of a body that is JSON, and of the JSON in a form
IMAGES_JSON_BYTES = 4 << 20  # the same where it adds images: 4 kB for each of a thousand
