"""What do the things one wears or carries look like?"""

from __future__ import annotations

from imgsearch.dev.demo.outline import Part, arc, box, ellipse, part, shifted, soft, stroke


def shoe() -> tuple[Part, ...]:
    """A low canvas shoe from the side: pale sole and toe cap, laces."""
    upper = [(-0.92, -0.42), (-0.5, -0.3), (-0.2, -0.5), (0.02, -0.52), (0.45, -0.12), (0.85, -0.02), (0.97, 0.34)]
    upper += [(-0.95, 0.34), (-0.97, 0.0)]
    laces = [
        part("trim", stroke(0.02 + i * 0.14, -0.36 + i * 0.12, 0.2 + i * 0.14, -0.46 + i * 0.12, 0.07))
        for i in range(3)
    ]
    return (
        part("body", soft(upper, 1)),
        part("trim", soft([(0.62, -0.06), (0.86, 0.0), (1.0, 0.34), (0.58, 0.34)], 1)),
        *laces,
        part("trim", soft([(-1.0, 0.28), (1.0, 0.28), (1.02, 0.5), (-1.0, 0.5)], 1)),
    )


def boot() -> tuple[Part, ...]:
    """A high boot from the side: shaft, foot, dark sole and heel."""
    leg = [(-0.62, -0.98), (0.12, -0.98), (0.12, -0.1), (0.5, 0.12), (0.84, 0.3), (0.88, 0.66), (-0.64, 0.66)]
    return (
        part("body", soft(leg, 1)),
        part("shade", box(-0.64, -1.0, 0.14, -0.82)),
        part("dark", box(-0.66, 0.6, 0.9, 0.78)),
        part("dark", box(-0.66, 0.7, -0.24, 0.98)),
    )


def hat() -> tuple[Part, ...]:
    """A sun hat: dome, dark band, wide brim."""
    return (
        part("body", ellipse(0, 0.3, 1.0, 0.3)),
        part("body", [*ellipse(0, 0.18, 0.6, 0.78, 180, 360), *ellipse(0, 0.18, 0.6, 0.16, 0, 180)]),
        part("dark", [*ellipse(0, 0.02, 0.6, 0.15, 180, 0), *ellipse(0, 0.2, 0.61, 0.16, 0, 180)]),
    )


def shirt() -> tuple[Part, ...]:
    """A T-shirt laid flat: two short sleeves, a round collar."""
    outline = [(-0.34, -0.86), (0.34, -0.86), (0.62, -0.74), (1.0, -0.2), (0.74, 0.02), (0.54, -0.22), (0.54, 0.9)]
    outline += [(-0.54, 0.9), (-0.54, -0.22), (-0.74, 0.02), (-1.0, -0.2), (-0.62, -0.74)]
    return (
        part("body", outline),
        part("shade", ellipse(0, -0.88, 0.34, 0.24, 0, 180)),
        part("dark", ellipse(0, -0.88, 0.26, 0.16, 0, 180)),
    )


def trousers() -> tuple[Part, ...]:
    """Trousers laid flat: waistband and two long legs."""
    outline = [(-0.48, -0.98), (0.48, -0.98), (0.62, 0.98), (0.16, 0.98), (0.0, -0.3), (-0.16, 0.98), (-0.62, 0.98)]
    return (
        part("body", outline),
        part("shade", box(-0.5, -1.0, 0.5, -0.82)),
        part("dark", box(-0.07, -0.99, 0.07, -0.83)),
    )


def dress() -> tuple[Part, ...]:
    """A dress: straps, narrow waist with a belt, wide skirt."""
    outline = [(-0.36, -0.66), (-0.14, -0.54), (0.14, -0.54), (0.36, -0.66), (0.26, -0.08), (0.84, 0.96)]
    outline += [(0.3, 1.0), (-0.3, 1.0), (-0.84, 0.96), (-0.26, -0.08)]
    return (
        part("shade", stroke(-0.3, -1.0, -0.27, -0.56, 0.1)),
        part("shade", stroke(0.3, -1.0, 0.27, -0.56, 0.1)),
        part("body", outline),
        part("dark", box(-0.28, -0.14, 0.28, 0.0)),
    )


