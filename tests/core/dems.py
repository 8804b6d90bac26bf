"""Small DEM files and small models that the tests make for themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import torch
from rasterio.transform import Affine
from safetensors.torch import save_file

from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings
from neural_terrain.core.elevation.field import Field, FieldSettings
from neural_terrain.core.progress import CallbackProgress

UTM = "EPSG:32611"
TINY = {"blocks": 2, "channels": 8, "width": 16}
TINY_FIELD = {"blocks": 1, "channels": 8}
TINY_FIELD_HALO_PX = 38
CALIBRATION = {
    "coverage": 0.9, "scales": [2.0, 4.0, 8.0], "slopes_deg": [1.0, 3.5, 7.5, 15.0, 25.0, 45.0],
    "factors": [[0.8, 1.0, 1.2, 1.5, 1.6, 1.7], [1.0, 1.2, 1.5, 1.8, 1.9, 2.0], [1.5, 1.6, 1.7, 2.0, 2.2, 2.4]],
    "filled": [3.0, 3.5, 4.0],
}  # fmt: skip


def write(path: Path, heights: np.ndarray, **profile: Any) -> str:
    """Write a GeoTIFF (or what ``driver`` says) with 30 m cells in UTM unless told otherwise; returns its path."""
    values = {
        "driver": "GTiff", "count": 1, "height": heights.shape[0], "width": heights.shape[1], "dtype": heights.dtype,
        "crs": UTM, "transform": Affine(30, 0, 400_000, 0, -30, 4_000_000), **profile,
    }  # fmt: skip
    extra = {name: values.pop(name) for name in ("tags", "units", "scales", "offsets", "mask") if name in values}
    with rasterio.open(path, "w", **values) as file:
        file.write(heights, 1)
        file.update_tags(**extra.pop("tags", {}))
        if "mask" in extra:
            file.write_mask(extra.pop("mask"))
        for name, value in extra.items():
            setattr(file, name, (value,))
    return str(path)


def virtual(path: Path, member: str) -> str:
    """A VRT that reads a raster; returns its path."""
    rasterio.shutil.copy(member, path, driver="VRT")
    return str(path)


def read(path: str | Path) -> np.ndarray:
    """Band 1 as stored."""
    with rasterio.open(path) as file:
        return file.read(1)


def tiny_ebcf(folder: Path, seed: int = 1) -> str:
    """A folder with an EBCF model that is quick and that is not zero anywhere; returns the folder's path."""
    torch.manual_seed(seed)
    network = Ebcf(EbcfSettings(**TINY))
    torch.nn.init.normal_(network.bias.weight, std=0.2)
    return _model(folder, network, {"name": "tiny", "family": "ebcf", "halo_px": 32, "network": TINY})


def tiny_field(folder: Path, seed: int = 1, *, calibrated: bool = True) -> str:
    """A folder with a field model that is quick and that is not zero anywhere; returns the folder's path."""
    torch.manual_seed(seed)
    network = Field(FieldSettings(**TINY_FIELD))
    for head in (network.height, network.spread):
        torch.nn.init.normal_(head.last.weight, std=0.03)
    about = {"name": "tinyfield", "family": "field", "halo_px": TINY_FIELD_HALO_PX, "network": TINY_FIELD}
    return _model(folder, network, {**about, "calibration": CALIBRATION} if calibrated else about)


def _model(folder: Path, network: torch.nn.Module, about: dict) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, weights)
    digits = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = {
        "title": "Tiny", "summary": "For tests.", "version": "1", "licence": "none",
        "input": {"cell_size_m": [1, 1000], "scale": [1, 16]},
        "weights": {"file": weights.name, "bytes": weights.stat().st_size,
                    "sha256": " ".join(digits[i : i + 8] for i in range(0, 64, 8))},
        **about,
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return str(folder)


class Heard(CallbackProgress):
    """Keeps every event; is cancelled once ``stop_at`` tiles are done."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.events: list[dict] = []
        self._stop_at = stop_at
        super().__init__(self.events.append, self._enough)

    def _enough(self) -> bool:
        done = sum(e["type"] == "progress" and e["text"].startswith("Tile") for e in self.events)
        return self._stop_at is not None and done >= self._stop_at

    def texts(self, kind: str) -> list[str]:
        """Texts of the events of a type."""
        return [e["text"] for e in self.events if e["type"] == kind]
