"""The data: two cells, a ball and a bar, cut into chunks, supervoxels and meshes.

The formats are Neuroglancer's "precomputed" (raw chunks, legacy meshes) and the chunked graph's
ids: a layer, a chunk position and a number in 64 bits.
"""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = (64, 64, 32)
CHUNK = 32
RESOLUTION = (16, 16, 40)
LAYERS = 3  # supervoxels, their union within a chunk, cells
SPATIAL_BITS = {1: 4, 2: 4, 3: 3}  # per axis
CELLS = (1, 2)
CHUNKS = tuple(itertools.product(range(SIZE[0] // CHUNK), range(SIZE[1] // CHUNK), [0]))


def node_id(layer: int, position: tuple[int, int, int], number: int) -> int:
    """Pack an id of the chunked graph.

    >>> hex(node_id(1, (1, 0, 0), 2))
    '0x110000000000002'
    """
    bits = SPATIAL_BITS[layer]
    x, y, z = position
    packed = (x << 2 * bits | y << bits | z) << (56 - 3 * bits)
    return layer << 56 | packed | number


def layer_of(node: int) -> int:
    """Return the layer of an id."""
    return node >> 56


def position_of(node: int) -> tuple[int, int, int]:
    """Return the chunk position of an id."""
    bits = SPATIAL_BITS[layer_of(node)]
    packed = node >> (56 - 3 * bits)
    mask = (1 << bits) - 1
    return packed >> 2 * bits & mask, packed >> bits & mask, packed & mask


@cache
def cells() -> NDArray[np.uint64]:
    """Return the number of the cell in each voxel, 0 outside."""
    x, y, z = np.indices(SIZE)
    ball = (x - 26) ** 2 + (y - 26) ** 2 + (z - 16) ** 2 <= 14**2
    bar = (abs(y - 52) < 4) & (abs(z - 16) < 5) & (x >= 4) & (x < 60)
    numbers: NDArray[np.uint64] = (ball * 1 + bar * 2).astype(np.uint64)
    return numbers


def _slices(position: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(each * CHUNK, (each + 1) * CHUNK) for each in position)


@cache
def parents() -> dict[int, int]:
    """Return the parent of each supervoxel and of each node of layer 2."""
    return {
        node_id(layer, position, number): node_id(*above, number)
        for position in CHUNKS
        for number in CELLS
        if number in cells()[_slices(position)]
        for layer, above in ((1, (2, position)), (2, (3, (0, 0, 0))))
    }


@cache
def supervoxels() -> NDArray[np.uint64]:
    """Return the supervoxel of each voxel, 0 outside."""
    labels: NDArray[np.uint64] = cells().copy()
    for position in CHUNKS:
        part = labels[_slices(position)]
        for number in CELLS:
            part[part == number] = node_id(1, position, number)
    return labels


def centre(number: int) -> tuple[int, int, int]:
    """Return a voxel of a cell that is nearest to its middle."""
    return _nearest_to_middle(cells() == number)


def chunk_centre(node: int) -> tuple[int, int, int]:
    """Return a voxel of a node of layer 2 that is nearest to the node's middle."""
    inside = np.zeros_like(cells(), bool)
    part = _slices(position_of(node))
    inside[part] = cells()[part] == node & 0xFF
    return _nearest_to_middle(inside)


def _nearest_to_middle(inside: NDArray[np.bool_]) -> tuple[int, int, int]:
    voxels = np.argwhere(inside)
    nearest = ((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()
    x, y, z = voxels[nearest].tolist()
    return x, y, z


def volume_info() -> dict[str, Any]:
    """Return the precomputed volume's `info`."""
    return {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation",
        "data_type": "uint64",
        "num_channels": 1,
        "mesh": "mesh",
        "scales": [
            {
                "key": _key(factor),
                "encoding": "raw",
                "chunk_sizes": [[CHUNK, CHUNK, CHUNK]],
                "resolution": [RESOLUTION[0] * factor, RESOLUTION[1] * factor, RESOLUTION[2]],
                "size": [SIZE[0] // factor, SIZE[1] // factor, SIZE[2]],
                "voxel_offset": [0, 0, 0],
            }
            for factor in (1, 2)
        ],
    }


def _key(factor: int) -> str:
    return f"{RESOLUTION[0] * factor}_{RESOLUTION[1] * factor}_{RESOLUTION[2]}"


@cache
def files() -> dict[str, bytes]:
    """Return the files of the precomputed volume: chunks at two scales, meshes, two `info`."""
    found = {
        "info": json.dumps(volume_info()).encode(),
        "mesh/info": json.dumps({"@type": "neuroglancer_legacy_mesh"}).encode(),
    }
    for factor in (1, 2):
        labels = supervoxels()[::factor, ::factor]
        for position in itertools.product(*(range(-(-side // CHUNK)) for side in labels.shape)):
            chunk = labels[_slices(position)]
            found[f"{_key(factor)}/{_extent(position)}"] = chunk.tobytes("F")
    for node in parents():
        if layer_of(node) == 2:
            found[f"mesh/{fragment(node)}"] = _mesh(node)
    return found


def fragment(node: int) -> str:
    """Return the name of the mesh file of a node of layer 2."""
    return f"{node}:0:{_extent(position_of(node))}"


def _extent(position: tuple[int, ...]) -> str:
    return "_".join(f"{each * CHUNK}-{(each + 1) * CHUNK}" for each in position)


def _mesh(node: int) -> bytes:
    """Return the part of a cell's surface that lies in one chunk, in nanometers.

    Each side of a voxel that looks out of the cell becomes two triangles.
    """
    inside = cells() == node & 0xFF
    in_chunk = np.zeros_like(inside)
    in_chunk[_slices(position_of(node))] = True
    quads = []
    for axis, side in itertools.product(range(3), (0, 1)):
        neighbour = np.roll(np.pad(inside, 1), -1 if side else 1, axis)[1:-1, 1:-1, 1:-1]
        corners = np.zeros((4, 3), int)
        corners[:, axis] = side
        corners[[1, 2], (axis + 1) % 3] = corners[[2, 3], (axis + 2) % 3] = 1
        voxels = np.argwhere(inside & in_chunk & ~neighbour)
        quads.append(voxels[:, None] + (corners if side else corners[::-1]))
    vertices, index = np.unique(np.concatenate(quads).reshape(-1, 3), axis=0, return_inverse=True)
    triangles = index.reshape(-1, 4)[:, [0, 1, 2, 0, 2, 3]]
    return b"".join(
        (
            len(vertices).to_bytes(4, "little"),
            (vertices * RESOLUTION).astype("<f4").tobytes(),
            triangles.astype("<u4").tobytes(),
        )
    )
