"""The networks' parts: what they promise about place, order and size."""

import torch

from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.scene import adapter, encoder, stages, weights
from neural_terrain.core.scene.model import Condition, StageModel, StageSettings


def test_splatting_keeps_the_sum_inside():
    at = torch.rand(50, 2) * 0.8 + 0.1
    values = torch.randn(50, 3)
    grid = adapter.splat(at, values, torch.zeros(50, dtype=torch.long), (1, 20))
    assert torch.allclose(grid.sum(dim=(0, 2, 3)), values.sum(0), atol=1e-4)


def test_the_order_of_a_graph_does_not_matter():
    torch.manual_seed(0)
    net = adapter.RoadAdapter()
    nodes, edges, facts = torch.rand(9, 8), torch.tensor([[0, 1], [1, 2], [3, 7], [8, 4]]), torch.rand(4, 4)
    owner = torch.zeros(9, dtype=torch.long)
    order = torch.randperm(9)
    back = torch.argsort(order)
    first = net(nodes, edges, facts, owner, (1, 16))
    again = net(nodes[order], back[edges].flip(0), facts.flip(0), owner, (1, 16))
    assert torch.allclose(first, again, atol=1e-5)


def test_messages_along_roads_are_added_up_on_the_cpu():
    """A GPU adds in any order, so bits would differ from run to run; ``meta`` stands for a device here."""
    settings = StageSettings("R", 1, (8, 8, 8, 8), 1, (8, 8, 8, 8))
    model = weights.ready(StageModel(settings), Compute("meta"))
    small = {name for name, value in model.named_parameters() if value.device.type == "cpu"}
    assert small and all("adapter" in name for name in small)
    assert {value.device.type for name, value in model.state_dict().items() if name not in small} == {"meta"}
    graph = torch.rand(3, 8), torch.tensor([[0, 1], [1, 2]]), torch.rand(2, 4), torch.zeros(3, dtype=torch.long)
    told = Condition(torch.zeros(1, 7, 40, 40), torch.zeros(1, 0, 40, 40), torch.zeros(1, 9, 40, 40),
                     torch.tensor([0]), torch.zeros(1, 11), graph).on("meta")  # fmt: skip
    assert told.existing.device.type == "meta" and told.graph[0].device.type == "cpu"
    assert model.mean(told).device.type == "meta"


def test_implicit_features_repeat_with_the_parents_cells():
    torch.manual_seed(0)
    net = encoder.ImplicitEncoder(stages.R)
    levels = net(torch.randn(2, encoder.CODE), 80)
    assert [tuple(p.shape) for p in levels] == [(2, 16, 80 >> k, 80 >> k) for k in range(4)]
    for p in levels:
        assert torch.equal(p[..., 5:], p[..., :-5])
        assert float(p.detach().std()) > 0.05


def test_a_fresh_stage_answers_nothing_of_the_right_shape():
    for name, side, parent in (("G", 32, 0), ("R", 80, 7), ("L", 160, 7)):
        stage = stages.STAGES[name]
        model = StageModel(StageSettings(name, 4, (8, 8, 8, 8), 1, (8, 8, 8, 8)))
        count, small = len(stage.channels), side // stage.fold
        kerb = torch.zeros(2, 1 if name == "L" else 0, side, side)
        existing, place = torch.zeros(2, count + 2, side, side), torch.tensor([0, 4])
        condition = Condition(torch.zeros(2, parent, small, small), kerb, existing, place, torch.zeros(2, 11))
        mean = model.mean(condition)
        velocity = model.velocity(torch.randn(2, count, side, side), torch.rand(2), model.context(condition, mean))
        assert mean.shape == velocity.shape == (2, count, side, side)
        assert float(velocity.detach().abs().max()) == 0
