"""Scenes made on held-out blocks by the whole chain of the tool *Generate scene*, measured beside the real ones."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scene_towns
import shapely
from scene_towns import BUILT, JUDGED, Real
from scipy.ndimage import uniform_filter

from neural_terrain.core.generation import chain
from neural_terrain.core.generation.site import Ground, Site, site_of
from neural_terrain.core.likeness.features import FEATURES, WINDOW_M, features
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene import diffusion, generating, sampling, wishes
from neural_terrain.core.scene.fields import Frame, shares
from neural_terrain.core.scene.stages import STREET_SCALE, VOLUME_SCALE_M
from neural_terrain.core.scene.wishes import Wishes
from neural_terrain.core.scene_check.validate import Layers, counts, validate
from neural_terrain.core.scene_files import Place, UserLayer

PLAIN = 240
"""Steps of the plain run of the same net that the presets are compared with: first order, evenly spaced times."""


@dataclass
class Made:
    """What one model made of some blocks, window by window beside the real ones."""

    figures: list[np.ndarray] = field(default_factory=list)
    real: list[np.ndarray] = field(default_factory=list)
    town: list[str] = field(default_factory=list)
    asked: list[tuple[float, float]] = field(default_factory=list)
    agreement: list[tuple[float, float, float]] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    violations: int = 0
    km2: float = 0.0
    clock_s: dict[str, float] = field(default_factory=dict)
    processor_s: float = 0.0


def generate(towns: dict[str, Real], folder: Path, steps: str, args: argparse.Namespace) -> Made:
    """Held-out blocks of all towns by one model."""
    made, rng = Made(), np.random.default_rng(5)
    restore = _plain() if steps == "plain" else lambda: None
    try:
        for name, real in towns.items():
            model = generating.load(JUDGED[name], args.device, folder)
            full = [b for b in np.unique(real.block[real.held_out]) if (real.block == b).sum() >= 3]
            for block in rng.permutation(full)[: args.blocks]:
                _one(model, real, int(block), _told(real, int(block), steps, free=args.free), made, args)
    finally:
        restore()
    return made


def _plain() -> Callable[[], None]:
    """Let stages be solved plainly; the answer undoes it."""
    kept = sampling.solve
    wishes.STEPS["plain"] = dict.fromkeys("GRL", PLAIN)

    def solve(velocity: Any, start: Any, steps: int, repair: Any = None) -> Any:
        """DDIM (Song 2021) at evenly spaced times."""
        path = [diffusion.LAST * (1 - k / steps) for k in range(steps)] + [0.0]
        turn, now, clean = np.pi / 2, start, start
        for t, s in zip(path[:-1], path[1:], strict=True):
            answer = velocity(now, t)
            clean = np.cos(t * turn) * now - np.sin(t * turn) * answer
            clean = clean if repair is None else repair(clean)
            noise = (now - np.cos(t * turn) * clean) / np.sin(t * turn)
            now = np.cos(s * turn) * clean + np.sin(s * turn) * noise
        return clean

    sampling.solve = solve

    def restore() -> None:
        sampling.solve = kept
        del wishes.STEPS["plain"]

    return restore


def _told(real: Real, block: int, steps: str, *, free: bool) -> Wishes:
    """The block's own figures as wishes, each where it is mapped."""
    if free:
        return Wishes(seed=7, steps=steps)
    coarse, mapped = real.blocks.coarse[block].astype(np.float32), real.blocks.mapped[block]
    built, paved, high = (mask if mask.mean() > 0.5 else None for mask in mapped)
    share = np.clip((coarse[0] + 1) / 2, 0, 1)
    street = np.square(coarse[3] + 1) * STREET_SCALE
    volume = np.square(coarse[2] + 0.5) * VOLUME_SCALE_M
    return Wishes(
        coverage=None if built is None else float(share[built].mean()),
        street_density=None if paved is None else float(street[paved].mean()) * 1000,
        mean_height_m=None if high is None else float(volume[high].sum() / max(share[high].sum(), 1e-6)),
        seed=7, steps=steps,
    )  # fmt: skip


def bare_site(area: Any, crs: str) -> Site:
    """An area on which nothing stands."""
    none = UserLayer(crs, np.zeros(0, object), np.zeros(0, object))
    return site_of(Place(crs, crs), area, ((none, none), (none, none)), Ground(), None)


