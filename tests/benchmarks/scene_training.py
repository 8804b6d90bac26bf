"""Training of the scene model, from the towns of the data folder to the weights and the card that are shipped.

    make train-scene DATA=folder ARGS='prepare'    towns as arrays in build/scene (2 minutes)
    make train-scene DATA=folder ARGS='train G'    one stage; a broken run goes on where it stopped
    make train-scene DATA=folder ARGS='export'     weights and card in resources/scene

Everything that decides the result is in resources/scene/recipe.json; an ablation changes a member of it and exports
one stage beside copies of the others: ``train R --models FOLDER --change use_prior=false steps=1500``, then ``export R
--models FOLDER --out COPY`` with the same changes. ``DATA`` holds ``scene/cities/NAME.gpkg`` and
``scene/streets/*.parquet``; reading the latter needs pyarrow, which nothing else here does.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import machine
import numpy as np
import shapely

from neural_terrain.core import aside
from neural_terrain.core.scene import recipe as recipes
from neural_terrain.core.scene import towns
from neural_terrain.core.scene.card import SHIPPED
from neural_terrain.core.scene.fields import block_places, rasterise_block
from neural_terrain.core.scene.preparation import Town, read_town
from neural_terrain.core.scene.road_classes import ranks
from neural_terrain.core.scene.road_graph import road_graph
from neural_terrain.core.scene.stages import STAGES
from neural_terrain.core.scene.training import Training
from neural_terrain.core.scene.weights import export

FOLDER = machine.ROOT / "build" / "scene"


def read(data: Path, name: str) -> Town:
    """A town of the recipe: one with buildings, or a network of streets alone."""
    if not name.startswith("street_"):
        return read_town(data / "scene" / "cities" / f"{name}.gpkg")
    import pyarrow.parquet

    path = next((data / "scene" / "streets").glob(name.removeprefix("street_") + "*.parquet"))
    table = pyarrow.parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"geo"])
    lines = shapely.from_wkb(table[about["primary_column"]].to_pylist())
    parts, source = shapely.get_parts(lines, return_index=True)
    rank = ranks(np.array([value or "" for value in table["highway"].to_pylist()], object)[source])
    none: Any = np.zeros(0, object)
    long = shapely.length(parts) > 1.0
    return Town(name, "", none, np.zeros(0), parts[long], rank[long])


def prepare(data: Path, folder: Path, name: str) -> None:
    """Write the arrays of a town that training opens."""
    town = read(data, name)
    places = block_places(town)
    blocks = [rasterise_block(town, *place) for place in places]
    folder.mkdir(parents=True, exist_ok=True)
    about = {"places": [list(map(int, place)) for place in places], "heights": town.has_heights}
    (folder / f"{name}.json").write_text(json.dumps(about))
    if len(town.buildings):
        np.save(folder / f"{name}_fine.npy", np.stack([block.fine for block in blocks]))
    middle = np.stack([block.middle for block in blocks]).astype(np.float16)
    towns.prepare_town(folder, name, middle, np.array(places), town.has_heights)
    graph = road_graph(town.roads, town.rank)
    np.savez(folder / f"{name}_graph.npz", easting_northing=graph.easting_northing, edges=graph.edges, rank=graph.rank)
    print(f"{name}: {len(places)} blocks")


def train(folder: Path, stage: str, out: Path, changes: dict) -> bool:
    """Train a stage to its end or until a signal; whether it has ended."""
    plan = recipes.recipe(stage, **changes)
    material = [towns.load_town(folder, name) for name in recipes.places()]
    drawn, judged = (towns.Sampler(material, STAGES[stage], plan.side, held) for held in (False, True))
    training = Training(plan, drawn, judged, out / stage)
    print(f"{stage}: {training.phase}, step {training.step}")
    return training.run()


def write_card(models: Path, out: Path, stages: list[str], changes: dict) -> None:
    """Weights of trainings in half precision, named by the card that lies beside them; its other members stay.

    All files take their places together, so that no card lies beside weights that are not its own.
    """
    about = json.loads((out / "card.json").read_text(encoding="utf-8"))
    about["places"] = {place: number for number, place in enumerate(recipes.places().values())}
    with aside.together() as files:
        for name in stages:
            network, path = recipes.recipe(name, **changes).settings, files.part(out / f"{name}.safetensors")
            about["stages"][name] = export(name, models / name, network, path)
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        files.part(out / "card.json").write_text(text, encoding="utf-8")
        files.part(out / "card.md").write_text(page(about), encoding="utf-8")
    print(f"{sum(stage['weights']['bytes'] for stage in about['stages'].values()) / 1e6:.2f} MB in {out}")


def page(about: dict) -> str:
    """The card for people."""
    training, stages = about["training"], about["stages"]
    sizes = [
        f"| {name} | {STAGES[name].cell_m:g} m | {stage['weights']['bytes'] / 1e6:.2f} MB | "
        f"{stage['trained']['steps']:,} | {stage['trained']['cpu_hours']} |"
        for name, stage in stages.items()
    ]
    head = ["| stage | cells | size | steps | processor hours |", "|---|---|---|---|---|"]
    data = [f"- {one['what']}: {one['licence']}, {one['credit']}." for one in training["data"]]
    results = [f"| {one['comparison']} | {one['w1_sd']} | {one['fd15']} |" for one in about["results"]]
    parts = [
        f"# {about['title']}", about["summary"],
        f"Version {about['version']}. Licence: {about['licence']}. Credit: {about['attribution']}.",
        f"Styles: mixed, {', '.join(about['styles'])}.",
        "## Weights", "\n".join([*head, *sizes]),
        "## Data", "\n".join(data), f"Held back: {training['held_back']}. Preparation: {training['preparation']}.",
        f"Recipe: `{training['recipe']}`; hardware: {training['hardware']}.",
        "## Measured", about["protocol"],
        "\n".join(["| comparison | W1/SD | FD15 |", "|---|---|---|", *results]) if results else "Not yet.",
        "## Limits", "\n".join(f"- {sentence}" for sentence in about["beware"]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "train", "export"])
    parser.add_argument("stage", nargs="?", choices=list(STAGES))
    parser.add_argument("--blocks", type=Path, default=FOLDER / "blocks", help="folder of prepared towns")
    parser.add_argument("--models", type=Path, default=FOLDER / "models", help="folder of trainings")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--change", nargs="*", default=[], metavar="NAME=JSON", help="members of the recipe")
    args = parser.parse_args()
    changes = {name: json.loads(value) for name, value in (change.split("=", 1) for change in args.change)}
    stages = [args.stage] if args.stage else list(STAGES)
    if args.what == "export":
        write_card(args.models, args.out, stages, changes)
        return 0
    if args.what == "prepare":
        for name in recipes.places():
            prepare(Path(os.environ["DATA"]), args.blocks, name)
        return 0
    return 0 if all(train(args.blocks, stage, args.models, changes) for stage in stages) else 3


if __name__ == "__main__":
    raise SystemExit(main())
