"""A trained model from fine DEMs: what *Train or fine-tune a DEM model* does in the engine.

Joins the parts that do not know each other: DEM files (:mod:`.learning`), the training loop and the judgement on
held-back ground (:mod:`.elevation`), and the folder that is written (:mod:`.model_folder`). A budget of minutes decides
the end; the learning rate follows the share of it that is used.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import learning, model_card, raster, table, training_report
from .elevation import card as cards
from .elevation import compute, surface, training, uncertainty, validation, weights
from .elevation import recipe as recipes
from .elevation.card import Card
from .elevation.compute import Compute
from .elevation.field import Field
from .elevation.field_surface import FieldSurface
from .elevation.recipe import Recipe
from .elevation.training import Training
from .elevation.validation import Judgement, Validation
from .elevation.weights import Weights
from .errors import Cancelled, TerrainError
from .jobs.traindem import UNKNOWN, Settings
from .learning import Dem, Ground
from .model_card import Outcome
from .model_folder import ModelFolder, check_place
from .progress import Progress
from .raster import Reading

RECIPES = Path(__file__).resolve().parents[1] / "resources" / "recipes"
DEFAULT_FAMILY = "field"
FINE_TUNING_RATE = 0.25
"""Share of a recipe's learning rate with which a trained model goes on learning."""

ELEVATION_SHARE = 0.9
"""Share of the minutes for the elevation of a field; in the rest it learns how far it errs."""

UNLIMITED_STEPS = 10**9
LEAST_COARSE_PX = 32
LEAST_SCALE = 2.0
BYTES_PER_CELL, BYTES_WHILE_READING = 5, 30

LOOKS = 24
"""Judgements in a training, fewer where they would take more than a tenth of the time."""

TEXT_EVERY_S = 20.0

PATIENCE = 6
"""Judgements without a better one after which the rate begins to fall, and when it is falling, the training ends."""


@dataclass(frozen=True)
class Start:
    """Where a training begins: its recipe, and the model that it goes on from, if any."""

    recipe: Recipe
    base: Card | None
    weights: Weights | None


def train(settings: Settings, progress: Progress) -> dict:
    """Write the model folder of ``settings``; returns plain values for the caller's report."""
    progress.report(0, "Reading the recipe")
    output = Path(settings.output)
    check_place(output)
    _check_report(settings)
    _check_card_texts(settings, progress)
    where = compute.choose(settings.device)
    start = start_of(settings, progress)
    ground = read_ground(settings, start.recipe, progress.step(0, 0.03))
    start = replace(start, recipe=fitted(start.recipe, ground, progress))
    folder = ModelFolder(output, keep_on_close=settings.keep)
    try:
        course = Course(settings, start, ground, folder, where)
        course.run(progress.step(0.03, 0.88))
        course.learn_error(progress.step(0.88, 0.98))
        progress.report(0.98, "Writing the model")
        values = course.finish(progress)
        folder.commit()
    except Cancelled:
        folder.close()
        if settings.keep and output.is_dir():
            progress.info(f"Cancelled; the best model so far is in {output}.")
        raise
    finally:
        folder.close()
    if settings.report:
        page = training_report.page(course.card_values(), course.rows, progress.warnings)
        table.write_whole(settings.report, page)
    return {**values, "output": settings.output, "report": settings.report, "warnings": progress.warnings}


def start_of(settings: Settings, progress: Progress) -> Start:
    """The default recipe of the family, what the user's recipe changes in it, and the model to go on from."""
    own = recipes.read_values(Path(settings.recipe)) if settings.recipe else {}
    base = None if settings.is_new else cards.find(settings.model)
    if base is not None and base.family not in recipes.FAMILIES:
        raise TerrainError(
            f"The model {base.name} is of family {base.family}, which cannot be trained; choose one of family "
            f"{' or '.join(recipes.FAMILIES)}, or leave MODEL empty for a new one."
        )
    family = own.get("family", base.family if base else DEFAULT_FAMILY)
    if base is not None and family != base.family:
        raise TerrainError(
            f"The recipe is for family {family}, but the model {base.name} is of family {base.family}; "
            "give a recipe of that family, or leave MODEL empty for a new model."
        )
    recipes.check_family(family)
    values = recipes.merged(recipes.read_values(RECIPES / f"{family}.json"), own)
    values.setdefault("steps", UNLIMITED_STEPS)
    if settings.seed is not None:
        values["seed"] = int(settings.seed)
    if base is not None:
        values["network"] = _network_of(base, own)
        values["learning_rate"] = own.get("learning_rate", FINE_TUNING_RATE * values["learning_rate"])
    if values.get("muon") and "muon" not in own and not training.has_muon():
        values["muon"] = False
        progress.info("This PyTorch has no Muon optimiser; AdamW is used, which learns a little slower.")
    return Start(Recipe.from_values(values), base, weights.read(base) if base else None)