def _one(model: Any, real: Real, block: int, told: Wishes, made: Made, args: argparse.Namespace) -> None:
    """Generate a block and compare its windows."""
    area = scene_towns.block_area(real.blocks, block)
    site, began = bare_site(area, real.town.crs), time.process_time()
    if args.streets:
        grown = chain.lay(model, site, chain.Order(told), Progress())
    else:
        with tempfile.TemporaryDirectory() as beside:
            grown = chain.grow(model, site, chain.Order(told), str(Path(beside) / "x"), Progress())
    made.processor_s += time.process_time() - began
    for phase, value in grown.seconds.items():
        made.clock_s[phase] = made.clock_s.get(phase, 0.0) + value
    network, scene, (west, south, _, _) = grown.laid.network, grown.scene, area.bounds
    houses = None if scene is None else scene.buildings.shapes
    found = features(network.lines, houses, area)
    made.km2 += area.area / 1e6
    made.raw.append(grown.laid.raw_share)
    for number in np.flatnonzero(real.block == block):
        row_, col = real.place[number]
        at = np.abs(found.bounds[:, :2] - (west + col * WINDOW_M, south + row_ * WINDOW_M)).sum(axis=1).argmin()
        figures = found.figures[at].copy()
        figures[np.isnan(real.figures[number]) & (np.arange(len(FEATURES)) >= BUILT)] = np.nan
        made.figures.append(figures)
        made.real.append(real.figures[number])
        made.town.append(real.name)
    if scene is not None:
        _tally(made, grown, site, told)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        shapes = {"roads": shapely.to_wkb(network.lines), "buildings": shapely.to_wkb([] if houses is None else houses)}
        np.savez(args.out / f"{real.name}_{block}_{told.steps}.npz", **shapes, rank=network.rank)


def _tally(made: Made, grown: chain.Grown, site: Site, told: Wishes) -> None:
    """Wishes, agreement, connectivity and proofs of one scene."""
    scene, area = grown.scene, site.area
    delivered = float(shapely.area(scene.buildings.shapes).sum()) / area.area
    if told.coverage is not None:
        made.asked.append((told.coverage, delivered))
    made.agreement.append(agreement(grown, scene, area))
    layers = Layers(scene.roads, scene.width_m, blocks=scene.blocks.shapes, buildings=scene.buildings.shapes, area=area)
    made.violations += sum(counts(validate(layers)).values())


def agreement(grown: chain.Grown, scene: Any, area: Any) -> tuple[float, float, float]:
    """SSIM of the shares of R at 10 m, and of G at 50 and 100 m, with those of the final buildings.

    G is taken as its wishes leave it, which is what the tool writes at these sizes and what R follows.
    """
    west, south, east, north = area.bounds
    frame = Frame(west, north, east - west, north - south)
    final = shares(shapely.orient_polygons(scene.buildings.shapes), frame, 10.0)
    cells = sampling.Rectangle(
        round(west / 10), round(south / 10), round((east - west) / 10), round((north - south) / 10)
    )
    coarse = sampling.Rectangle(cells.west // 5, cells.south // 5, cells.cols // 5, cells.rows // 5)
    middle = np.clip((grown.fields["R"].cut(cells)[0] + 1) / 2, 0, 1)
    top = np.clip((grown.fields["G"].cut(coarse)[0] + 1) / 2, 0, 1)
    return ssim(middle, final), ssim(top, _mean_of(final, 5)), ssim(_mean_of(top, 2), _mean_of(final, 10))


def _mean_of(values: np.ndarray, ratio: int) -> np.ndarray:
    rows, cols = (side // ratio for side in values.shape)
    return values[: rows * ratio, : cols * ratio].reshape(rows, ratio, cols, ratio).mean(axis=(1, 3))


def ssim(one: np.ndarray, two: np.ndarray, side: int = 7) -> float:
    """Mean structural similarity (Wang 2004) of two shares, in windows of ``side`` cells."""
    a, b = (values.astype(np.float64) for values in (one, two))
    ma, mb = uniform_filter(a, side), uniform_filter(b, side)
    va, vb = uniform_filter(a * a, side) - ma * ma, uniform_filter(b * b, side) - mb * mb
    cov = uniform_filter(a * b, side) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return float(((2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean())
