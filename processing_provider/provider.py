"""The Processing provider: its id, its name, its icon and the explicit list of tools."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import RESOURCES, tr
from .comparedem import CompareDems
from .comparescenes import CompareScenes
from .continuouscontours import ContinuousContours
from .derive import Derive
from .elevationprofile import ElevationProfile
from .enginereport import EngineReport
from .fillbuildings import FillBuildings
from .fitsurface import FitSurface
from .generateroads import GenerateRoads
from .generatescene import GenerateScene
from .meshreport import MeshReport
from .meshtoraster import MeshToRaster
from .preparescenedata import PrepareSceneData
from .queryelevation import QueryElevation
from .resampledem import ResampleDem
from .setupengine import SetupEngine
from .superresolve import SuperResolve
from .terrainmesh import TerrainMesh
from .terrainsolid import TerrainSolid
from .traindem import TrainDem
from .validatescene import ValidateScene

ALGORITHMS = (
    SuperResolve,
    CompareDems,
    TrainDem,
    FitSurface,
    QueryElevation,
    ElevationProfile,
    ContinuousContours,
    Derive,
    ResampleDem,
    TerrainMesh,
    TerrainSolid,
    MeshToRaster,
    MeshReport,
    GenerateScene,
    GenerateRoads,
    FillBuildings,
    PrepareSceneData,
    ValidateScene,
    CompareScenes,
    SetupEngine,
    EngineReport,
)


class TerrainProvider(QgsProcessingProvider):
    """All tools of Neural Terrain; complete even where no engine exists yet."""

    def id(self) -> str:
        return "neuralterrain"

    def name(self) -> str:
        return tr("Neural Terrain")

    def longName(self) -> str:
        return tr("Neural Terrain: finer elevation models, terrain meshes and scenes")

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return str(RESOURCES / "icons" / "provider.svg")

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        return ["tif", "tiff"]

    def supportsNonFileBasedOutput(self) -> bool:
        return False

    def loadAlgorithms(self) -> None:
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