def _network_of(base: Card, own: dict) -> dict:
    """The shape on the card; a recipe that asks for another one is refused."""
    asked = own.get("network", {})
    if isinstance(asked, dict) and all(base.network.get(name, value) == value for name, value in asked.items()):
        return base.network
    raise TerrainError(
        f"The recipe asks for another network than that of the model {base.name}; leave the network out of the recipe, "
        "or leave MODEL empty for a new model."
    )


def _check_report(settings: Settings) -> None:
    """See before hours of training that the report can be written after them."""
    folder = Path(settings.report).absolute().parent
    if settings.report and not folder.is_dir():
        raise TerrainError(f"The folder {folder} does not exist; make it or choose another for the report.")


def _check_card_texts(settings: Settings, progress: Progress) -> None:
    if (cards.SHIPPED / settings.model_name / "card.json").is_file():
        raise TerrainError(f"The name {settings.model_name} is that of a shipped model; choose another NAME.")
    for label in ("licence", "credit"):
        if not getattr(settings, label):
            progress.warn(
                f"The {label} of the DEMs was not given; the model card says {UNKNOWN!r}. "
                f"Name it with {label.upper()} before you pass the model on."
            )


# ---------------------------------------------------------------------------------------------------------------------
# Ground


def read_ground(settings: Settings, recipe: Recipe, progress: Progress) -> Ground:
    """Read every DEM and hold back a part; DEMs that are too small are left out with a warning."""
    readings = _readings(settings)
    _refuse_too_much(readings)
    dems = []
    for number, (path, reading) in enumerate(readings):
        progress.report(number / len(readings), f"Reading {Path(path).name}")
        dem = learning.read_dem(path, reading)
        if min(dem.grid.shape) < learning.LEAST_PX or not dem.region.valid.any():
            progress.warn(f"The DEM {Path(path).name} is left out: {_why_useless(dem)}.")
        else:
            dems.append(dem)
    if not dems:
        raise TerrainError(
            f"No DEM can be learned from; one needs at least {learning.LEAST_PX} x {learning.LEAST_PX} cells."
        )
    return learning.hold_back(dems, recipe.validation)


def _readings(settings: Settings) -> list[tuple[str, Reading]]:
    """Files with how they are read: those given one by one, then those of the folder, none twice."""
    count = len(settings.input)
    crs, no_data = settings.crs or ("",) * count, settings.no_data or ((),) * count
    found = [(p, Reading(crs=c, no_data=n)) for p, c, n in zip(settings.input, crs, no_data, strict=True)]
    given = {Path(path).resolve() for path, _ in found}
    if settings.folder:
        inside = sorted(p for p in Path(settings.folder).iterdir() if p.suffix.lower() in (".tif", ".tiff", ".vrt"))
        found += [(str(path), Reading()) for path in inside if path.resolve() not in given]
    if not found:
        raise TerrainError(f"The folder {settings.folder} has no .tif, .tiff or .vrt files; choose one with DEMs.")
    return found


def _refuse_too_much(readings: Sequence[tuple[str, Reading]]) -> None:
    cells = []
    for path, reading in readings:
        with raster.Source(path, reading) as source:
            cells.append(source.grid.rows * source.grid.cols)
    need, have = BYTES_PER_CELL * sum(cells) + BYTES_WHILE_READING * max(cells), compute.memory_bytes() / 2
    if need > have:
        raise TerrainError(
            f"The DEMs have {sum(cells) / 1e6:.0f} million cells, which take about {need / 2**30:.1f} GB to read; "
            f"{have / 2**30:.1f} GB can be used here. Give fewer or smaller ones, clipped for instance."
        )


