"""Pictures that show the same: candidates by their embeddings, confirmed by their looks.

Colours of one design have nearly the same embedding and the same outline, so that a perceptual hash takes
them for one picture; a photo that was cropped has another hash. Both are told by laying one thumbnail over
the other: where they show the same, all their blocks have the same colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmrec.data import images
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError
from mmrec.search.rows import Rows
from mmrec.threads import cores

if TYPE_CHECKING:
    from imagehash import ImageHash

SIDE, BLOCKS = 48, 8  # pixels of a thumbnail's sides, and blocks along each
READ = 2 * SIDE  # pixels of the longest side at which a file is read: a JPEG is decoded at about that size
FLAT = 3.0  # largest deviation of a picture's pixels, of 255, that shows nothing
NEAREST = 5  # candidates of each picture
WIDTH = 64  # numbers in which candidates are looked for
SAMPLE = 20_000  # pictures from which the directions are learned; an index has cells beyond so many
PROBES = 16  # cells that are searched
LOOKED_ALIKE = 0.5  # least cosine of embeddings of pictures whose looks are compared
ALIKE_ALONE = 0.98  # the same of pictures that cannot be read
BITS = 26  # of the 64 of the hash: most that a crop changes
GROUND = 20.0  # of 255: from what a thing differs from the colour of the edges
TONE = 6.0  # of 255: most by which a crop changes the mean colour of the thing, and its deviation
COLOURS, SHADE = 8.5, 1.5  # of 255: most by which a copy changes a block, and the thing as a whole
REACH = 0.2  # of its side, by which a picture may be cropped
STEPS = 12  # of laying one over the other

Pairs = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Look(NamedTuple):
    """A picture as it is compared.

    Attributes:
        outline: the perceptual hash.
        pixels: its thumbnail [s, s, 3].
        thing: which pixels are not of the colour of its edges [s, s]; all, if none is.
        tone: mean and deviation of the colours of these [6].
        flat: whether it shows nothing.
    """

    outline: ImageHash
    pixels: NDArray[np.uint8]
    thing: Mask
    tone: Vectors
    flat: bool

    @classmethod
    def of(cls, picture: Image.Image) -> Look:
        """The look of a picture in RGB."""
        from imagehash import phash

        pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
        x = pixels.astype(np.float32)
        ground = np.median(np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]]), axis=0)
        thing = np.abs(x - ground).max(axis=-1) > GROUND
        thing = thing if thing.any() else ~thing
        flat = bool(_tone(x.reshape(-1, 3))[3:].max() < FLAT)  # [s, s, 3] -> [s * s, 3]
        return cls(phash(picture), pixels, thing, _tone(x[thing]), flat)


def _tone(x: Vectors) -> Vectors:
    """Mean and deviation [6] of colours [p, 3]; by sums, as NumPy's own are slow along the longer axis."""
    mean = np.einsum("pc->c", x) / len(x)
    square = np.einsum("pc,pc->c", x, x) / len(x)
    return np.concatenate([mean, np.sqrt(np.maximum(square - mean * mean, 0))])


def looks(files: Mapping[int, str]) -> dict[int, Look]:
    """What the pictures of these files look like; those that cannot be read are left out."""
    with ThreadPoolExecutor(cores()) as pool:
        found = zip(files, pool.map(_look, files.values()), strict=True)
        return {position: look for position, look in found if look}


def _look(file: str) -> Look | None:
    try:
        return Look.of(images.decode(file, side=READ))
    except DataError:
        return None


