"""What the parts of EBCF-CDEM are worth: the thesis' Table 3.3 again, and what we changed, at one equal budget.

``python tests/benchmarks/ablation.py --data folder [--steps 500] [--json file]``

Every variant is trained anew with the same data, seed, batch and steps, on the training split only, and judged on the
held-back training regions: RMSE against that of the model ``baseline``, geometric mean over the regions. Variants: the
bias counted from the nearest known elevation or no bias (heights from the local mean), each with and without positional
encoding; then the two anchors and encodings that we ship. The field with as many steps closes the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import machine

from neural_terrain.core import learning
from neural_terrain.core.elevation import training
from neural_terrain.core.elevation.ebcf import EbcfSettings
from neural_terrain.core.elevation.field import FieldSettings

MODELS = machine.ROOT / "resources" / "models"
SCALES = ("x2", "x4", "x8")


def main() -> None:
    """Train every variant and print its line."""
    asked = arguments()
    recipe = training.Recipe.read(MODELS / "field" / "recipe.json")
    shape = dataclasses.replace(recipe.shape, queries=48)  # a perceptron per position is dear
    recipe = dataclasses.replace(recipe, steps=asked.steps, muon=False, warmup_steps=100, shape=shape)
    regions = learning.read_regions(asked.data / "dem" / "train", recipe)
    print(f"{asked.steps} steps of {recipe.batch} pairs, {asked.blocks} blocks of {asked.channels} channels")
    print(f"{'variant':44}{'x2':>8}{'x4':>8}{'x8':>8}{'minutes':>9}   (RMSE / baseline, held-back regions)", flush=True)
    rows = []
    for name, network in variants(asked):
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = training.Training(dataclasses.replace(recipe, network=network), regions, Path(folder))
            found: dict = {}
            run.run(found.update, asked.steps)
        minutes = (time.monotonic() - started_s) / 60
        rows.append({"variant": name, "minutes": minutes, **{scale: found[scale] for scale in SCALES}})
        print(f"{name:44}" + "".join(f"{found[s]:8.3f}" for s in SCALES) + f"{minutes:9.1f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def variants(asked: argparse.Namespace) -> list[tuple[str, EbcfSettings | FieldSettings]]:
    """Names and networks, all with one trunk."""
    trunk = {"blocks": asked.blocks, "channels": asked.channels}
    return [
        ("ebcf, thesis: bias from nearest, encoding", EbcfSettings(**trunk, anchor="nearest", frequencies=10)),
        ("ebcf, bias from nearest, no encoding", EbcfSettings(**trunk, anchor="nearest", frequencies=0)),
        ("ebcf, no bias, encoding", EbcfSettings(**trunk, anchor="none", frequencies=10)),
        ("ebcf, no bias, no encoding", EbcfSettings(**trunk, anchor="none", frequencies=0)),
        ("ebcf as shipped: bias from smooth surface", EbcfSettings(**trunk)),
        ("field", FieldSettings(**trunk)),
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with dem/train")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
