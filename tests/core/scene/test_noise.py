"""Noise of the world: the generator's published vectors, the distribution, and that windows do not matter."""

import numpy as np
import pytest

from neural_terrain.core.scene.noise import philox, world_noise


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_has_the_words_of_its_authors(counter, key, words):
    got = philox(tuple(np.array([c], np.uint64) for c in counter), key)
    assert tuple(int(w[0]) for w in got) == words


def test_noise_belongs_to_the_place():
    whole = world_noise((5, 2, 0), (1000, -40), (7, 60, 50))
    part = world_noise((5, 2, 0), (1000 - 12, -40 + 9), (7, 20, 30))
    assert (whole[:, 12:32, 9:39] == part).all()


def test_noise_is_normal_and_differs_by_seed_stage_and_step():
    first = world_noise((1, 1, 0), (0, 0), (5, 200, 200))
    assert abs(first.mean()) < 0.01
    assert first.std() == pytest.approx(1, abs=0.01)
    for key in ((2, 1, 0), (1, 2, 0), (1, 1, 1)):
        other = world_noise(key, (0, 0), (5, 200, 200))
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(first.reshape(5, -1))[np.triu_indices(5, 1)]).max() < 0.03
