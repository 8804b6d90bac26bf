"""What a run says to its user beside progress: warnings about the result, each once, and what it will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import grid as grids
from .. import voids
from ..pipeline.clock import duration
from ..progress import Progress
from ..raster import announce
from ..tiling import Plan
from .work import Work

if TYPE_CHECKING:
    from .outputs import Counts, Outputs


def before(work: Work, compute: str, progress: Progress) -> None:
    """What matters about the input, the model and the plan."""
    source, model, target = work.source, work.model, work.plan.target
    announce(source, progress)
    _of_the_model(work, progress)
    progress.info(
        f"Model {model.card.name} {model.card.version} on {compute}: {target.grid.cols} x {target.grid.rows} "
        f"cells in {len(work.plan)} tiles, about {work.plan.peak_bytes / 2**20:.0f} MB for tiles."
    )


def _of_the_model(work: Work, progress: Progress) -> None:
    card, target = work.model.card, work.plan.target
    for text in card.warnings_of(grids.typical_m(work.cell_m), max(target.rows.scale, target.cols.scale)):
        progress.warn(text)
    if not work.wanted.honour and not work.model.honours_input:
        progress.info(
            f"The model {card.name} keeps the averages of coarse cells only nearly, whatever HONOUR_INPUT says."
        )


def of_the_journal(outputs: Outputs, plan: Plan, progress: Progress) -> None:
    """Whether an unfinished run is continued."""
    if outputs.done:
        progress.info(f"An unfinished run is continued: {len(outputs.done)} of {len(plan)} tiles are there.")
    elif outputs.journal.differs:
        progress.info(
            "An unfinished run was found, but it differs from this one in its "
            f"{' and '.join(outputs.journal.differs)}; this run starts anew."
        )


def forecast(seconds: float, size_bytes: float, progress: Progress) -> None:
    """How much time the rest of a run will take, and how much disk the whole."""
    progress.info(f"The rest of the run will take about {duration(seconds)}; its files will have {_size(size_bytes)}.")


def of_filling(counts: Counts, plan: Plan, progress: Progress, *, wanted: bool) -> None:
    """How many cells were filled, and which voids are not."""
    if not wanted or not (counts.filled or counts.without):
        return
    cells = plan.target.grid.rows * plan.target.grid.cols
    progress.info(
        f"Voids: {counts.filled} cells of the result ({counts.filled / cells:.2%}) were filled, {counts.without} "
        f"({counts.without / cells:.2%}) stay no-data. Voids that reach the edge of the DEM, are wider than "
        f"{voids.WIDEST_PX} or longer than {voids.LONGEST_PX} of its cells, or have more than {voids.MOST_CELLS} cells "
        "are not filled."
    )


def _size(count: float) -> str:
    return f"about {count / 1e6:.0f} MB" if count < 1e9 else f"about {count / 1e9:.1f} GB"
