"""The whole interface of an elevation model: encode coarse heights once, then ask for heights anywhere.

A surface sees arrays and positions; it knows neither windows nor files. Heights go in and come out in metres.
:func:`load` turns a model card into a surface; a further family of models is one more entry in its table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from .card import Card
from .compute import Compute
from .kernels import Floats, Queries


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

    """

    heights: Floats
    valid: NDArray[np.bool_]
    cell_width_m: Floats
    cell_height_m: Floats
    point_sampled: bool = False
    honour: bool = True
    filled: NDArray[np.bool_] | None = None

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Where heights mean something: valid or filled."""
        return self.valid if self.filled is None else self.valid | self.filled


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

    """

    card: Card
    compute: Compute
    halo_px: int
    bytes_per_coarse: float
    bytes_per_fine: float
    honours_input: bool
    tells_error: bool

    def encode(self, known: CoarseHeights) -> Any:
        """Prepare coarse heights for :meth:`decode`; the result belongs to the caller."""
        ...

    def decode(self, latent: Any, queries: Queries) -> Floats:
        """Heights in metres, float64 of shape ``(rows, cols)``, at a lattice of positions in encoded cells."""
        ...

    def error90(self, latent: Any, queries: Queries) -> Floats:
        """Half width in metres of the band that holds the true height nine times in ten; same shape as the heights."""
        ...


class NoError:
    """For families without an estimate of their error."""

    tells_error = False

    def error90(self, latent: Any, queries: Queries) -> Floats:
        """Refuse."""
        raise TerrainError(f"The model {type(self).__name__} does not estimate its error; choose a model that does.")


def load(card: Card, compute: Compute) -> Surface:
    """The surface of a model card, computed on ``compute``."""
    from .baseline_surface import BaselineSurface
    from .ebcf_surface import EbcfSurface
    from .field_surface import FieldSurface

    families: dict[str, Callable[[Card, Compute], Surface]] = {
        "baseline": BaselineSurface, "ebcf": EbcfSurface, "field": FieldSurface,
    }  # fmt: skip
    if card.family not in families:
        raise TerrainError(
            f"Model {card.name} is of family {card.family!r}, which this version cannot run; "
            f"it runs {', '.join(families)}. Update Neural Terrain."
        )
    return families[card.family](card, compute)