def handbag() -> tuple[Part, ...]:
    """A handbag: one big handle, a flap and a pale clasp."""
    return (
        part("shade", arc(0, -0.16, 0.52, 0.8, 180, 360, 0.13)),
        part("body", soft([(-0.74, -0.2), (0.74, -0.2), (0.98, 0.86), (-0.98, 0.86)], 1)),
        part("shade", [(-0.76, -0.2), (0.76, -0.2), (0.6, 0.12), (-0.6, 0.12)]),
        part("trim", box(-0.13, 0.02, 0.13, 0.24)),
    )


def backpack() -> tuple[Part, ...]:
    """A backpack from the front: top loop, side straps, a pocket with a zip."""
    return (
        part("dark", arc(0, -0.84, 0.24, 0.18, 180, 360, 0.09)),
        part("dark", soft(box(-0.86, -0.3, 0.86, 0.7), 1)),
        part("body", soft([(-0.5, -0.92), (0.5, -0.92), (0.7, -0.5), (0.72, 0.96), (-0.72, 0.96), (-0.7, -0.5)], 1)),
        part("dark", box(-0.66, -0.2, 0.66, -0.12)),
        part("shade", soft(box(-0.5, 0.22, 0.5, 0.82), 1)),
        part("trim", box(-0.4, 0.34, 0.4, 0.41)),
    )


def socks() -> tuple[Part, ...]:
    """A pair of socks, one behind the other: pale cuff, heel and toe."""
    leg = [(-0.3, -0.9), (0.16, -0.9), (0.16, 0.2), (0.66, 0.6), (0.6, 0.92), (0.3, 0.98), (-0.3, 0.6)]
    parts: list[Part] = []
    for dx, dy in ((0.3, -0.08), (-0.38, 0.04)):
        parts += [
            part("body", shifted(soft(leg, 1), dx, dy)),
            part("trim", shifted(box(-0.33, -0.96, 0.19, -0.72), dx, dy)),
            part("trim", shifted(soft([(0.42, 0.44), (0.72, 0.6), (0.62, 0.96), (0.24, 0.98)], 1), dx, dy)),
        ]
    return tuple(parts)


def mitten() -> tuple[Part, ...]:
    """A mitten: round palm, thumb, pale cuff."""
    thumb = [(0.3, 0.2), (0.62, -0.34), (0.92, -0.38), (0.96, -0.1), (0.5, 0.52)]
    palm = [(-0.56, 0.6), (-0.62, -0.5), (-0.4, -0.98), (0.2, -0.98), (0.44, -0.5), (0.44, 0.6)]
    return (
        part("body", soft(thumb)),
        part("body", soft(palm)),
        part("trim", soft(box(-0.66, 0.52, 0.52, 0.98), 1)),
    )


def umbrella() -> tuple[Part, ...]:
    """An open umbrella: half a dome with a scalloped edge, a stick with a hook."""
    edge = [point for x in (0.75, 0.25, -0.25, -0.75) for point in ellipse(x, 0.06, 0.25, 0.12, 0, -180)]
    return (
        part("dark", box(-0.045, -0.98, 0.045, 0.8)),
        part("dark", arc(0.16, 0.78, 0.205, 0.2, 0, 180, 0.09)),
        part("body", [*ellipse(0, 0.06, 1.0, 0.92, 180, 360), *edge]),
        part("shade", stroke(0, -0.85, -0.25, 0.02, 0.035)),
        part("shade", stroke(0, -0.85, 0.25, 0.02, 0.035)),
    )


def watch() -> tuple[Part, ...]:
    """A wrist watch: upright strap, round case, pale dial with two hands."""
    return (
        part(
            "body",
            [
                (-0.32, -1.0),
                (0.32, -1.0),
                (0.42, -0.4),
                (0.42, 0.4),
                (0.32, 1.0),
                (-0.32, 1.0),
                (-0.42, 0.4),
                (-0.42, -0.4),
            ],
        ),
        part("dark", box(0.5, -0.1, 0.72, 0.1)),
        part("shade", ellipse(0, 0, 0.62, 0.56)),
        part("trim", ellipse(0, 0, 0.46, 0.41)),
        part("dark", stroke(0, 0.03, 0, -0.3, 0.07)),
        part("dark", stroke(-0.02, 0, 0.24, 0.1, 0.07)),
    )
