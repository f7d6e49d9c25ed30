"""What colours has a picture, and how is it laid out? Attributes by which a shop filters, counts and boosts.

    picture_colours      the families of its subject's colours, the largest share first: ["red", "white"]
    picture_red, …       the share of the subject of that family, 0 to 1
    picture_hex          the largest colour itself, "#c03028"
    picture_shape        portrait, landscape or square; picture_aspect: width / height
    picture_brightness   the mean lightness, 0 (black) to 1 (white)
    picture_background   the share of an even background, 0 where the border is not even

Colours are means of k-means clusters in CIE L*a*b* (CIE 15:2004; D65, sRGB by IEC 61966-2-1), and a family is that of
the nearest of the named colours of CSS (CSS Color 4, §6.1), grouped as X11 does.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PREFIX = "picture_"
SIDE = 48  # pixels per side that are looked at
CLUSTERS = 5
LEAST = 0.1  # of the subject; a smaller share is no colour of its own
SUBJECT = 0.02  # of the picture; less than that beside the background is none: then all of it is looked at
EVEN = 10.0  # CIE76 apart at most: a background with its shadow
_BORDER = 0.6  # of the border must be even
_PART = 0.2  # of the border at least has a colour of the background
_SQUARE = 1.1
_ROUNDS = 12
_WHITE = np.array([0.95047, 1.0, 1.08883])
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_FAMILIES = {
    "pink": "pink lightpink hotpink deeppink palevioletred mediumvioletred",
    "red": "lightsalmon salmon darksalmon lightcoral indianred crimson firebrick darkred red",
    "orange": "orangered tomato coral darkorange orange",
    "yellow": "yellow lightyellow lemonchiffon lightgoldenrodyellow papayawhip moccasin peachpuff palegoldenrod khaki "
    "darkkhaki gold",
    "brown": "cornsilk blanchedalmond bisque navajowhite wheat burlywood tan rosybrown sandybrown goldenrod "
    "darkgoldenrod peru chocolate saddlebrown sienna brown maroon",
    "green": "darkolivegreen olive olivedrab yellowgreen limegreen lime lawngreen chartreuse greenyellow springgreen "
    "mediumspringgreen lightgreen palegreen darkseagreen mediumseagreen seagreen forestgreen green darkgreen",
    "cyan": "mediumaquamarine aqua cyan lightcyan paleturquoise aquamarine turquoise mediumturquoise darkturquoise "
    "lightseagreen cadetblue darkcyan teal",
    "blue": "lightsteelblue powderblue lightblue skyblue lightskyblue deepskyblue dodgerblue cornflowerblue steelblue "
    "royalblue blue mediumblue darkblue navy midnightblue",
    "purple": "lavender thistle plum violet orchid fuchsia magenta mediumorchid mediumpurple blueviolet darkviolet "
    "darkorchid darkmagenta purple indigo darkslateblue slateblue mediumslateblue",
    "white": "white snow honeydew mintcream azure aliceblue ghostwhite whitesmoke seashell beige oldlace floralwhite "
    "ivory antiquewhite linen lavenderblush mistyrose",
    "grey": "gainsboro lightgray silver darkgray gray dimgray lightslategray slategray darkslategray",
    "black": "black",
}


def describe(pixels: NDArray[np.uint8], width: int, height: int) -> dict[str, Any]:
    """Return the attributes of a picture: sRGB `pixels` uint8 (h, w, 3), its own upright `width` and `height`."""
    small = _thinned(pixels)
    colours = lab(small.reshape(-1, 3).astype(np.float64) / 255).reshape(small.shape)
    behind = background(colours)
    seen = ~behind if (~behind).mean() >= SUBJECT else np.ones_like(behind)
    shares, largest = _shares(colours[seen], small[seen])
    aspect = width / height
    shape = "square" if 1 / _SQUARE <= aspect <= _SQUARE else "landscape" if aspect > 1 else "portrait"
    return {
        f"{PREFIX}colours": [name for name, share in shares.items() if share >= LEAST] or list(shares)[:1],
        f"{PREFIX}hex": largest,
        f"{PREFIX}shape": shape,
        f"{PREFIX}aspect": round(aspect, 3),
        f"{PREFIX}brightness": round(float(colours[..., 0].mean()) / 100, 3),
        f"{PREFIX}background": round(float(behind.mean()), 3),
        **{f"{PREFIX}{name}": share for name, share in shares.items() if share >= LEAST / 2},
    }


def lab(rgb: Floats) -> Floats:
    """Return CIE L*a*b* (D65) of sRGB values 0 to 1: float64 (n, 3) from (n, 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    scaled = linear @ _XYZ.T / _WHITE
    f = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def background(colours: Floats) -> Flags:
    """Return what of (h, w, 3) L*a*b* lies behind: like a colour of the border, joined to it by such pixels.

    Colours of the border are those of a fifth of it at least (a wall and a floor); nothing lies behind where they are
    less than 60 % of it. A white shirt on white stays in front but for what touches the border through white.
    """
    edge = np.concatenate([colours[0], colours[-1], colours[1:-1, 0], colours[1:-1, -1]])
    belongs = clusters(edge)
    large = [one for one in np.unique(belongs) if (belongs == one).mean() >= _PART]
    behind = [np.median(edge[belongs == one], axis=0) for one in large]
    even = np.zeros(colours.shape[:2], bool)
    for middle in behind:
        even |= np.linalg.norm(colours - middle, axis=2) <= EVEN
    found = np.zeros_like(even)
    found[[0, -1]], found[:, [0, -1]] = even[[0, -1]], even[:, [0, -1]]
    if found.sum() < _BORDER * len(edge):
        return np.zeros_like(even)
    while True:
        wider = found.copy()
        wider[1:] |= found[:-1]
        wider[:-1] |= found[1:]
        wider[:, 1:] |= found[:, :-1]
        wider[:, :-1] |= found[:, 1:]
        wider &= even
        if wider.sum() == found.sum():
            return found
        found = wider


def clusters(colours: Floats) -> NDArray[np.intp]:
    """Return to which of at most `CLUSTERS` clusters each of (n, 3) colours belongs; the same for the same colours.

    Lloyd's k-means (1982). It begins with the colour nearest the mean, then always the one farthest from all so far.
    """
    chosen = [int(np.argmin(((colours - colours.mean(axis=0)) ** 2).sum(axis=1)))]
    apart = ((colours - colours[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < CLUSTERS and apart.max() > EVEN**2:
        chosen.append(int(np.argmax(apart)))
        apart = np.minimum(apart, ((colours - colours[chosen[-1]]) ** 2).sum(axis=1))
    middles = colours[chosen]
    for _ in range(_ROUNDS):
        nearest: NDArray[np.intp] = np.argmin((middles**2).sum(axis=1) - 2 * colours @ middles.T, axis=1)
        counts = np.bincount(nearest, minlength=len(middles))
        sums = np.stack([np.bincount(nearest, colours[:, axis], len(middles)) for axis in range(3)], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], middles)
        if np.abs(moved - middles).max() < 0.5:
            break
        middles = moved
    return nearest


def family(colours: Floats) -> list[str]:
    """Return the family of each of (n, 3) L*a*b* colours: that of the nearest named one (CIE76)."""
    named, families = _table()
    return [families[int(n)] for n in np.argmin(((colours[:, None] - named) ** 2).sum(axis=2), axis=1)]


def _shares(colours: Floats, pixels: NDArray[np.uint8]) -> tuple[dict[str, float], str]:
    """Return the share of each family, the largest first, and the largest cluster's mean colour as #rrggbb."""
    belongs = clusters(colours)
    numbers, counts = np.unique(belongs, return_counts=True)
    names = family(np.stack([colours[belongs == number].mean(axis=0) for number in numbers]))
    shares: dict[str, float] = {}
    for name, count in zip(names, counts, strict=True):
        shares[name] = shares.get(name, 0) + float(count) / len(colours)
    mean = pixels[belongs == numbers[int(np.argmax(counts))]].mean(axis=0).round().astype(int)
    ordered = sorted(shares.items(), key=lambda one: (-one[1], one[0]))
    return {name: round(share, 3) for name, share in ordered}, "#{:02x}{:02x}{:02x}".format(*mean)


def _thinned(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.linspace(0, pixels.shape[0] - 1, min(SIDE, pixels.shape[0])).round().astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, min(SIDE, pixels.shape[1])).round().astype(int)
    thinned: NDArray[np.uint8] = pixels[np.ix_(rows, columns)]
    return thinned


@cache
def _table() -> tuple[Floats, list[str]]:
    names = [(name, family_) for family_, listed in _FAMILIES.items() for name in listed.split()]
    values = np.array([ImageColor.getrgb(name)[:3] for name, _ in names], np.float64) / 255
    return lab(values), [family_ for _, family_ in names]
