"""Handwritten digits as a teacher's tokens: scikit-learn's bundled ones, and MNIST where it is at hand.

`make book` fetches MNIST once, and `python -m bilinear.images fetch mnist` at any time. With `mnist_files`, which knows
where it lies, this is the only module here that reads files.

An image is cut into square patches, one token each. Tokens are ordered by pooling cell: first the patches of the
top-left cell, row by row, then those of the next cell. So the pooling groups are contiguous, and S* is block diagonal.
"""

from __future__ import annotations

import struct
import sys

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from . import checks, mnist_files


def digits(size: int) -> tuple[Tensor, Tensor]:
    """scikit-learn's bundled handwritten digits: (images n × size × size, labels n), n = 1797.

    The 8 × 8 originals are resized bilinearly and standardised: mean 0 and variance 1 over all pixels of all images.
    Raises ValueError for a size below 8. Source: UCI optical recognition of handwritten digits, test set.

    >>> images, labels = digits(27)
    >>> tuple(images.shape), images.dtype, int(labels.max())
    ((1797, 27, 27), torch.float64, 9)
    """
    from sklearn.datasets import load_digits  # takes a second to import

    size = checks.integer("size", size, 8, 1000)
    bundle = load_digits()
    return _prepared(torch.from_numpy(bundle.images), size), torch.from_numpy(bundle.target)


def mnist(size: int) -> tuple[Tensor, Tensor]:
    """MNIST as published: (images n × size × size, labels n), n = 70 000, the 60 000 for training first.

    The 28 × 28 originals are resized and standardised as in `digits`. They lie where MNIST_DIR says, else in the user's
    cache. Raises ValueError for a size below 14, where whole pixels would be skipped, and for a file that is not the
    published one; FileNotFoundError, with the command that fetches them, where files are missing.
    Source: Y. LeCun, C. Cortes and C. Burges.
    """
    size = checks.integer("size", size, 14, 1000)
    files = mnist_files.contents()
    images, labels = (
        torch.cat([_idx(files[f"{part}-{kind}-ubyte.gz"]) for part in ("train", "t10k")])
        for kind in ("images-idx3", "labels-idx1")
    )
    return _prepared(images, size), labels.long()


def at_hand() -> str:
    """The digits that a page can show: "mnist" where its files are there, else "digits", the bundled ones.

    Raises as `mnist` where MNIST_DIR is set and the files are not complete, and where one is not the published one.
    """
    return "mnist" if mnist_files.checksums() else "digits"


def _idx(data: bytes) -> Tensor:
    """An IDX file of bytes: the fourth is the number of axes, and each axis has its size in four, highest first."""
    axes = data[3]
    sizes = struct.unpack_from(f">{axes}I", data, 4)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * axes).reshape(sizes)


def _prepared(images: Tensor, size: int) -> Tensor:
    """Resized bilinearly, part by part to spare memory, and standardised over all pixels of all images."""
    resized = images.new_empty(len(images), size, size, dtype=torch.float64)
    for part, target in zip(images.split(5000), resized.split(5000), strict=True):
        target[:] = interpolate(part[:, None].double(), (size, size), mode="bilinear", align_corners=False)[:, 0]
    mean, deviation = resized.mean(), resized.std()
    return resized.sub_(mean).div_(deviation)


def patch_grid(side: int, pool: int) -> Tensor:
    """D × 2: the (row, column) of each token's patch in a `side` × `side` grid of patches, by pooling cell.

    Raises ValueError where `pool` does not divide `side`.

    >>> patch_grid(4, 2)[:5].tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2]]
    """
    side, pool = checks.integer("side", side, 1, checks.ROWS), checks.integer("pool", pool, 1)
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


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch", "mnist"]:
        sys.exit(f"usage: {mnist_files.COMMAND}")
    try:
        print(f"MNIST is in {mnist_files.fetch()}")
    except (OSError, ValueError) as error:
        sys.exit(f"MNIST was not fetched: {error}")
    except KeyboardInterrupt:
        sys.exit(mnist_files.ENDED)
