"""Handwritten digits as a teacher's tokens. The only module here that reads files.

An image is cut into square patches, one token each. Tokens are ordered by pooling cell: first the patches of the
top-left cell, row by row, then those of the next cell. So the pooling groups are contiguous, and S* is block diagonal.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from . import checks


def digits(size: int) -> tuple[Tensor, Tensor]:
    """scikit-learn's bundled handwritten digits: (images n × size × size, labels n), n = 1797.

    The 8 × 8 originals are resized bilinearly and standardised: mean 0 and variance 1 over all pixels of all images.
    Raises ValueError for a size below 8. Source: UCI optical recognition of handwritten digits, test set.

    >>> images, labels = digits(27)
    >>> tuple(images.shape), images.dtype, int(labels.max())
    ((1797, 27, 27), torch.float64, 9)
    """
    size = checks.integer("size", size, 8)
    bundle = load_digits()
    images = torch.from_numpy(bundle.images)[:, None]  # (n, 1, 8, 8)
    images = interpolate(images, (size, size), mode="bilinear", align_corners=False)[:, 0]
    return (images - images.mean()) / images.std(), torch.from_numpy(bundle.target)


def patch_grid(side: int, pool: int) -> Tensor:
    """D × 2: the (row, column) of each token's patch in a `side` × `side` grid of patches, by pooling cell.

    Raises ValueError where `pool` does not divide `side`.

    >>> patch_grid(4, 2)[:5].tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2]]
    """
    side, pool = checks.integer("side", side, 1), checks.integer("pool", pool, 1)
    if side % pool:
        raise ValueError(f"pool must divide the side of the patch grid, got pool = {pool} and side = {side}")
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    grid = torch.stack([rows, columns], -1).reshape(side // pool, pool, side // pool, pool, 2)
    return grid.transpose(1, 2).reshape(side * side, 2)


def tokens(images: Tensor, patch: int, pool: int) -> Tensor:
    """X, n × patch² × D: each image as D = (size/patch)² patches, one a column, ordered by pooling cell.

    Shapes: `images` n × size × size. `pool` × `pool` patches make a pooling cell, so K = pool².
    Raises ValueError where `patch` does not divide the size, or `pool` the grid.

    >>> tokens(torch.zeros(5, 27, 27), patch=3, pool=3).shape
    torch.Size([5, 9, 81])
    """
    images = checks.array("images", images, ("n", "size", "size"))
    patch, size = checks.integer("patch", patch, 1), images.shape[-1]
    if size % patch:
        raise ValueError(f"patch must divide the image size, got patch = {patch} and size = {size}")
    row, column = patch_grid(size // patch, pool).T
    patches = images.unfold(1, patch, patch).unfold(2, patch, patch)  # (n, side, side, patch, patch)
    return patches[:, row, column].flatten(2).mT.contiguous()
