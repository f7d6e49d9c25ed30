"""What do the things one keeps at home or plays with look like?"""

from __future__ import annotations

from imgsearch.dev.demo.outline import Part, arc, box, ellipse, part, shifted, soft, stroke


def lamp() -> tuple[Part, ...]:
    """A table lamp: wide shade, thin stem, round foot."""
    return (
        part("dark", box(-0.07, 0.1, 0.07, 0.86)),
        part("dark", ellipse(0, 0.88, 0.46, 0.12)),
        part("body", [(-0.42, -0.98), (0.42, -0.98), (0.86, 0.2), (-0.86, 0.2)]),
    )


def chair() -> tuple[Part, ...]:
    """A chair at an angle: high back, seat, four legs."""
    legs = [
        part("dark", stroke(x, 0.2, x + d, y, 0.11))
        for x, d, y in ((-0.56, -0.06, 0.98), (-0.2, 0.02, 0.7), (0.42, 0.1, 0.98), (0.56, 0.1, 0.72))
    ]
    return (
        *legs,
        part("body", soft([(-0.66, -0.98), (-0.2, -1.0), (-0.12, 0.1), (-0.56, 0.2)], 1)),
        part("body", [(-0.66, 0.06), (0.5, 0.06), (0.74, 0.32), (-0.5, 0.36)]),
        part("shade", [(-0.5, 0.34), (0.74, 0.3), (0.74, 0.42), (-0.5, 0.46)]),
    )


def table() -> tuple[Part, ...]:
    """A table seen from above the edge: wide top, four straight legs."""
    legs = [part("dark", box(x, 0.0, x + 0.13, y)) for x, y in ((-0.94, 0.9), (0.81, 0.9), (-0.6, 0.56), (0.47, 0.56))]
    return (
        *legs,
        part("body", [(-0.66, -0.56), (0.66, -0.56), (1.0, 0.06), (-1.0, 0.06)]),
        part("shade", box(-1.0, 0.06, 1.0, 0.2)),
    )


def sofa() -> tuple[Part, ...]:
    """A sofa from the front: back, two armrests, two seat cushions, feet."""
    return (
        part("dark", box(-0.84, 0.6, -0.68, 0.8)),
        part("dark", box(0.68, 0.6, 0.84, 0.8)),
        part("body", soft(box(-0.82, -0.6, 0.82, 0.3), 1)),
        part("body", box(-0.74, 0.06, -0.01, 0.4)),
        part("body", box(0.01, 0.06, 0.74, 0.4)),
        part("shade", box(-0.8, 0.38, 0.8, 0.64)),
        part("shade", soft(box(-1.02, -0.16, -0.7, 0.66), 1)),
        part("shade", soft(box(0.7, -0.16, 1.02, 0.66), 1)),
    )


def mug() -> tuple[Part, ...]:
    """A mug: straight sides, a handle on the right, dark coffee."""
    return (
        part("shade", arc(0.5, 0.06, 0.48, 0.46, -90, 90, 0.16)),
        part(
            "body", [(-0.82, -0.66), (0.52, -0.66), (0.48, 0.7), *ellipse(-0.15, 0.7, 0.63, 0.14, 0, 180), (-0.78, 0.7)]
        ),
        part("trim", ellipse(-0.15, -0.66, 0.68, 0.18)),
        part("dark", ellipse(-0.15, -0.64, 0.58, 0.13)),
    )


def vase() -> tuple[Part, ...]:
    """A vase: wide belly, narrow neck, flared dark mouth."""
    right = [(0.34, -0.94), (0.2, -0.6), (0.62, -0.1), (0.66, 0.3), (0.34, 0.98)]
    return (
        part("body", soft([*right, *[(-x, y) for x, y in reversed(right)]], 2)),
        part("shade", ellipse(0, -0.9, 0.36, 0.11)),
        part("dark", ellipse(0, -0.9, 0.27, 0.07)),
    )