def candidates(x: Rows, positions: Sequence[int]) -> tuple[Pairs, Vectors]:
    """Pairs [p, 2] of positions whose embeddings are near, and their cosines [p].

    Neighbours are looked for along the directions in which the pictures vary most, which makes none farther.
    """
    import faiss
    from scipy.linalg import eigh

    present, rng = np.zeros(len(x), np.bool_), np.random.default_rng(0)
    for part, block in x.blocks():
        present[part] = block.any(axis=1)
    of = np.asarray(positions, np.int64)
    of = of[present[of]]  # a picture that nobody encoded has no embedding
    if len(of) < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    sample = x[rng.permutation(of)[:SAMPLE]]
    d = sample.shape[1]
    directions = eigh(sample.T @ sample, subset_by_index=[max(0, d - WIDTH), d - 1])[1]  # [d, w]
    z = np.concatenate([x[part] @ directions for part in np.array_split(of, 1 + len(of) // 4_096)])
    cells = f"IVF{int(4 * len(of) ** 0.5)}" if len(of) > SAMPLE else ""
    index: Any = faiss.index_factory(z.shape[1], f"{cells},Flat".lstrip(","))
    index.train(z[rng.permutation(len(z))[:4 * SAMPLE]])
    index.add(z)
    if cells:
        index.nprobe = PROBES
    squares, near = index.search(z, min(NEAREST + 1, len(of)))
    close = (squares <= 2 - 2 * LOOKED_ALIKE) & (near >= 0)
    mine = np.broadcast_to(np.arange(len(of))[:, None], near.shape)[close]
    pairs = np.unique(np.sort(np.stack([of[mine], of[near[close]]], axis=1), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    cosines = np.concatenate([
        np.einsum("pd,pd->p", x[part[:, 0]], x[part[:, 1]])
        for part in np.array_split(pairs, 1 + len(pairs) // 4_096)
    ])
    return pairs[cosines >= LOOKED_ALIKE], cosines[cosines >= LOOKED_ALIKE]


def show_the_same(pairs: Pairs, cosines: Vectors, seen: Mapping[int, Look]) -> Pairs:
    """Those of the pairs whose pictures show the same: by their looks, or else by embeddings alone."""
    same = [
        alike(seen[a], seen[b]) if a in seen and b in seen else cosine >= ALIKE_ALONE
        for (a, b), cosine in zip(pairs.tolist(), cosines.tolist(), strict=True)
    ]
    return pairs[np.array(same, np.bool_)]


def alike(a: Look, b: Look) -> bool:
    """Whether two pictures show the same, of which one may be encoded, resized or cropped anew."""
    if np.abs(a.tone - b.tone).max() > TONE or a.outline - b.outline > BITS:
        return False
    blocks, shade = misfit(a, b)
    return blocks <= COLOURS and shade <= SHADE


def misfit(a: Look, b: Look) -> tuple[float, float]:
    """How far two pictures are apart, of 255, one laid over the other: a block at most, and the thing.

    The first is shifted and scaled along both axes until it fits; what lies beyond its edge does not count.

    Source: Lucas & Kanade 1981, An iterative image registration technique, section 4 (Gauss-Newton steps).
    """
    from scipy.ndimage import gaussian_filter

    first, second = (one.pixels.astype(np.float32) for one in (a, b))
    soft, target = (gaussian_filter(one, (1, 1, 0)) for one in (first, second))
    place = np.array([1.0, 0.0, 1.0, 0.0])  # scale and shift (of the side) along y, then along x
    for _ in range(STEPS):
        laid, inside = _laid(soft, place)
        slopes = [slope * SIDE / scale for slope, scale in zip(
            np.gradient(laid, axis=(0, 1)), place[::2], strict=True)]
        J = np.stack([part for slope, grid in zip(slopes, _GRID, strict=True)
                      for part in (slope * grid[..., None], slope)], axis=-1)[inside]  # [m, 3, 4]
        J = J.reshape(-1, 4)  # [m, 3, 4] -> [3m, 4]
        squares = J.T @ J
        damping = 1e-3 * (np.trace(squares) / 4 + 1e-9) * np.eye(4)
        step = np.linalg.solve(squares + damping, J.T @ (target - laid)[inside].reshape(-1))
        place = np.clip(place + step, _LEAST, _MOST)
        if np.abs(step).max() < 1e-4:
            break
    laid, inside = _laid(first, place)
    difference = _blocks((second - laid) * inside[..., None])  # [b, b, 3]
    shares, things = _blocks(inside), _blocks(inside & b.thing)  # [b, b]
    difference /= np.maximum(shares, 0.3)[..., None]
    most = things > min(0.5, things.max() - 1e-6)  # blocks that show the thing
    return float(np.abs(difference).max()), float(np.abs(np.median(difference[most], axis=0)).max())


_GRID = np.mgrid[:SIDE, :SIDE] / SIDE - (SIDE - 1) / (2 * SIDE)  # [2, s, s] from the middle, of the side
_LEAST, _MOST = np.array([1 - REACH, -REACH] * 2), np.array([1 / (1 - REACH), REACH] * 2)


def _laid(a: Vectors, place: NDArray[np.float64]) -> tuple[Vectors, Mask]:
    """The thumbnail moved to a place [s, s, 3], and which of its pixels are there [s, s]."""
    from scipy.ndimage import map_coordinates

    at = [(scale * grid + shift) * SIDE + (SIDE - 1) / 2
          for grid, scale, shift in zip(_GRID, place[::2], place[1::2], strict=True)]
    moved = np.stack([map_coordinates(a[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1)
    inside = np.logical_and.reduce([(one >= 0) & (one <= SIDE - 1) for one in at])
    return moved, inside


def _blocks(x: NDArray[Any]) -> Vectors:
    """Means of the blocks of a thumbnail: [s, s, ...] -> [b, b, ...]."""
    size = SIDE // BLOCKS
    return x.reshape(BLOCKS, size, BLOCKS, size, *x.shape[2:]).mean(axis=(1, 3), dtype=np.float32)


def joined(pairs: Iterable[tuple[int, int]], n: int) -> NDArray[np.int32]:
    """The group [n] of each of n positions: those that a chain of pairs connects are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.array([*pairs], np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), (n, n))
    groups: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return groups
