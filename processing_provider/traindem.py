"""*Train or fine-tune a DEM model*: "the models do not know my kind of ground, but I have fine DEMs of it"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import traindem as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class TrainDem(TerrainAlgorithm):
    """Fine DEMs in, a model folder out that *Super-resolve DEM* takes as its model."""

    NAME = "traindem"
    LABEL = "Train or fine-tune a DEM model"
    GROUP = "Elevation"
    SUMMARY = "Trains a continuous elevation model on your own fine DEMs, or adapts an installed one to them."
    TAGS = ("dem", "dtm", "elevation", "height", "super-resolution", "train", "training", "fine-tune", "learn", "model",
            "weights", "recipe", "neural network", "deep learning", "relief", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.dems(),
        parameters.dem_folder(),
        parameters.trained_model(),
        parameters.minutes(),
        parameters.text("LICENCE", "Licence of the DEMs", "Licence of the DEMs, for the model card. Empty: unknown."),
        parameters.text("CREDIT", "Credit", "How the makers of the DEMs want to be named. Empty: unknown."),
        parameters.text(
            "NAME",
            "Name of the model",
            "Short name for the model card: letters, digits, '-' and '_'. Empty: that of the output folder.",
        ),
        parameters.text("TITLE", "Title of the model", "Title for the model card. Empty: the name."),
        parameters.device(),
        parameters.recipe(),
        parameters.seed(),
        parameters.switch(
            "KEEP",
            "Keep the best model when cancelled",
            "Whether a cancelled training leaves the best model so far in the output folder; otherwise it leaves "
            "nothing.",
        ),
        parameters.folder_output(
            "OUTPUT",
            "Model folder",
            "New folder for the model: card, weights, recipe, log and learning curve. A model trained here before is "
            "replaced, other folders are refused.",
        ),
        parameters.html_output(
            "REPORT", "Report", "HTML page with the learning curve and the validation on held-back ground."
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("STEPS", "Steps", "steps"),
        Output("BEST_STEP", "Step of the best weights", "best_step"),
        Output("RATIO_X2", "RMSE at x2, baseline = 1", "ratio_x2"),
        Output("RATIO_X4", "RMSE at x4, baseline = 1", "ratio_x4"),
        Output("RATIO_X8", "RMSE at x8, baseline = 1", "ratio_x8"),
        Output("MINUTES_USED", "Minutes used", "minutes"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )
