"""The surface between samples: bicubic patches that take over heights, slopes and twist of the four samples around.

A weight-less surface is bicubic between the samples, so its patches are the surface itself; of the cosines of a trained
one they differ by a small share, which is why vertices are set onto the surface afterwards (:mod:`.settling`). Patches
have no steps, and along an edge they depend on its two ends alone, so tiles that share the edge agree to the bit.

Positions count samples, ``v`` down and ``u`` across. Layers are ``(4, V, U)``: heights, rise per sample down, rise per
sample across, twist. Imports numpy and numba.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled

HALVINGS = 44
"""Steps that find a crossing on an edge; few enough that it stays inside of the edge."""

NEAREST = 2.0**-20
"""Crossings keep so far from the ends of their edge, lest pieces have no length."""

NEWTON_STEPS = 6
DEPTH = 5
"""How often a piece is cut into thirds at most."""


@compiled
def _weights(t, values, slopes):
    """Weights of the two ends and of their slopes (4), and the derivatives of these weights."""
    values[0], values[1] = (2 * t - 3) * t * t + 1, (3 - 2 * t) * t * t
    values[2], values[3] = ((t - 2) * t + 1) * t, (t - 1) * t * t
    slopes[0], slopes[1] = 6 * (t - 1) * t, 6 * (1 - t) * t
    slopes[2], slopes[3] = (3 * t - 4) * t + 1, (3 * t - 2) * t


@compiled
def surface_at(layers, v, u, room):
    """Height, rise down and rise across at a position; ``room`` is ``(4, 4)`` to work in."""
    height, down, across = 0.0, 0.0, 0.0
    i = min(max(int(v), 0), layers.shape[1] - 2)
    j = min(max(int(u), 0), layers.shape[2] - 2)
    _weights(v - i, room[0], room[1])
    _weights(u - j, room[2], room[3])
    for a in range(2):
        for b in range(2):
            f, f_v, f_u, f_vu = layers[:, i + a, j + b]
            plain, tilted = room[2, b] * f + room[2, 2 + b] * f_u, room[2, b] * f_v + room[2, 2 + b] * f_vu
            height += room[0, a] * plain + room[0, 2 + a] * tilted
            down += room[1, a] * plain + room[1, 2 + a] * tilted
            plain, tilted = room[3, b] * f + room[3, 2 + b] * f_u, room[3, b] * f_v + room[3, 2 + b] * f_vu
            across += room[0, a] * plain + room[0, 2 + a] * tilted
    return height, down, across


@compiled
def middles(layers):
    """Heights in the middle of all squares, ``(V - 1, U - 1)``."""
    rows, cols = layers.shape[1] - 1, layers.shape[2] - 1
    found, room = np.empty((rows, cols)), np.empty((4, 4))
    for i in range(rows):
        for j in range(cols):
            found[i, j] = surface_at(layers, i + 0.5, j + 0.5, room)[0]
    return found


@compiled
def crossing_on_edge(start, end, start_rise, end_rise, height):
    """Where between two samples, 0 to 1, the surface has a height that lies between theirs.

    Halving keeps the order of levels along an edge, whatever the surface does between its ends: of two levels that go
    different ways, the one nearer to the start goes towards it.
    """
    low, high = 0.0, 1.0
    rises = end > start
    for _ in range(HALVINGS):
        t = (low + high) / 2
        value = start * ((2 * t - 3) * t * t + 1) + end * ((3 - 2 * t) * t * t)
        value += start_rise * (((t - 2) * t + 1) * t) + end_rise * ((t - 1) * t * t)
        if (value > height) == rises:
            high = t
        else:
            low = t
    return min(max((low + high) / 2, NEAREST), 1 - NEAREST)


@compiled
def _onto(layers, place, height, most, room):
    """The place at a height nearest to ``place``, within ``most`` of it; False where there is none."""
    start_v, start_u = place
    v, u = start_v, start_u
    for _ in range(NEWTON_STEPS):
        found, down, across = surface_at(layers, v, u, room)
        steepness = down * down + across * across
        off = found - height
        if off == 0.0:
            break
        if not abs(off) < most * np.sqrt(steepness):
            return False, start_v, start_u
        v -= off / steepness * down
        u -= off / steepness * across
        if (v - start_v) ** 2 + (u - start_u) ** 2 > most * most:
            return False, start_v, start_u
        if off * off < 1e-18 * steepness:
            break
    return True, v, u


@compiled
def _inside(known, box, v, u):
    """Whether a position lies in a block and in a square that is known."""
    if not (box[0] < v < box[1] and box[2] < u < box[3]):
        return False
    return known[min(int(v), known.shape[0] - 1), min(int(u), known.shape[1] - 1)]


@compiled
def _apart(av, au, bv, bu, size):
    """Distance of two positions in units of ``size``."""
    return np.sqrt(((bv - av) * size[0]) ** 2 + ((bu - au) * size[1]) ** 2)


@compiled
def follow(sheet, box, height, ends, size, points):
    """Add the contour from one crossing to the next to ``points`` (v, u): all vertices but the first.

    ``sheet`` are layers and known squares, ``box`` is the block, ``ends`` are both crossings as (v, u, v, u), ``size``
    are the sides of a square in units of what a chord may be off. The contour is looked for at the thirds of a chord,
    where a curve bent to one side and one bent to both sides show. Returns whether the chords are near enough.
    """
    layers, known = sheet
    room, stack, square = np.empty((4, 4)), np.empty((2 * DEPTH + 3, 5)), (1.0, 1.0)
    stack[0, :4], stack[0, 4] = ends, 0.0
    waiting, good = 1, True
    while waiting > 0:
        waiting -= 1
        av, au, bv, bu, depth = stack[waiting]
        length = _apart(av, au, bv, bu, square)
        pv, pu, qv, qu = av + (bv - av) / 3, au + (bu - au) / 3, av + (bv - av) * 2 / 3, au + (bu - au) * 2 / 3
        p_there, p2v, p2u = _onto(layers, (pv, pu), height, length, room)
        q_there, q2v, q2u = _onto(layers, (qv, qu), height, length, room)
        there = p_there and q_there
        if there and max(_apart(pv, pu, p2v, p2u, size), _apart(qv, qu, q2v, q2u, size)) <= 1:
            points.append((bv, bu))
            continue
        step = max(_apart(av, au, p2v, p2u, square), _apart(p2v, p2u, q2v, q2u, square),
                   _apart(q2v, q2u, bv, bu, square))  # fmt: skip
        inside = there and _inside(known, box, p2v, p2u) and _inside(known, box, q2v, q2u)
        if depth >= DEPTH or step > 0.9 * length or not inside:
            points.append((bv, bu))
            good = False
            continue
        stack[waiting, :] = (q2v, q2u, bv, bu, depth + 1)
        stack[waiting + 1, :] = (p2v, p2u, q2v, q2u, depth + 1)
        stack[waiting + 2, :] = (av, au, p2v, p2u, depth + 1)
        waiting += 3
    return good