def _why_useless(dem: Dem) -> str:
    if not dem.region.valid.any():
        return "it has no valid cell"
    return (
        f"it has {dem.grid.cols} x {dem.grid.rows} cells, at least {learning.LEAST_PX} x {learning.LEAST_PX} are needed"
    )


def fitted(recipe: Recipe, ground: Ground, progress: Progress) -> Recipe:
    """The recipe with pairs no larger than the ground: smaller crops first, then a smaller largest scale."""
    shape, wanted = recipe.shape, recipe.degradations
    enough = math.ceil(shape.coarse_px * wanted.scale_max) + 1
    side = max(learning.gap_free_px(dem.region.valid, enough) for dem in ground.learn) - 1
    least = min(max(LEAST_COARSE_PX, 2 * shape.margin_px + 8), shape.coarse_px)
    if side < least * LEAST_SCALE:
        raise TerrainError(
            f"The largest square without a void that is left to learn from has {side + 1} cells a side, at least "
            f"{math.ceil(least * LEAST_SCALE) + 1} are needed; give a larger DEM, or fill its voids first."
        )
    coarse_px = int(np.clip(side / wanted.scale_max, least, shape.coarse_px))
    scale_max = min(wanted.scale_max, side / coarse_px)
    if (coarse_px, scale_max) == (shape.coarse_px, wanted.scale_max):
        return recipe
    progress.info(
        f"The DEMs are small for the recipe: training crops have {coarse_px} coarse cells a side, "
        f"scales go up to {scale_max:.3g}."
    )
    scale_min = min(wanted.scale_min, scale_max)
    degradations = replace(wanted, scale_max=scale_max, scale_min=scale_min)
    return replace(recipe, shape=replace(shape, coarse_px=coarse_px), degradations=degradations)


# ---------------------------------------------------------------------------------------------------------------------
# The training


