"""How large the address of a search may be: the page repeats it for each choice, so its cost grows with its square."""

from __future__ import annotations

from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from imgsearch.http import caps
from imgsearch.http.problem import bad_request


def check(args: MultiDict[str, str]) -> None:
    """Raise Problem where an address says too much for a page."""
    said = list(args.items(multi=True))
    if len(said) > caps.CHOICES:
        raise bad_request(f"This search has {len(said)} parts; at most {caps.CHOICES} are allowed. Leave some out.")
    if (size := len(urlencode(said))) > caps.ADDRESS:  # as browsers write it: an emoji has twelve bytes
        raise bad_request(
            f"This search's address has {size} bytes; at most {caps.ADDRESS} are allowed. Leave some out."
        )
