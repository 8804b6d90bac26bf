"""*Compare scenes*: "is this made-up town like the real one, in figures?"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import comparescenes as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class CompareScenes(TerrainAlgorithm):
    """Two scenes in, real or made; distances of their morphology out."""

    NAME = "comparescenes"
    LABEL = "Compare scenes"
    GROUP = "Scene generation"
    SUMMARY = "Compares streets and buildings of two areas, real or made, by distances of their morphology."
    TAGS = ("scene", "city", "town", "compare", "morphology", "urban form", "similarity", "distance", "wasserstein",
            "frechet", "roads", "buildings", "statistics", "realism")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.roads("Centrelines of the first scene, in any CRS.", "ROADS_A", "Roads of A"),
        parameters.polygons("BUILDINGS_A", "Buildings of A", "Footprints of the first scene, in any CRS."),
        parameters.features(
            "AREA_A", "Area of A", "Polygons that the first scene is cut to. Empty: the box around it.", "polygon"
        ),
        parameters.roads("Centrelines of the second scene, in any CRS.", "ROADS_B", "Roads of B"),
        parameters.polygons("BUILDINGS_B", "Buildings of B", "Footprints of the second scene, in any CRS."),
        parameters.features(
            "AREA_B", "Area of B", "Polygons that the second scene is cut to. Empty: the box around it.", "polygon"
        ),
        parameters.number(
            "WINDOW",
            "Window (m)",
            "Side of the squares that are compared, in metres; both areas need some dozens of them.",
            default=job.DEFAULT_WINDOW_M,
            low=job.LEAST_WINDOW_M,
        ),
        parameters.table_output(
            "OUTPUT",
            "Table",
            "CSV or JSON of all features of both scenes and their distances.",
            "CSV files (*.csv);;JSON files (*.json)",
        ),
        parameters.html_output(
            "REPORT", "Report", "HTML page of all features side by side; its figures as JSON beside it."
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("W1_SD", "Mean Wasserstein distance, in standard deviations of A", "w1_sd"),
        Output("FD", "Frechet distance of the standardised features", "fd15"),
        Output("WINDOWS_A", "Windows of A", "windows_a"),
        Output("WINDOWS_B", "Windows of B", "windows_b"),
        Output("SECONDS", "Seconds", "seconds"),
    )