class Clock:
    """How much of the budget is gone, by minutes and by steps, whichever is ahead."""

    def __init__(self, minutes: float, steps: int) -> None:
        self._budget_s, self._steps = minutes * 60, float(steps)
        self._began_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the training began."""
        return time.monotonic() - self._began_s

    def used(self, step: int) -> float:
        """Share of the budget, 0 to 1."""
        return min(1.0, max(self.seconds / self._budget_s, step / self._steps))

    def bring_forward(self, step: int, share: float) -> None:
        """Shorten the budget so that ``share`` of it is used now."""
        used = self.used(step)
        if used < share:
            self._budget_s *= used / share
            self._steps *= used / share


class Course:
    """One training from its first judgement to the best model: its clock, its log, and what was best."""

    def __init__(self, settings: Settings, start: Start, ground: Ground, folder: ModelFolder, where: Compute) -> None:
        self._settings, self._start, self._ground = settings, start, ground
        self._folder, self._compute = folder, where
        recipe = replace(start.recipe, validation=())
        regions = [dem.region for dem in ground.learn]
        regions += [one for region in regions for one in learning.coarser(region, recipe)]
        self._training = Training(recipe, regions, None, where, start.weights)
        scales = [s for s in validation.SCALES if s <= recipe.degradations.scale_max]
        self._validation = Validation([dem.region for dem in ground.judge], scales)
        self.rows: list[dict] = []
        self._best: tuple[float, int, list[Judgement]] = (math.inf, 0, [])
        self._looks_since_best, self._seconds = 0, 0.0
        self._text, self._text_s = "", 0.0

    def run(self, progress: Progress) -> None:
        """Train until the budget is used, or nothing gets better any more."""
        recipe, under_way = self._start.recipe, self._training
        progress.info(self._announcement())
        looks = self._first_look()
        minutes = self._settings.minutes * (ELEVATION_SHARE if self._tells_error else 1.0)
        clock, losses, done, turn = Clock(minutes, recipe.steps), [], 0, 1 - recipe.cooldown_share
        while (used := clock.used(under_way.step)) < 1:
            losses.append(under_way.advance(recipe.rate_of_budget(under_way.step, used)))
            progress.report(used, self._said(clock))
            if int(clock.used(under_way.step) * looks) <= done:
                continue
            self._look(clock, losses)
            losses.clear()
            if self._looks_since_best >= PATIENCE:
                if clock.used(under_way.step) >= turn:
                    progress.info(f"No gain in {PATIENCE} judgements; the training ends at step {under_way.step}.")
                    break
                progress.info(f"No gain in {PATIENCE} judgements; the learning rate begins to fall now.")
                clock.bring_forward(under_way.step, turn)
                self._looks_since_best = 0
            done = int(clock.used(under_way.step) * looks)
        if losses:
            self._look(clock, losses)
        self._seconds = clock.seconds

    @property
    def _tells_error(self) -> bool:
        """Whether the family can learn to tell its error."""
        return self._start.recipe.family == "field"

    def learn_error(self, progress: Progress) -> None:
        """Let the best field learn how far it errs, and calibrate that on the held-back ground; heights stay."""
        if not self._tells_error or not math.isfinite(self._best[0]):
            return
        began_s = time.monotonic()
        progress.report(0, "Learning the uncertainty")
        draft = self._folder.draft()
        values = {**self.card_values(), "weights": training.export(self._with_spread(progress.step(0, 0.7)), draft)}
        _write_json(draft / "card.json", values)
        model = FieldSurface(cards.read(draft), self._compute)
        found = uncertainty.calibrate(model, self._validation.pieces, learning.fill_all, progress.step(0.7, 1))
        self._seconds += time.monotonic() - began_s
        if found is None:
            progress.info(learning.TOO_SMALL_TO_CALIBRATE)
            return
        _write_json(draft / "card.json", {**values, "calibration": found.values()})
        self._write_about(draft)
        self._folder.keep(draft)

    def _with_spread(self, progress: Progress) -> Field:
        """The best network with its spread head trained; a base that was not improved stays as it is."""
        network: Field = training.build(self._start.recipe, self._compute.device)
        network.load_state_dict(weights.read(cards.read(self._folder.kept)))
        if self._best[1] > 0:
            steps = math.ceil(self._training.step * (1 / ELEVATION_SHARE - 1))
            uncertainty.learn_spread(network, self._training, min(steps, uncertainty.SPREAD_STEPS), progress)
        return network

    def finish(self, progress: Progress) -> dict:
        """Complete the best model's files and say how good it is."""
        best, step, judgements = self._best
        if not math.isfinite(best):
            raise TerrainError(
                f"The training came to no usable model in {self._training.step} steps; give a recipe with a lower "
                "learning_rate, or look for impossible heights in the DEMs."
            )
        self._warn(step, validation.ratios(judgements), progress)
        self._write_about(self._folder.kept)
        ratios = validation.ratios(judgements)
        progress.info("RMSE against the baseline on held-back ground: " + _listed(ratios) + f" (step {step}).")
        return {
            "steps": self._training.step,
            "best_step": step,
            **{f"ratio_x{scale}": ratios.get(scale) for scale in validation.SCALES},
            "minutes": round(self._seconds / 60, 3),
            "device": str(self._compute),
        }

    def _first_look(self) -> int:
        """Judge the start, which is a candidate where a model is fine-tuned; returns how often to look."""
        began_s = time.monotonic()
        self._look(Clock(self._settings.minutes, 1), [], counts=self._start.base is not None)
        if not self.rows[0].keys() & {"x2", "x4", "x8"}:
            raise TerrainError(
                "The held-back part of the DEMs is too flat, too small or too full of voids to judge a model by; "
                "give further DEMs, or name one to hold back under validation in a recipe."
            )
        self.rows[0]["minutes"] = 0.0  # the budget counts from the first step
        look_s = max(time.monotonic() - began_s, 1e-3)
        return int(np.clip(self._settings.minutes * 60 / (10 * look_s), 4, LOOKS))

    def _look(self, clock: Clock, losses: Sequence[float], *, counts: bool = True) -> None:
        """Judge the averaged weights; the best so far are kept as a complete model."""
        draft = self._folder.draft()
        model = self._draft_model(draft)
        judgements = self._validation.judge(model)
        self._seconds = clock.seconds
        self.rows.append(self._row(clock, losses, judgements))
        found = validation.score(judgements)
        self._looks_since_best += 1
        if counts and found < self._best[0]:
            self._best, self._looks_since_best = (found, self._training.step, judgements), 0
            self._write_about(draft)
            self._folder.keep(draft)

    def _draft_model(self, draft: Path) -> surface.Surface:
        """The averaged weights as users will run them, rounded to float16 in a folder with a card."""
        entry = training.export(self._training.averaged(), draft)
        about = model_card.identity(self._settings, self._start.recipe, self._start.base, self._ground)
        values = {**about, "weights": entry}
        _write_json(draft / "card.json", values)
        model = surface.load(cards.read(draft), self._compute)
        _write_json(draft / "card.json", {**values, "halo_px": model.halo_px})
        return model

    def _row(self, clock: Clock, losses: Sequence[float], judgements: Sequence[Judgement]) -> dict:
        finite = [value for value in losses if math.isfinite(value)]
        step = self._training.step
        return {
            "step": step,
            "minutes": round(clock.seconds / 60, 4),
            "loss": float(np.mean(finite)) if finite else None,
            "rate": self._start.recipe.rate_of_budget(step, clock.used(step)),
            "skipped": self._training.skipped,
            **{f"x{scale}": ratio for scale, ratio in validation.ratios(judgements).items()},
        }

    def _announcement(self) -> str:
        recipe, ground = self._start.recipe, self._ground
        cells = sum(int(dem.region.valid.sum()) for dem in ground.learn) / 1e6
        base = f"fine-tuned from {self._start.base.name}" if self._start.base else "new"
        return (
            f"Training a model of family {recipe.family} ({base}) on {self._compute} with {cells:.2f} million cells, "
            f"DEMs: {len(ground.dems)}, for up to {self._settings.minutes:g} minutes."
        )

    def _said(self, clock: Clock) -> str:
        """How far it is; the same text for a while, since every new one is a line in QGIS's log."""
        if self._text and clock.seconds - self._text_s < TEXT_EVERY_S:
            return self._text
        found = {name: value for name, value in self.rows[-1].items() if name in ("x2", "x4", "x8")}
        judged = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        self._text_s = clock.seconds
        self._text = (
            f"Minute {clock.seconds / 60:.1f} of {self._settings.minutes:g}, step {self._training.step}, "
            f"RMSE against the baseline {judged}"
        )
        return self._text

    def _warn(self, step: int, ratios: dict[int, float], progress: Progress) -> None:
        if self._training.skipped:
            progress.warn(f"{self._training.skipped} steps were skipped because their loss was not a number.")
        if self._start.base is not None and step == 0:
            progress.warn(
                f"The training did not improve the model {self._start.base.name} on the held-back ground; the result "
                "has its weights unchanged. Give more DEMs or MINUTES, or use that model as it is."
            )
        worse = [f"x{scale} ({ratio:.2f})" for scale, ratio in ratios.items() if ratio >= 1]
        if worse:
            progress.warn(
                f"On the held-back ground the model is no better than the baseline at {', '.join(worse)}, a ratio of "
                "RMSE where 1 is even; give more DEMs or MINUTES, or use the model 'baseline' there."
            )

    # What the folder says

    def card_values(self) -> dict:
        """The card of the best model, as it stands."""
        values: dict = json.loads((self._card_folder() / "card.json").read_text(encoding="utf-8"))
        return values

    def _card_folder(self) -> Path:
        return self._folder.kept if self._folder.kept.is_dir() else self._folder.path

    def _write_about(self, folder: Path) -> None:
        """Everything beside the weights, as known now."""
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        told = model_card.told(self._settings, self._start.recipe, self._start.base, self._ground, self._outcome())
        _write_json(folder / "card.json", {**card, **told})
        _write_json(folder / "recipe.json", self._recipe_values())
        log = "".join(json.dumps(row) + "\n" for row in self.rows)
        (folder / "log.jsonl").write_text(log, encoding="utf-8")
        for name, draw in (("loss", training_report.loss_curve), ("validation", training_report.validation_curve)):
            (folder / f"{name}.svg").write_text(draw(self.rows), encoding="utf-8")

    def _outcome(self) -> Outcome:
        _, best_step, judgements = self._best
        under_way = self._training
        return Outcome(under_way.step, best_step, under_way.skipped, self._seconds / 60, str(self._compute), judgements)

    def _recipe_values(self) -> dict:
        values = self._start.recipe.values()
        if values["steps"] == UNLIMITED_STEPS:
            del values["steps"]
        return values


def _listed(ratios: dict[int, float]) -> str:
    return ", ".join(f"x{scale} {ratio:.3f}" for scale, ratio in ratios.items())


def _write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
