"""Why a picture will never be embedded: the typed codes, one sentence each.

A code is written to `job.error_code` and returned by every interface; programs branch on it, people read the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from imgsearch.errors import PictureError
from imgsearch.picture.formats import ACCEPTED

CODES: Mapping[str, str] = MappingProxyType(
    {
        "empty": "The file holds no bytes; upload it again.",
        "not_a_picture": f"This is not a supported picture; upload {ACCEPTED}.",
        "format_refused": f"This kind of picture is not accepted; save it as {ACCEPTED}.",
        "decoder_missing": "This kind of picture cannot be decoded here; save it as JPEG or PNG and upload that.",
        "too_many_bytes": "The file is too large; compress the picture and upload it again.",
        "too_many_pixels": "The picture is too large or has too many frames; make it smaller and upload it again.",
        "too_much_memory": "The picture needs more memory than a decoder may use; make it smaller and upload it again.",
        "truncated": "The file ends before the picture does; upload it again.",
        "corrupt": "The file is damaged; open and save it in an image editor, then upload it again.",
        "decoder_timeout": "The picture took too long to decode; save it again in a simpler form and upload that.",
        "decoder_crashed": "The picture broke the decoder; save it again in another format and upload that.",
        "missing": "The picture store has no such object; upload the picture again.",
        "fetch_refused": "This address must not be fetched; upload the picture itself.",
        "text_answered": "It is asked again for a day; open it in a browser to see what it says.",
        "changed": "The address answers other bytes by now; take them: imgsearch queue refetch --code changed.",
        "bad_region": "This region is no part of the picture; give x, y, w, h within it, as shares or pixels.",
        "duplicate": "This shop takes each picture once and has this one; leave it out, or remove the other.",
        "not_embeddable": "The model gives no usable vector for this picture; upload another one.",
    }
)

_DETAIL_LENGTH = 160  # characters; details may quote what a hostile file made a library say


def refusal(code: str, detail: str = "") -> PictureError:
    """Return the error to raise for `code`: the detail, if any, then the code's sentence."""
    plain = "".join(c for c in detail if c.isprintable())[:_DETAIL_LENGTH].rstrip(" .")
    return PictureError(code, f"{plain}. {CODES[code]}" if plain else CODES[code])
