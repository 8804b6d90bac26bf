"""The whole interface of an elevation model: encode coarse heights once, then ask for heights anywhere.

A surface sees arrays and positions; it knows neither windows nor files. Heights go in and come out in metres.
:func:`load` turns a model card into a surface; a further family of models is one more entry in its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from ..progress import Progress
from .card import Card
from .compute import Compute, plain_float32
from .kernels import Floats, Queries
from .lanes import release
from .relief import Points, Relief, Where


@dataclass(frozen=True)
class CoarseHeights:
    """What is known: coarse heights and what they mean.

    Attributes
    ----------
    heights
        Float64 metres, shape ``(H, W)``, any finite number where not valid.
    valid
        Boolean, same shape: where a height was measured.
    cell_width_m, cell_height_m
        Size of the cells on the ground, per row, shape ``(H,)``.
    point_sampled
        Heights are samples at cell centres rather than cell averages.
    honour
        Whether the surface keeps what is known: the averages of the coarse cells, or the heights at their centres.
    filled
        Boolean, same shape: cells that are not valid, but whose heights are a guess good enough to build upon; None
        where there are none. Each family knows whether its network takes them for known.
    fitted
        Of a fitted surface (:mod:`.fitted_surface`), what its file holds beside the heights, ``(2, H, W)``; else None.

    """

    heights: Floats
    valid: NDArray[np.bool_]
    cell_width_m: Floats
    cell_height_m: Floats
    point_sampled: bool = False
    honour: bool = True
    filled: NDArray[np.bool_] | None = None
    fitted: Floats | None = None

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Where heights mean something: valid or filled."""
        return self.valid if self.filled is None else self.valid | self.filled


@dataclass(frozen=True)
class Asked:
    """One tile: what is known, and the positions where the surface is asked."""

    known: CoarseHeights
    queries: Queries


@dataclass(frozen=True)
class Answer:
    """Heights of one tile, and half widths of the 90 % band where they were asked for; both as of :class:`Surface`."""

    heights: Floats
    error90: Floats | None = None


class Surface(Protocol):
    """A continuous elevation model.

    Attributes
    ----------
    card, compute
        What the model is, and where it is computed.
    halo_px
        Coarse cells around a position that its height can depend on. The outer ``halo_px`` cells of what is encoded
        only serve as surroundings: they cannot be asked for.
    bytes_per_coarse, bytes_per_fine
        Memory while one tile is encoded and decoded, per cell.
    honours_input
        Whether :attr:`CoarseHeights.honour` is obeyed; a surface that does not keeps coarse cells only nearly.
    tells_error
        Whether :meth:`error90` may be asked.
    by_differences
        Whether derivatives are differences between heights, which want single precision.

    """

    card: Card
    compute: Compute
    halo_px: int
    bytes_per_coarse: float
    bytes_per_fine: float
    honours_input: bool
    tells_error: bool
    by_differences: bool

    def encode(self, known: CoarseHeights) -> Any:
        """Prepare coarse heights for :meth:`decode`; the result belongs to the caller."""
        ...

    def decode(self, latent: Any, queries: Queries) -> Floats:
        """Heights in metres, float64 of shape ``(rows, cols)``, at a lattice of positions in encoded cells."""
        ...

    def averages(self, latent: Any, at: Points) -> Floats:
        """What :meth:`decode` gives, for fine cells whose centres lie anywhere, ``(N,)``."""
        ...

    def relief(self, latent: Any, where: Where, degree: int) -> Relief:
        """The surface itself at points, not averages over cells, with its first (1) and second (2) derivatives.

        Point samples are kept by it where the family honours its input; of averages it is the surface that has them.
        """
        ...

    def error90(self, latent: Any, where: Where) -> Floats:
        """Half width in metres of the band that holds the true height nine times in ten; same shape as the heights."""
        ...

    def answer(self, asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        """Encode and decode tiles, each by itself; ask through :class:`.batches.Batches`."""
        ...

    def forget(self) -> None:
        """Give back memory of the device that is kept for the next tiles; not while a tile is under way."""
        ...


class OneByOne:
    """For families that compute one tile after the other."""

    by_differences = False

    def answer(self: Surface, asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        """Encode and decode each tile."""
        found = []
        for one in asked:
            progress.check()
            latent = self.encode(one.known)
            heights = self.decode(latent, one.queries)
            found.append(Answer(heights, self.error90(latent, one.queries) if error90 else None))
        return found

    def forget(self: Surface) -> None:
        """Give back what torch keeps."""
        release(self.compute.device)


class NoError(OneByOne):
    """For families without an estimate of their error, which compute one tile after the other."""

    tells_error = False

    def error90(self, latent: Any, where: Where) -> Floats:
        """Refuse."""
        raise TerrainError(f"The model {type(self).__name__} does not estimate its error; choose a model that does.")


def load(card: Card, compute: Compute) -> Surface:
    """The surface of a model card, computed on ``compute``."""
    if compute.device != "cpu":
        plain_float32()
    from .baseline_surface import BaselineSurface
    from .ebcf_surface import EbcfSurface
    from .fitted_surface import FittedSurface

    families: dict[str, Callable[[Card, Compute], Surface]] = {
        "baseline": BaselineSurface, "ebcf": EbcfSurface, "field": _field, "fitted": FittedSurface,
    }  # fmt: skip
    if card.family not in families:
        raise TerrainError(
            f"Model {card.name} is of family {card.family!r}, which this version cannot run; "
            f"it runs {', '.join(families)}. Update Neural Terrain."
        )
    return families[card.family](card, compute)


def _field(card: Card, compute: Compute) -> Surface:
    if compute.device == "cpu":
        from .field_surface import FieldSurface

        return FieldSurface(card, compute)
    from .field_device import FieldOnDevice

    return FieldOnDevice(card, compute)
