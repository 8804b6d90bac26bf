"""What the card of a model trained here says: the model, its training, its data with their licences, its limits.

Makes plain values from what is known of a training; reads and writes no files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from . import provenance
from .elevation import validation
from .elevation.card import Card
from .elevation.recipe import Recipe
from .elevation.validation import Judgement
from .jobs.traindem import UNKNOWN, Settings
from .learning import Ground
from .model_folder import MADE_BY

LOSS = (
    "L1 of the bias in units of the local relief, plus that of its differences between neighbouring fine cells, "
    "weights as in the recipe"
)
PROTOCOL = (
    "Cell averages of the held-back ground, restored whole and compared with it, two coarse cells at edges and voids "
    "left out. The best of several judgements on this same ground was chosen: other ground is judged a little worse."
)


@dataclass(frozen=True)
class Outcome:
    """How a training went: steps in all, the step whose weights were kept, and the judgement of these."""

    steps: int
    best_step: int
    skipped_steps: int
    minutes: float
    hardware: str
    judgements: Sequence[Judgement]


def identity(settings: Settings, recipe: Recipe, base: Card | None, ground: Ground) -> dict:
    """What is known before anything is learned; with the entry of the weights it is enough to load the model."""
    kind = f"fine-tuned from {base.name} {base.version}" if base else "trained anew"
    names = [dem.region.name for dem in ground.dems]
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return {
        "name": settings.model_name,
        "title": settings.title or settings.model_name,
        "summary": f"Model of family {recipe.family}, {kind} on {listed}.",
        "version": "1.0",
        "family": recipe.family,
        "licence": settings.licence or UNKNOWN,
        "halo_px": 0,
        "network": dataclasses.asdict(recipe.network),
        "input": {
            "units": "metre",
            "cell_size_m": _cell_range_m(recipe, ground),
            "scale": [1, _rounded(recipe.degradations.scale_max)],
            "vertical_reference": "any; passed through",
        },
        "made_by": f"{MADE_BY} {provenance.version()}",
    }


def told(settings: Settings, recipe: Recipe, base: Card | None, ground: Ground, outcome: Outcome) -> dict:
    """What is known afterwards: training, results and limits."""
    return {
        "training": {
            "recipe": "recipe.json",
            "started_from": _origin(base),
            "steps": outcome.steps,
            "best_step": outcome.best_step,
            "skipped_steps": outcome.skipped_steps,
            "pairs": outcome.steps * recipe.batch,
            "minutes": round(outcome.minutes, 2),
            "hardware": outcome.hardware,
            "loss": LOSS,
            "held_back": _held_back(ground),
            "data": [*_data(settings, ground), *(base.training.get("data", []) if base else [])],
        },
        "results_protocol": PROTOCOL,
        "results": [_result(one) for one in outcome.judgements],
        "beware": _beware(recipe, ground, validation.ratios(outcome.judgements)),
    }


def _cell_range_m(recipe: Recipe, ground: Ground) -> list[float]:
    """Coarse cells that pairs of these DEMs have: fine cells times the scales."""
    sizes = [math.sqrt(dem.region.cell_width_m * dem.region.cell_height_m) for dem in ground.dems]
    scales = recipe.degradations
    return [_rounded(min(sizes) * scales.scale_min), _rounded(max(sizes) * scales.scale_max)]


def _origin(base: Card | None) -> dict | None:
    if base is None:
        return None
    return {"name": base.name, "version": base.version, "weights": base.short_hash, "licence": base.licence}


def _data(settings: Settings, ground: Ground) -> list[dict]:
    return [
        {
            "name": dem.region.name,
            "licence": settings.licence or UNKNOWN,
            "credit": settings.credit or UNKNOWN,
            "cells": int(dem.region.valid.sum()),
            "cell_size_m": _rounded(math.sqrt(dem.region.cell_width_m * dem.region.cell_height_m)),
        }
        for dem in ground.dems
    ]


def _held_back(ground: Ground) -> str:
    whole = [dem.region.name for dem in ground.judge if any(dem is one for one in ground.dems)]
    if whole:
        return f"whole DEMs: {', '.join(whole)}"
    return "the last fifth (of small DEMs up to a third) of the longer side of each DEM"


def _result(one: Judgement) -> dict:
    errors = {"rmse_m": _rounded(one.rmse_m, 5), "baseline_rmse_m": _rounded(one.baseline_rmse_m, 5)}
    return {"data": one.data, "scale": float(one.scale), **errors}


def _beware(recipe: Recipe, ground: Ground, ratios: dict[int, float]) -> list[str]:
    low, high = _cell_range_m(recipe, ground)
    count = len(ground.dems)
    said = [
        f"Trained on {'one DEM' if count == 1 else f'{count} DEMs'} only: compare it with the model baseline on ground "
        "of another kind.",
        f"Meant for cells of {low:g} to {high:g} m and scales up to {recipe.degradations.scale_max:.3g}.",
        "Refines errors of the DEM together with its ground.",
    ]
    worse = [f"x{scale}" for scale, ratio in ratios.items() if ratio >= 1]
    if worse:
        said.append(f"No better than the model baseline at {', '.join(worse)} on its own held-back ground.")
    unjudged = [f"x{scale}" for scale in validation.SCALES if scale not in ratios]
    if unjudged:
        said.append(f"Not judged at {', '.join(unjudged)}: the held-back ground was too small.")
    return said


def _rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")
