"""The report's page, its charts and pictures: complete in one file, readable by other programs."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from neural_terrain.core import maps, page, plots, table
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.plots import Axes, Series
from neural_terrain.core.quality import Block
from neural_terrain.core.tiling import Window


def decoded(picture: bytes) -> np.ndarray:
    with MemoryFile(picture) as memory, memory.open() as file:
        return np.moveaxis(file.read(), 0, -1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_png_is_read_back_by_gdal():
    picture = np.random.default_rng(1).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    assert np.array_equal(decoded(plots.png(picture)), picture)
    assert rasterio.__gdal_version__


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-3, 3, [-3, -2, -1, 0, 1, 2, 3]), (0, 123, [0, 50, 100]), (2, 2, [2])],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert plots.ticks(low, high) == pytest.approx(expected)


def test_ticks_of_a_logarithmic_axis():
    assert plots.log_ticks(20, 600) == pytest.approx([20, 50, 100, 200, 500])


@pytest.mark.parametrize("log_x", [False, True])
def test_a_chart_is_well_formed_and_draws_what_is_known(log_x):
    series = [Series("a < b", [1, 2, 4], [1.0, float("nan"), 3.0]), Series("", [1, 4], [1, 1], dashed=True)]
    root = ElementTree.fromstring(plots.chart(series, Axes("x & y", "m", log_x=log_x)))
    lines = [e.get("points").split() for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [2, 2]
    places = [float(v) for points in lines for point in points for v in point.split(",")]
    assert min(places) >= 0 and max(places[::2]) <= plots.WIDTH and max(places[1::2]) <= plots.HEIGHT
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in texts and "x & y" in texts


def test_a_chart_of_nothing_and_of_one_point_can_be_drawn():
    for y in ([float("nan")], [2.0], [0.0]):
        for log_x in (False, True):
            drawn = plots.chart([Series("one", [3.0], y)], Axes("x", "y", log_x=log_x))
            assert "nan" not in drawn and "inf" not in drawn
    assert "nan" not in plots.chart([Series("one", [0.0, 1.0], [0.0, 0.0])], Axes("x", "y", bars=True))


def test_a_hillshade_is_lit_from_the_upper_left():
    y, x = np.mgrid[:5, :5] * 10.0
    known = np.ones((5, 5), bool)
    toward, away, flat = (plots.hillshade(z, known, (10, 10))[2, 2, 0] for z in (x + y, -x - y, 0 * x))
    assert toward > flat > away
    known[0, 0] = False
    assert tuple(plots.hillshade(x, known, (10, 10))[0, 0]) == plots.NOTHING


def test_colours_of_differences_are_blue_white_red():
    blue, white, red = plots.diverging(np.array([[-9.0, 0.0, 9.0]]), np.ones((1, 3), bool), 3.0)[0]
    assert blue[2] > blue[0] and red[0] > red[2] and white.min() > 240


def test_maps_are_the_same_in_whatever_order_pieces_come():
    rng = np.random.default_rng(3)
    found, truth = rng.normal(1500, 400, (2, 1002, 702))
    cells = np.ones(1002), np.ones(1002)
    pieces = []
    for row in range(0, 1000, 200):
        for col in range(0, 700, 100):
            part = np.s_[row : row + 202, col : col + 102]
            block = Block(found[part], truth[part], truth[part] > 1000, (cells[0][part[0]], cells[1][part[0]]))
            pieces.append(maps.piece_of(Window(row, col, 200, 100), block, maps.factor_of((1000, 700))))
    drawn = []
    for order in (range(35), reversed(range(35)), rng.permutation(35)):
        drawn.append(maps.Maps((1000, 700)))
        for at in order:
            drawn[-1].add(pieces[at])
    assert drawn[0].factor == 3, "200 is no multiple of it: pieces share cells of the overview"
    for other in drawn[1:]:
        assert np.array_equal(other._sums, drawn[0]._sums)
        assert other.detail is drawn[0].detail
    assert drawn[0]._sums[0].sum() == np.count_nonzero(truth[1:-1, 1:-1] > 1000)


def test_maps_average_the_whole_and_keep_the_worst_window(monkeypatch):
    monkeypatch.setattr(maps, "OVERVIEW_PX", 10)
    monkeypatch.setattr(maps, "DETAIL_PX", 10)
    truth = np.zeros((42, 32))
    found = np.ones((42, 32))
    found[1 + 20 : 1 + 30, 1 + 10 : 1 + 20] = 5
    counts = np.ones((42, 32), bool)
    counts[1:5, 1:5] = False
    drawn = maps.Maps((40, 30))
    cells = np.ones(42), np.ones(42)
    for row in (0, 20):
        part = np.s_[row : row + 22]
        block = Block(found[part], truth[part], counts[part], (cells[0][part], cells[1][part]))
        drawn.add(maps.piece_of(Window(row, 0, 20, 30), block, drawn.factor))
    assert drawn.factor == 4
    pictures = drawn.pictures((1, 1))
    assert pictures["overview"]["input"].shape == (10, 8, 3)
    assert tuple(pictures["overview"]["difference"][0, 0]) == plots.NOTHING
    assert (pictures["detail"]["row"], pictures["detail"]["column"]) == (20, 10)
    assert pictures["detail"]["rmse_m"] == 5 and pictures["detail"]["cells"] == 10


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (12345.6, "12,346"), (0.00001234, "1.2e-05"), (3.14159, "3.142"), (-0.25, "-0.25")],
)
def test_numbers_are_written_for_people(value, text):
    assert page.number(value) == text


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(TerrainError, match="cannot be written"):
        table.write_whole(str(tmp_path / "none" / "x.json"), "{}")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TerrainError, match=r"folder.json cannot be written"):
        table.write_whole(str(tmp_path / "folder.json"), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def images(page: str) -> list[tuple[str, bytes]]:
    """Kind and content of every picture of a page."""
    found = re.findall(r'src="data:([\w/+]+);base64,([^"]+)"', page)
    return [(kind, base64.b64decode(data)) for kind, data in found]


def test_pictures_on_a_page_keep_their_proportions():
    element = plots.png_image(np.zeros((10, 20, 3), np.uint8), 'a "b"', 100)
    assert 'width="100" height="50"' in element and "&quot;b&quot;" in element
    assert [kind for kind, _ in images(element)] == ["image/png"]
    assert io.BytesIO(images(element)[0][1]).read(4) == b"\x89PNG"


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_a_single_row_or_column_of_cells_can_be_lit(shape):
    heights = np.arange(np.prod(shape), dtype=float).reshape(shape)
    assert plots.hillshade(heights, np.ones(shape, dtype=bool), (30.0, 30.0)).shape == (*shape, 3)


def test_the_windows_searched_for_the_largest_error_reach_the_far_edge():
    assert maps._starts(256, 150) == [0, 106]
    assert maps._starts(150, 150) == [0]
    assert maps._starts(300, 150) == [0, 150]
