"""Recipes: everything that decides a training, as data that a person can read, change and pass on.

A recipe is a JSON file. Names that it does not know, values of a wrong kind and shares that do not add up are refused
with a sentence that names them. Imports the settings of the networks and of the degradations, and no files but its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import TerrainError
from .degradation import Degradations, PairShape
from .ebcf import EbcfSettings
from .field import FieldSettings

S = TypeVar("S")

FAMILIES: dict[str, type[EbcfSettings] | type[FieldSettings]] = {"ebcf": EbcfSettings, "field": FieldSettings}
"""Families that can be trained, and the settings of their networks."""

PARTS: dict[str, type] = {"degradations": Degradations, "shape": PairShape}
"""Members of a recipe that are objects of their own; ``network`` depends on the family."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training.

    Attributes
    ----------
    network, degradations, shape
        What is trained, what pairs it is shown, and how large they are.
    regions
        Share of the pairs by the beginning of a region's name; empty: by area.
    averaged
        Factors of block averages to add as further regions, by the beginning of a region's name.
    validation
        Names of regions held back from training.
    steps, batch
        Number of steps, and pairs of each.
    learning_rate, warmup_steps, cooldown_share
        The rate grows over the first steps, stays, and falls to zero over the last share of the training.
    average_decay
        Share of the averaged weights that a step keeps.
    gradient_loss, linear_above
        See :func:`.training.loss`.
    muon
        See :class:`.training.Optimisers`.
    seed
        The same seed gives the same training.

    """

    network: EbcfSettings | FieldSettings = field(default_factory=FieldSettings)
    degradations: Degradations = field(default_factory=Degradations)
    shape: PairShape = field(default_factory=PairShape)
    regions: dict[str, float] = field(default_factory=dict)
    averaged: dict[str, list[int]] = field(default_factory=dict)
    validation: tuple[str, ...] = ()
    steps: int = 16_000
    batch: int = 8
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    cooldown_share: float = 0.3
    average_decay: float = 0.999
    gradient_loss: float = 0.5
    linear_above: float = 0.0
    muon: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate", "warmup_steps"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "it must be above 0")
        for name in ("cooldown_share", "average_decay"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "it must be from 0 to 1")
        _check_shares(self.degradations)
        _check_scales(self.degradations)
        _check_shape(self.shape)

    @property
    def family(self) -> str:
        """Name of the network's family."""
        return next(name for name, kind in FAMILIES.items() if isinstance(self.network, kind))

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """The recipe of a JSON file."""
        return cls.from_values(read_values(path))

    @classmethod
    def from_values(cls, values: dict) -> Recipe:
        """A recipe from the plain values of a JSON object, which must name the ``family``."""
        values = dict(values)
        family = values.pop("family", None)
        check_family(family)
        parts = {"network": FAMILIES[family], **PARTS}
        made: dict[str, Any] = {name: _built(kind, values.pop(name, {}), f"{name}.") for name, kind in parts.items()}
        return _built(cls, {**values, **made}, "", known=set(made))

    def values(self) -> dict:
        """Plain values for a JSON file; :meth:`from_values` gives the same recipe."""
        return {"family": self.family, **asdict(self)}

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, constant, then a linear fall to zero over the last share."""
        cooldown = max(1.0, self.steps * self.cooldown_share)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps, max(0.0, (self.steps - step) / cooldown))

    def rate_of_budget(self, step: int, used: float) -> float:
        """Learning rate where a budget decides the end, of which the share ``used`` (0 to 1) is gone.

        The warm-up lasts ``warmup_steps``, at most a tenth of the budget; the fall to zero is that of :meth:`rate`.
        """
        warm = max((step + 1) / self.warmup_steps, 10 * used)
        cool = (1 - used) / self.cooldown_share if self.cooldown_share > 0 else 1.0
        return self.learning_rate * min(1.0, warm, max(0.0, cool))


def check_family(family: Any) -> None:
    """Refuse what is no family that can be trained."""
    if not isinstance(family, str) or family not in FAMILIES:
        raise TerrainError(f"The recipe's family is {family!r}; it can be {', '.join(FAMILIES)}.")


def read_values(path: Path) -> dict:
    """The JSON object of a recipe file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TerrainError(f"The recipe {path} cannot be read ({error.strerror}); choose a JSON file.") from error
    except ValueError as error:
        raise TerrainError(f"The recipe {path} is no JSON file ({error}); correct it.") from error
    if not isinstance(values, dict):
        raise TerrainError(f"The recipe {path} is no JSON object; begin it with a brace and name each value.")
    return values


