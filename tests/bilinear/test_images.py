"""Handwritten digits as tokens."""

import pytest
import torch
from sklearn.datasets import load_digits

from bilinear import images

from .cases import normal


def test_digits_are_the_bundled_ones():
    pictures, labels = images.digits(8)
    assert pictures.shape == (1797, 8, 8)
    assert torch.equal(labels, torch.from_numpy(load_digits().target))
    raw = torch.from_numpy(load_digits().images)
    # At their own size no pixel is interpolated: only shifted and scaled.
    torch.testing.assert_close(pictures, (raw - raw.mean()) / raw.std(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [16, 27])
def test_digits_are_standardised_and_still_digits(size):
    pictures, labels = images.digits(size)
    assert pictures.shape == (1797, size, size)
    assert labels.shape == (1797,)
    assert pictures.dtype == torch.float64
    assert pictures.mean().item() == pytest.approx(0, abs=1e-12)
    # Whether the variance is over n or n − 1 pixels is left open: n ≥ 460 000.
    assert pictures.std().item() == pytest.approx(1, rel=1e-5)
    # Bilinear, pixel centres on pixel centres: output k lies at (k + ½) 8/size − ½, between two of the originals.
    weights = torch.zeros(size, 8, dtype=torch.float64)
    for k in range(size):
        place = min(max((k + 0.5) * 8 / size - 0.5, 0), 7)
        low = min(int(place), 6)
        weights[k, low], weights[k, low + 1] = low + 1 - place, place - low
    resized = weights @ torch.from_numpy(load_digits().images) @ weights.T
    torch.testing.assert_close(pictures, (resized - resized.mean()) / resized.std(), rtol=1e-9, atol=1e-9)


def place_back(X, patch, pool, size):
    """The images whose tokens are X, by the coordinates of `patch_grid` alone."""
    side = size // patch
    pictures = torch.full((len(X), size, size), torch.nan, dtype=X.dtype)
    for token, (row, column) in enumerate(images.patch_grid(side, pool).tolist()):
        block = X[:, :, token].reshape(-1, patch, patch)
        pictures[:, patch * row : patch * (row + 1), patch * column : patch * (column + 1)] = block
    return pictures


@pytest.mark.parametrize(
    ("size", "patch", "pool"), [(27, 3, 3), (24, 4, 2), (24, 2, 3), (6, 6, 1), (5, 1, 5), (4, 1, 1)]
)
def test_tokens_can_be_put_back(size, patch, pool):
    pictures = normal(0, 7, size, size)
    X = images.tokens(pictures, patch, pool)
    assert X.shape == (7, patch**2, (size // patch) ** 2)
    assert torch.equal(place_back(X, patch, pool, size), pictures)


@pytest.mark.parametrize(("side", "pool"), [(9, 3), (6, 2), (6, 3), (5, 5), (4, 1), (1, 1)])
def test_the_grid_runs_cell_by_cell(side, pool):
    grid = images.patch_grid(side, pool)
    assert grid.shape == (side**2, 2)
    assert sorted(map(tuple, grid.tolist())) == [(row, column) for row in range(side) for column in range(side)]
    cells = (grid // pool).reshape(-1, pool**2, 2)
    assert (cells == cells[:, :1]).all()  # K = pool² tokens in a row share a pooling cell
    per_side = side // pool
    assert cells[:, 0].tolist() == [[row, column] for row in range(per_side) for column in range(per_side)]
    within = (grid % pool).reshape(-1, pool**2, 2)
    assert (within == within[:1]).all()  # in reading order inside each cell
    assert within[0].tolist() == [[row, column] for row in range(pool) for column in range(pool)]


def test_tokens_keep_the_dtype():
    assert images.tokens(torch.zeros(2, 4, 4), 2, 1).dtype == torch.float32
    assert images.tokens(torch.zeros(2, 4, 4, dtype=torch.uint8), 2, 1).dtype == torch.float64
