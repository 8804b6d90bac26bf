"""The HTML page of a mesh report: the verdict, pictures, tables of figures, the histogram of angles."""

from __future__ import annotations

from .. import page, plots
from ..mesh_check import BETWEEN
from ..page import number, share, table_of
from ..plots import Axes, Series
from .findings import FAULTS
from .pictures import Pictures

PICTURE_PX = 440
LONGEST_TAG = 120
"""What a file says in more characters, such as the WKT of a CRS, is for programs."""


def sheet(found: dict, drawn: Pictures) -> str:
    """The whole page as text."""
    about = found["about"]
    title = f"{about['mesh']} against {about['dem']}" if about["dem"] else about["mesh"]
    sections = [_verdict(found), _heading(found), _pictures(found, drawn), _accuracy(found), _soundness(found), METHOD]
    return page.page(title, sections)


def _verdict(found: dict) -> str:
    lines = [("Verdict" if at == 0 else "", text) for at, text in enumerate(found["verdict"])]
    return table_of((), lines) + page.warnings(found["warnings"])


def _heading(found: dict) -> str:
    about, sound = found["about"], found["soundness"]
    tags = {name: text for name, text in about["tags"].items() if name != "grid" and len(text) <= LONGEST_TAG}
    rows = [
        ("Mesh", f"{about['mesh']}; {about['crs']}; heights in {about['unit']}" + _exaggerated(about)),
        ("Extent", f"{about['west']:.10g} to {about['east']:.10g} east, {about['south']:.10g} to {about['north']:.10g} "
                   f"north, heights {about['lowest']:.6g} to {about['highest']:.6g}"),
        ("Triangles", f"{sound['triangles']:,} on {sound['vertices']:,} vertices"),
    ]  # fmt: skip
    rows += [("The file says", "; ".join(f"{name}: {text}" for name, text in tags.items()))] if tags else []
    rows += [("DEM", about["dem"])] if about["dem"] else []
    rows.append(("Made by", about["software"]))
    return "<h2>Mesh</h2>" + table_of((), rows)


def _exaggerated(about: dict) -> str:
    factor = about["z_factor"]
    return f", exaggerated {factor:g} times in the file; figures are without it" if factor != 1 else ""


def _pictures(found: dict, drawn: Pictures) -> str:
    rows, cols = drawn.relief.shape[:2]
    width = max(round(PICTURE_PX * min(cols / rows, 1)), 1)
    cells = [(plots.png_image(drawn.relief, "Relief of the mesh", width), "Relief of the mesh")]
    if drawn.errors is not None:
        most, unit = number(drawn.most), found["about"]["symbol"]
        label = f"Mesh minus DEM: blue -{most} {unit}, white 0, red +{most} {unit}"
        cells.append((plots.png_image(drawn.errors, "Mesh minus DEM", width), label))
    cells.append((plots.svg_image(drawn.detail, drawn.detail_text, (PICTURE_PX, PICTURE_PX)), drawn.detail_text))
    return "<h2>Pictures</h2>" + page.pictures(cells)


def _accuracy(found: dict) -> str:
    one, unit = found["accuracy"], found["about"]["symbol"]
    if not one:
        return ""
    rows = [
        ("Largest error", number(one["largest"]), number(one["largest_between"])),
        ("RMSE", number(one["rmse"]), number(one["rmse_between"])),
        ("Mean, mesh minus DEM", number(one["mean"]), ""),
        ("Positions", f"{one['covered']:,}", f"{one['positions_between']:,}"),
        ("Cells of the DEM covered", share(one["covered_share"]), ""),
    ]
    heads = (f"in {unit}", "at cells", f"at {BETWEEN} times finer positions")
    return "<h2>Errors</h2>" + table_of(heads, rows)


def _soundness(found: dict) -> str:
    sound, angles = found["soundness"], found["angles"]
    rows = [(names[1][0].upper() + names[1][1:], f"{sound[name]:,}") for name, names in FAULTS.items()]
    rows += [
        ("Outlines and holes", f"{sound['borders']:,}"),
        ("Pieces", f"{sound['pieces']:,}"),
        ("Vertices where pieces touch", f"{sound['pinched']:,}"),
        ("Euler number", f"{sound['euler']:,}"),
    ]
    rows += [("Volume", number(sound["volume"]))] if sound["solid"] else []
    rows += [
        (f"Smallest angles: {name} % are below", f"{number(angles[f'percentile_{name}_deg'])} degrees")
        for name in (1, 10, 50)
    ]
    return "<h2>Triangles</h2>" + table_of((), rows) + page.charts([_angles(found)])


def _angles(found: dict) -> str:
    one = found["angle_histogram"]
    bars = Series("", one["middles_deg"], one["percent"])
    drawn = plots.chart([bars], Axes("Smallest angle, degrees", "% of the triangles", bars=True))
    return plots.svg_image(drawn, "Histogram of smallest angles")


METHOD = f"""<h2>How this was measured</h2>
<p>The triangles were read from the file and laid over the cells of the DEM again, by code that shares nothing with the
one that makes meshes. At a cell the mesh is compared with the cell's height; between cells, at {BETWEEN} positions per
cell and axis, with the bilinear surface through the four heights around, or with the plane of three where the fourth is
not known. Where triangles meet, the larger error counts. A crack is an edge that lies on another without being shared,
a T-junction a vertex in the inside of another triangle's edge.</p>"""
