"""How large a request may be: the numbers that the request models hold and the OpenAPI document shows."""

from __future__ import annotations

from imgsearch import values
from imgsearch.ingest import vectors, words
from imgsearch.query.combine import HEAVIEST
from imgsearch.query.combine import MOST as MOST_EXAMPLES
from imgsearch.query.resolution import MAX_TEXT
from imgsearch.retrieval.template import LARGEST_PAGE

TEXT = MAX_TEXT  # characters of a text that is searched by
NAME = values.NAME  # characters of a product id, a category, a tenant, an attribute's name
VALUE = values.VALUE  # characters of one text inside attributes
URL = 4096
K = LARGEST_PAGE
SKIP = 100_000
EXAMPLES = 16  # images in more_like, and in less_like
LIKES = MOST_EXAMPLES  # examples in like, and in unlike; of all together no more
NUMBERS = vectors.MOST  # of a vector: halfvec's own limit of dimensions
PRICE = values.PRICE
LARGEST_ID = 2**63 - 1
IDS = 1000  # of product_ids, exclude_product_ids, exclude_image_ids
CATEGORIES = 1000  # in one list; a branch of a shop's tree may have hundreds
VALUES = 100  # of one attribute
ATTRIBUTES = 20  # attributes that one search filters by
LEVELS = 5  # of groups within groups in `condition`
CONDITIONS = 50  # in the whole of `condition`
GROUPS = 150  # objects in `condition`, of groups and conditions
FILTER_BYTES = 1 << 16  # of `attributes` and of `condition`, each as JSON
DEPTH = values.DEPTH  # of JSON inside attributes
KILOMETRES = 20_038  # half around the Earth
IMAGES = 1000  # added by one request
CURSOR = 4000  # characters of `after`: it lists what of a window was shown
HEAVIEST_EXAMPLE = float(HEAVIEST)  # weight of an example; the lightest is 1 / that
WEIGHT = 100.0  # of words, and of looks
TITLE = words.TITLE  # characters of a product's title
PRODUCT_WORDS = words.WORDS  # characters of its words
SEVERAL = words.CATEGORIES  # categories of an image
CODES = words.CODES  # of a product
CODE = words.CODE  # characters
LINES = 1000  # of one bulk request
TYPED = 100  # characters of what is typed so far
BANDS = 50  # prices that bands begin at
CHOICE_VALUES = 1000  # of one list of a facet
BOOSTS = 10  # names in `boost`
JSON_BYTES = 1 << 20  # of a body that is JSON, and of the JSON in a form
JSON_VALUES = 20_000  # in it: each costs more memory than it has bytes
IMAGES_JSON_BYTES = 4 << 20  # the same where it adds images: 4 kB for each of a thousand
IMAGES_JSON_VALUES = 50_000
ADDRESS = 8192  # bytes of a search in the page's address, as browsers write it; servers in front allow no more
CHOICES = 100  # names and values in it: each link of the page has all the others
ATTRIBUTES_BYTES = values.ATTRIBUTES_BYTES  # of one image's attributes, as JSON
