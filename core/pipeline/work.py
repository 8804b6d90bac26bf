"""What is done with a tile, as callables that come from outside. Standard library and :mod:`.tiling` only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..tiling import Crew, Tile

Write = Callable[[Tile, Any], None]
"""Puts an encoded tile where it belongs; called by one thread."""


class Tiles(Protocol):
    """All tiles of a job, as far as running them goes; a :class:`.Plan` is some."""

    @property
    def crew(self) -> Crew:
        """How many are worked on at the same time."""

    def __len__(self) -> int:
        """How many there are."""


class Work(Protocol):
    """The three steps before writing; each is called by several threads at the same time, for different tiles."""

    def read(self, tile: Tile) -> Any:
        """What the tile is computed from."""

    def compute(self, tiles: Sequence[Tile], data: Sequence[Any]) -> Sequence[Any]:
        """The results of a batch of tiles from what was read for them, in the same order."""

    def encode(self, tile: Tile, result: Any) -> Any:
        """A result as it is stored: what ``write`` is given."""


class OpenWork(Work, Protocol):
    """Work that was made from a recipe in another process."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the user should know; it may grow with every tile."""

    def close(self) -> None:
        """Close files and let go of the model."""


class Recipe(Protocol):
    """How to make the same work in another process; small, and can be pickled."""

    @property
    def key(self) -> str:
        """Same key, same work: a process opens it once. Names everything that the work depends on."""

    @property
    def resources(self) -> Mapping[str, float]:
        """What a Dask worker must have for one tile, for example ``{"GPU": 1}``."""

    def open(self) -> OpenWork:
        """Make the work here; a TerrainError where that cannot be."""

    def unfit(self, facts: Mapping[str, Any]) -> str:
        """Why a worker with these facts cannot do the work, in a sentence that names it; empty where it can."""