def merged(base: dict, own: dict) -> dict:
    """The values of ``own`` over those of ``base``; objects inside, such as ``degradations``, are merged too."""
    result = {**base, **own}
    for name in ("network", *PARTS):
        if isinstance(base.get(name), dict) and isinstance(own.get(name), dict):
            result[name] = {**base[name], **own[name]}
    return result


def _built(kind: type[S], values: Any, prefix: str, known: set[str] | None = None) -> S:
    """An instance of the dataclass ``kind``; members named in ``known`` are taken as they are."""
    if not isinstance(values, dict):
        raise TerrainError(f"{prefix.rstrip('.')} of the recipe is {values!r}; it must be an object with names.")
    members = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(members))
    if unknown:
        raise TerrainError(
            f"The recipe has the unknown name {prefix}{unknown[0]}; "
            f"the names {'there' if prefix else 'beside family'} are {', '.join(members)}."
        )
    missing = [
        n for n, m in members.items() if m.default is MISSING and m.default_factory is MISSING and n not in values
    ]
    if missing:
        raise TerrainError(f"The recipe lacks {prefix}{missing[0]}; add it.")
    checked = {n: v if known and n in known else _value(prefix + n, str(members[n].type), v) for n, v in values.items()}
    return kind(**checked)


def _value(name: str, kind: str, value: Any) -> Any:
    """The value as its member wants it; a wrong kind is refused."""
    says, fits, made = KINDS[kind]
    if not fits(value):
        raise TerrainError(f"{name} of the recipe is {value!r}; it must be {says}.")
    return made(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e30


def _is_list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(fits, value))


def _is_object(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


KINDS: dict[str, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    "int": ("a whole number", _is_whole, int),
    "float": ("a number", _is_number, float),
    "bool": ("true or false", lambda value: isinstance(value, bool), bool),
    "str": ("a text", lambda value: isinstance(value, str), str),
    "tuple[str, ...]": ("a list of texts", _is_list(lambda value: isinstance(value, str)), tuple),
    "tuple[float, ...]": ("a list of numbers", _is_list(_is_number), tuple),
    "dict[str, float]": ("an object of numbers", _is_object(_is_number), dict),
    "dict[str, list[int]]": ("an object of lists of whole numbers", _is_object(_is_list(_is_whole)), dict),
}
"""By the annotation of a member: how it is called, whether a value fits, and what is made of it."""


def _require(fits: bool, name: str, value: Any, allowed: str) -> None:
    if not fits:
        raise TerrainError(f"{name} of the recipe is {value}; {allowed}.")


def _check_shares(settings: Degradations) -> None:
    shares = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name.endswith("_share")}
    for name, value in shares.items():
        _require(0 <= value <= 1, f"degradations.{name}", value, "it must be from 0 to 1")
    kinds = settings.point_share + settings.gaussian_share + settings.bicubic_share
    _require(
        kinds <= 1 + 1e-9, "The sum of point_share, gaussian_share and bicubic_share", kinds, "at most 1 is allowed"
    )
    steps = settings.rounding_steps_m
    _require(len(steps) > 0 and min(steps) > 0, "degradations.rounding_steps_m", list(steps), "name steps above 0")


def _check_scales(settings: Degradations) -> None:
    low, high = settings.scale_min, settings.scale_max
    _require(1 < low <= high <= 16, "degradations.scale_min to scale_max", f"{low:g} to {high:g}",
             "both must be above 1 and at most 16, the lower one first")  # fmt: skip
    for name in ("relief_factor", "blur"):
        low, high = (getattr(settings, f"{name}_{end}" + ("_px" if name == "blur" else "")) for end in ("min", "max"))
        _require(0 < low <= high, f"degradations.{name} range", f"{low:g} to {high:g}", "name the lower one first")


def _check_shape(shape: PairShape) -> None:
    inner = shape.coarse_px - 2 * shape.margin_px
    given = f"{shape.coarse_px} cells with a margin of {shape.margin_px}"
    _require(shape.margin_px >= 0 and inner >= 4, "shape", given, "leave at least 4 cells between the margins")
    _require(
        shape.queries >= 2 and shape.queries % 2 == 0, "shape.queries", shape.queries, "it must be even and above 0"
    )