def clock() -> tuple[Part, ...]:
    """An alarm clock: two bells, two feet, thick rim, pale face with hands."""
    return (
        part("dark", stroke(-0.4, 0.5, -0.64, 0.98, 0.15)),
        part("dark", stroke(0.4, 0.5, 0.64, 0.98, 0.15)),
        part("shade", ellipse(-0.5, -0.68, 0.34, 0.27)),
        part("shade", ellipse(0.5, -0.68, 0.34, 0.27)),
        part("body", ellipse(0, 0.08, 0.84, 0.8)),
        part("trim", ellipse(0, 0.08, 0.44, 0.42)),
        part("dark", stroke(0, 0.1, 0, -0.26, 0.07)),
        part("dark", stroke(0, 0.08, 0.24, 0.18, 0.07)),
    )


def bottle() -> tuple[Part, ...]:
    """A bottle: tall, round shoulders, dark cap."""
    right = [(0.16, -0.7), (0.18, -0.52), (0.44, -0.26), (0.46, 0.98)]
    return (
        part("body", soft([*right, *[(-x, y) for x, y in reversed(right)]], 1)),
        part("dark", box(-0.2, -1.0, 0.2, -0.68)),
    )


def guitar() -> tuple[Part, ...]:
    """A guitar standing upright: two round bouts, sound hole, long dark neck."""
    return (
        part("body", [*ellipse(0, 0.5, 0.62, 0.5, -50, 230), *ellipse(0, -0.06, 0.46, 0.36, 150, 390)]),
        part("dark", ellipse(0, 0.18, 0.18, 0.18)),
        part("dark", box(-0.085, -0.86, 0.085, 0.1)),
        part("dark", box(-0.28, 0.56, 0.28, 0.66)),
        part("shade", box(-0.17, -1.02, 0.17, -0.76)),
    )


def kite() -> tuple[Part, ...]:
    """A kite: a diamond with a cross of sticks and a tail of bows."""
    bow = [(-0.16, -0.09), (0.16, 0.09), (0.16, -0.09), (-0.16, 0.09)]
    tail = [(0.0, 0.44, 0.14, 0.72), (0.14, 0.72, -0.02, 1.0)]
    return (
        *[part("dark", stroke(x0, y0, x1, y1, 0.05)) for x0, y0, x1, y1 in tail],
        part("shade", shifted(bow, 0.14, 0.7)),
        part("shade", shifted(bow, 0.0, 0.96)),
        part("body", [(0, -1.0), (0.7, -0.34), (0, 0.48), (-0.7, -0.34)]),
        part("dark", stroke(0, -0.98, 0, 0.46, 0.035)),
        part("dark", stroke(-0.68, -0.34, 0.68, -0.34, 0.035)),
    )


def ball() -> tuple[Part, ...]:
    """A ball: a circle with one seam and a pale valve."""
    return (
        part("body", ellipse(0, 0, 0.86, 0.86, steps=40)),
        part("shade", arc(-0.9, 0, 1.2, 1.3, -38, 38, 0.06)),
        part("trim", ellipse(0.45, -0.42, 0.12, 0.12)),
    )


def car() -> tuple[Part, ...]:
    """A toy car from the side: cabin with windows, two dark wheels with pale hubs."""
    shell = [
        (-0.98, 0.0),
        (-0.62, -0.1),
        (-0.4, -0.54),
        (0.3, -0.54),
        (0.58, -0.1),
        (0.98, 0.02),
        (1.0, 0.38),
        (-1.0, 0.38),
    ]
    wheels: list[Part] = []
    for x in (-0.52, 0.54):
        wheels += [part("dark", ellipse(x, 0.4, 0.27, 0.27)), part("trim", ellipse(x, 0.4, 0.11, 0.11))]
    return (
        part("body", soft(shell, 1)),
        part("trim", [(-0.46, -0.1), (-0.3, -0.42), (-0.06, -0.42), (-0.06, -0.1)]),
        part("trim", [(0.04, -0.1), (0.04, -0.42), (0.24, -0.42), (0.42, -0.1)]),
        *wheels,
    )
