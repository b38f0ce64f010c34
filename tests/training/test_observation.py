"""What a policy sees is what the environment shows, and nothing that it shows is lost."""

import itertools

import numpy as np
import torch

from envs.grid.cells import APPEARANCE, CODES, drawn, observed
from envs.vector import Observation
from training.observation import GridEncoder, RunningMoments, encoder

EMPTY_KINDS = (0, 1, 3)
WITH_COLOUR = (4, 5, 6, 7)


def grid(cells: list[tuple[int, int, int]], place: int = 24, direction: int = 0) -> torch.Tensor:
    """One view a cell, ``(1, B, 56)``: empty but for ``(type, colour, state)`` at a place."""
    views = []
    for cell in cells:
        image = np.zeros((49, 3), dtype=np.uint8)
        image[place] = cell
        views.append(observed(image.reshape(7, 7, 3), direction))
    return torch.from_numpy(np.stack(views))[None]


def test_every_two_cells_that_minigrid_tells_apart_look_different():
    cells = [(2, 5, 0), (8, 1, 0), (9, 0, 0), (1, 0, 0)]
    cells += [(4, colour, state) for colour, state in itertools.product(range(6), range(3))]
    cells += [(kind, colour, 0) for kind, colour in itertools.product((5, 6, 7), range(6))]
    features = GridEncoder("cpu")(grid(cells))[0]
    assert len({tuple(row.tolist()) for row in features}) == len(cells)


def test_codes_that_minigrid_draws_alike_look_alike():
    """What is hidden in a box, and what the mission names, is not for a policy to see."""
    codes = torch.zeros(1, len(CODES), 56, dtype=torch.uint8)
    codes[0, :, 20] = torch.tensor(CODES, dtype=torch.uint8)
    codes[0, :, 55] = 120
    features = GridEncoder("cpu")(codes)[0]
    looks = {}
    for code, row in zip(CODES, features.tolist(), strict=True):
        assert looks.setdefault(tuple(APPEARANCE[code]), row) == row


def test_an_observation_is_the_image_that_it_was_made_of():
    rng = np.random.default_rng(0)
    image = APPEARANCE[rng.choice([code for code in CODES if code != 120], (7, 7))]
    again, direction = drawn(observed(image, 3)[None])
    np.testing.assert_array_equal(again[0], image)
    assert direction.tolist() == [3]


def test_places_and_directions_look_different():
    views = [grid([(5, 0, 0)], place=p, direction=d) for p in range(49) for d in range(4)]
    features = [tuple(GridEncoder("cpu")(view)[0, 0].tolist()) for view in views]
    assert len(set(features)) == len(views)


def test_unseen_empty_and_floor_cells_are_zero():
    features = GridEncoder("cpu")(grid([(kind, 0, 0) for kind in EMPTY_KINDS]))[0]
    assert not features[:, :392].any()


def test_running_moments_are_those_of_everything_seen():
    rng = np.random.default_rng(0)
    batches = [rng.normal(3.0, 2.0, (2, size, 3)) for size in (5, 1, 40)]
    running = RunningMoments(2, 3, "cpu")
    for batch in batches:
        running.update(torch.from_numpy(batch))
    seen = np.concatenate(batches, axis=1)
    mean, deviation = running.moments()
    np.testing.assert_allclose(mean.numpy(), seen.mean(1), rtol=1e-5)
    np.testing.assert_allclose(deviation.numpy(), seen.std(1), rtol=1e-4)


def test_normalised_observations_are_centred_scaled_and_frozen_on_request():
    batch = torch.randn(1, 500, 3, generator=torch.Generator().manual_seed(0)) * 5 + 100
    shown = Observation(kind="continuous", size=3)
    live = encoder(shown, 1, normalize=True, device="cpu")
    live.observe(batch)
    features = live(batch)[0, :, :3]
    torch.testing.assert_close(features.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    frozen = encoder(shown, 1, normalize=True, device="cpu", moments=live.moments())
    frozen.observe(batch * 7)
    assert torch.equal(frozen(batch), live(batch))
