"""The adapter for road graphs: three rounds of messages along existing roads, then splatted onto the stage's grid."""

from __future__ import annotations

import torch
from torch import nn

from .road_graph import NODE_FEATURES

WIDTH = 32
ROUNDS = 3
FEATURES = 8


class RoadAdapter(nn.Module):
    """A graph of existing roads to continuous features on a grid; no roads give zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(NODE_FEATURES, WIDTH)
        self.message = nn.ModuleList(nn.Linear(2 * WIDTH + 4, WIDTH) for _ in range(ROUNDS))
        self.update = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(ROUNDS))
        self.leave = nn.Linear(WIDTH, FEATURES)

    def forward(
        self, nodes: torch.Tensor, edges: torch.Tensor, facts: torch.Tensor, owner: torch.Tensor, shape: tuple[int, int]
    ) -> torch.Tensor:
        """Features on the grid.

        Parameters
        ----------
        nodes, edges, facts, owner
            Graphs of a batch as one: ``(N, 8)``, ``(E, 2)``, ``(E, 4)``, and each node's sample, ``(N,)``.
        shape
            Samples and cells per side.

        Returns
        -------
        ``(B, 8, side, side)``; a cell's sum over the nodes whose bilinear hat reaches it.

        """
        h = self.enter(nodes)
        a, b = torch.cat([edges, edges.flip(1)]).unbind(1)  # messages run both ways
        facts = facts.repeat(2, 1)
        for message, update in zip(self.message, self.update, strict=True):
            sent = torch.nn.functional.silu(message(torch.cat([h[a], h[b], facts], 1)))
            got = torch.zeros_like(h).index_add(0, b, sent.to(h.dtype))
            h = h + torch.nn.functional.silu(update(torch.cat([h, got], 1)))
        return splat(nodes[:, :2], self.leave(h), owner, shape)


def splat(at: torch.Tensor, values: torch.Tensor, owner: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Spread values at places (column, row from 0 to 1) over the four nearest cell centres, bilinearly."""
    count, side = shape
    place = at * side - 0.5
    low = place.floor()
    share = place - low
    grid = values.new_zeros(count * side * side, values.shape[1])
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[:, 0].long() + dx, low[:, 1].long() + dy
            weight = (share[:, 0] if dx else 1 - share[:, 0]) * (share[:, 1] if dy else 1 - share[:, 1])
            inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
            cell = (owner * side + y) * side + x
            grid = grid.index_add(0, cell[inside], (values * weight[:, None])[inside])
    return grid.reshape(count, side, side, -1).permute(0, 3, 1, 2)
