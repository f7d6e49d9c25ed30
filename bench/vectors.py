"""Draws vectors that lie like SigLIP's, with the categories and clusters they come from.

SigLIP's picture vectors share a large common part (two random pictures: cosine near 0.44), live on a surface of low
dimension (about 23 around a point), and sit in clusters; texts have another common part (text against picture: cosine
near 0), so that a text's neighbours are far away and hard to find. `shape_of` measures these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Whole = NDArray[np.integer[Any]]

COMMON = 0.44  # part of a picture vector's squared length that all pictures share
TEXT_SPREAD = 0.4  # texts of one cluster differ less than its pictures do
TEXT_COMMON = 0.75
CHUNK = 20_000


@dataclass(frozen=True, kw_only=True)
class Structure:
    """How pictures lie: dimensions of the latent space, and in it the spread of each level about the one above.

    islands: so many groups of categories, two apart; 0 for none.
    """

    latent: int = 80
    category: float = 0.6
    cluster: float = 0.45
    product: float = 0.62
    picture: float = 0.45
    islands: int = 0

    @property
    def variance(self) -> float:
        """The variance of one latent dimension, that of the islands included."""
        levels = (self.category, self.cluster, self.product, self.picture, 2.0 if self.islands else 0.0)
        return sum(level**2 for level in levels)


USUAL = Structure()
STRUCTURES = {
    "usual": USUAL,
    "tight": Structure(category=1.0, cluster=0.0, product=0.2, picture=0.15),  # a category is one tight cluster
    "islands": Structure(latent=40, category=0.3, cluster=0.3, islands=30),
    "flat": Structure(latent=250, category=0.0, cluster=0.0, product=0.8),  # nothing lies near anything
}


@dataclass(frozen=True, kw_only=True)
class World:
    """What vectors are drawn from. Arrays: centres (clusters, latent), basis (dim, latent), offsets (dim,)."""

    dim: int
    category_of: Whole  # (clusters,)
    weight: NDArray[np.floating[Any]]  # (clusters,), share of the products
    centres: Floats
    spectrum: Floats
    basis: Floats
    offset: Floats
    text_offset: Floats
    structure: Structure = USUAL


def sizes_of_categories(count: int) -> NDArray[np.floating[Any]]:
    """Return each category's share: a power law with a tail of 1 %, 0.1 % and 0.01 %, sizes that filters need."""
    share = (np.arange(count) + 3.0) ** -1.05
    pinned = {0.01: max(1, count // 20), 0.001: max(1, count // 10), 0.0001: max(1, count // 20)}
    end = count
    for size, many in reversed(pinned.items()):
        share[end - many : end] = size
        end -= many
    share[:end] *= (1 - share[end:].sum()) / share[:end].sum()
    return share


def world(seed: int, rows: int, dim: int, categories: int = 200, structure: Structure = USUAL) -> World:
    """Make the world for about `rows` pictures: `categories` categories, a cluster for every 50 pictures."""
    rng = np.random.default_rng(seed)
    share = sizes_of_categories(categories)
    each = np.maximum(1, np.round(share * rows / 50)).astype(int)
    category_of = np.repeat(np.arange(categories), each)
    # Clusters of a category are of unequal size.
    weight = rng.gamma(2.0, 1.0, len(category_of))
    weight *= (share / np.bincount(category_of, weights=weight))[category_of]
    latent = min(structure.latent, dim // 2)
    spectrum = (np.arange(latent) + 1.0) ** -0.35
    spectrum *= np.sqrt(latent / (spectrum**2).sum())
    spectrum = spectrum.astype(np.float32)
    middles = structure.category * rng.standard_normal((categories, latent), dtype=np.float32)
    if structure.islands:
        middles += (
            2
            * rng.standard_normal((structure.islands, latent), dtype=np.float32)[
                np.arange(categories) % structure.islands
            ]
        )
    centres = middles[category_of] + structure.cluster * rng.standard_normal(
        (len(category_of), latent), dtype=np.float32
    )
    axes = np.linalg.qr(rng.standard_normal((dim, latent + 2)))[0].astype(np.float32)
    return World(
        dim=dim,
        category_of=category_of.astype(np.int32),
        weight=weight / weight.sum(),
        centres=centres,
        spectrum=spectrum,
        basis=axes[:, 2:],
        offset=axes[:, 0],
        text_offset=axes[:, 1],
        structure=structure,
    )


def vectors(made: World, latent: Floats, offset: Floats, common: float, rng: np.random.Generator) -> Floats:
    """Turn latent points (n, latent) into vectors (n, dim) float32 of length one around `offset`."""
    scale = np.sqrt((1 - common) / made.structure.variance / made.spectrum.size)
    found = (latent * made.spectrum * scale) @ made.basis.T + np.sqrt(common) * offset
    found += (0.05 / np.sqrt(made.dim)) * rng.standard_normal(found.shape, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]


def products(made: World, clusters: Whole, rng: np.random.Generator) -> Floats:
    """Return a latent point for one product of each cluster named."""
    noise = rng.standard_normal((len(clusters), made.spectrum.size), dtype=np.float32)
    return made.centres[clusters] + made.structure.product * noise


def pictures(made: World, product: Floats, rng: np.random.Generator, spread: float | None = None) -> Floats:
    """Return a picture vector (n, dim) of each product, `spread` about it (None: as the structure says)."""
    noise = rng.standard_normal(product.shape, dtype=np.float32)
    apart = made.structure.picture if spread is None else spread
    return vectors(made, product + apart * noise, made.offset, COMMON, rng)


def texts(made: World, clusters: Whole, rng: np.random.Generator) -> Floats:
    """Return a text vector (n, dim) that speaks of each cluster."""
    noise = rng.standard_normal((len(clusters), made.spectrum.size), dtype=np.float32)
    return vectors(made, made.centres[clusters] + TEXT_SPREAD * noise, made.text_offset, TEXT_COMMON, rng)


def halves(
    made: World, product: Floats, product_of: Whole, seed: int, spread: float | None = None
) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors of all pictures as float16 in chunks of CHUNK rows; the rounding is halfvec's."""
    for start in range(0, len(product_of), CHUNK):
        rng = np.random.default_rng((seed, start))
        yield pictures(made, product[product_of[start : start + CHUNK]], rng, spread).astype(np.float16)


def shape_of(sample: Floats, queries: Floats, near: int = 20) -> dict[str, float]:
    """Measure a sample: cosines of pairs and of queries to it; the local dimension (Levina and Bickel, MLE)."""
    rng = np.random.default_rng(0)
    picked = sample[rng.permutation(len(sample))[:500]]
    cosines = (picked @ sample.T)[:, ::7]
    gap = (queries[:500] @ sample.T)[:, ::7]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(picked @ sample.T, axis=1)[:, ::-1][:, 1 : near + 1], 1e-9))
    dimension = 1 / np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)
    return {
        "cosine_mean": float(cosines.mean()),
        "cosine_std": float(cosines.std()),
        "text_cosine_mean": float(gap.mean()),
        "text_cosine_std": float(gap.std()),
        "local_dimension": float(np.median(dimension)),
    }
