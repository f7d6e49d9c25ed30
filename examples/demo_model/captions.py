"""What might a person type to find this picture? A text, and which attributes it states."""

from __future__ import annotations

from random import Random

from looks import UNSAID, codes

from imgsearch.dev.demo.words import BACKGROUNDS, CATEGORIES, PATTERNS, Look, caption, colour_words

ALL = (True, True, True, True, True)
CATEGORY = (True, False, False, False, False)
COLOUR = (True, True, False, False, False)

_KINDS: tuple[tuple[float, tuple[bool, ...]], ...] = (
    (0.45, ALL),
    (0.17, (True, True, True, True, False)),
    (0.12, CATEGORY),
    (0.11, COLOUR),
    (0.04, (True, False, True, False, False)),
    (0.03, (True, True, True, False, False)),
    (0.05, (True, True, False, False, True)),
    (0.03, (True, False, False, False, True)),
)
"""(share, which of category, colour, pattern, pattern colour and background is said)."""
_OPENINGS = ("a", "the", "photo of a", "a picture of a", "show me a", "i want a", "buy a", "new", "cheap", "nice")
_EXACT = 0.35
"""Share of complete texts in exactly the words of the catalogue."""


def describe(look: Look, random: Random) -> tuple[str, tuple[int, ...]]:
    """Return a text for a look and the codes it states, UNSAID where it is silent."""
    said = random.choices([kind for _, kind in _KINDS], [share for share, _ in _KINDS])[0]
    stated = tuple(code if here else UNSAID for code, here in zip(codes(look), said, strict=True))
    if said == ALL and random.random() < _EXACT:
        return caption(look), stated
    return phrase(look, said, random), stated


def phrase(look: Look, said: tuple[bool, ...], random: Random) -> str:
    """Say the chosen attributes in one of many ways: synonyms, singular or plural, openings."""
    _, colour, pattern, pattern_colour, background = said
    words = CATEGORIES[look.category]
    many = random.random() < 0.4
    noun = random.choice(words.plurals if many else words.nouns)
    before: list[str] = [random.choice(colour_words(look.colour))] if colour else []
    after = ""
    if pattern and look.pattern_colour and pattern_colour:
        after = _pattern_clause(look, random)
    elif pattern:
        before.insert(
            random.randint(0, len(before)), random.choice((PATTERNS[look.pattern][0], PATTERNS[look.pattern][2]))
        )
    where = random.choice(BACKGROUNDS[look.background]) if background else ""
    opening = _opening(many, random)
    return " ".join(part for part in (opening, *before, noun, after, where) if part)


def _pattern_clause(look: Look, random: Random) -> str:
    adjective, noun, other = PATTERNS[look.pattern]
    colour = random.choice(colour_words(look.pattern_colour or ""))
    return random.choice(
        (f"with {colour} {noun}", f"with {colour} {noun}", f"{adjective} {colour}", f"{other} in {colour}")
    )


def _opening(many: bool, random: Random) -> str:
    if random.random() < 0.55:
        return ""
    return random.choice(_OPENINGS).removesuffix("a" if many else "-").strip()
