"""The data of the deployment: datasets, terms of service, tables, and which roots are public."""

from __future__ import annotations

from dataclasses import dataclass

from .volume import CELLS, LAYERS, node_id


@dataclass(frozen=True)
class Terms:
    """Terms of service that a user has to accept."""

    name: str
    text: str


@dataclass(frozen=True)
class Dataset:
    """What permissions are given for."""

    id: int
    tos: int | None = None  #: the terms of service that it needs accepted


TERMS = {1: Terms("Sandbox Terms of Service", "Be kind, and cite the sandbox.")}

DATASETS = {
    "sandbox": Dataset(1),
    "sandbox_terms": Dataset(2, tos=1),
    "sandbox_restricted": Dataset(3),
}

#: The namespace of a service -> its tables -> the dataset whose permissions they ask for.
TABLES = {
    "pychunkedgraph": {
        "sandbox": "sandbox",
        "sandbox_middleauth": "sandbox",
        "sandbox_terms": "sandbox_terms",
        "sandbox_public": "sandbox_restricted",
    },
    "datastack": {
        "minisandbox": "sandbox",
        "minisandbox_middleauth": "sandbox",
        "minisandbox_terms": "sandbox_terms",
    },
    "aligned_volume": {"sandbox_volume": "sandbox"},
}

#: Table -> the roots that everybody may see: of two cells, the first.
PUBLIC_ROOTS = {"sandbox_public": {node_id(LAYERS, (0, 0, 0), CELLS[0])}}
