"""The real CloudVolume, cloud-files and CAVEclient work against the sandbox with a given token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cave_auth_adapter.sandbox import Sandbox

for tool in ("caveclient", "cloudfiles", "cloudvolume"):
    pytest.importorskip(tool)


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def run(own_sandbox: Sandbox, tmp_path: Path) -> Any:
    """Run a script in a process whose home has one secret file; return what it leaves in `out`."""

    def run(script: str, *, secret_file: str | None = None) -> Any:
        secrets = tmp_path / ".cloudvolume" / "secrets"
        secrets.mkdir(parents=True)
        if secret_file:
            (secrets / secret_file).write_text(json.dumps({"token": own_sandbox.token}))
        names = ("data_server", "auth_server", "token", "roots", "supervoxels", "datastack",
                 "datastack_middleauth", "graphene_path", "graphene_path_middleauth",
                 "volume_path", "volume_path_middleauth")  # fmt: skip
        given = {name: getattr(own_sandbox, name) for name in names}
        code = (
            f"import json, types\nsandbox = types.SimpleNamespace(**{given!r})\n{script}\n"
            "print('\\n' + json.dumps(out))"
        )
        environ = {**os.environ, **own_sandbox.environ, "HOME": str(tmp_path)}
        for name in ("CLOUD_VOLUME_DIR", "CLOUD_FILES_DIR"):
            environ.pop(name, None)
        process = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])

    return run


def host_file(address: str) -> str:
    return f"{urlsplit(address).netloc}-cave-secret.json"


GRAPHENE = """
import numpy as np
from cloudvolume import Bbox, CloudVolume
cv = CloudVolume(sandbox.graphene_path_middleauth, progress=False)
everything = Bbox((0, 0, 0), (64, 64, 32))
mesh = cv.mesh.get(sandbox.roots[0], remove_duplicate_vertices=True)[sandbox.roots[0]]
half = Bbox((0, 0, 0), (32, 32, 32))
corners = mesh.vertices.astype(float)[mesh.faces]
enclosed = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
whole = cv.download(everything, agglomerate=True)
out = {
    "labels": np.unique(cv[:, :, :]).tolist(),
    "roots": np.unique(cv.get_roots(sandbox.supervoxels)).tolist(),
    "agglomerated": np.unique(whole).tolist(),
    "small": np.unique(cv.download(half, mip=1, agglomerate=True)).tolist(),
    "leaves": [int(leaf) for root in sandbox.roots for leaf in cv.get_leaves(root, everything, 0)],
    "leaves_of_half": cv.get_leaves(sandbox.roots[0], half, 0).tolist(),
    "mesh": [mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()],
    "enclosed_voxels": enclosed / (16 * 16 * 40),
    "voxels": int((whole == sandbox.roots[0]).sum()),
    "edges": sorted(set(np.unique(np.sort(
        np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    ), axis=0, return_counts=True)[1].tolist())),
}
"""


def test_cloudvolume_reads_a_graphene_volume(own_sandbox: Sandbox, run: Any) -> None:
    out = run(GRAPHENE, secret_file=host_file(own_sandbox.data_server))
    supervoxels, roots = list(own_sandbox.supervoxels), list(own_sandbox.roots)
    assert out["labels"] == [0, *supervoxels]
    assert out["roots"] == roots
    assert out["agglomerated"] == [0, *roots]
    assert out["small"] == [0, *roots]
    assert sorted(out["leaves"]) == supervoxels
    assert out["leaves_of_half"] == supervoxels[:1]
    # The ball of radius 14 around (26, 26, 16), in nanometers; its surface is closed.
    assert out["mesh"] == [[12 * 16, 12 * 16, 2 * 40], [41 * 16, 41 * 16, 31 * 40]]
    assert set(out["edges"]) <= {2, 4}
    assert out["enclosed_voxels"] == pytest.approx(out["voxels"])


def test_cloudvolume_takes_a_token_for_the_graph_but_not_for_bulk_data(run: Any) -> None:
    out = run(
        "from cloudvolume import CloudVolume\n"
        "out = {}\n"
        "for path in (sandbox.graphene_path, sandbox.graphene_path_middleauth):\n"
        "    try: CloudVolume(path, secrets={'token': sandbox.token})\n"
        "    except ValueError as error: out[path] = 'Log in to the CAVE sandbox' in str(error)\n"
    )
    assert list(out.values()) == [True, True]


@pytest.mark.parametrize("secret_file", ["cave-secret.json", "host"])
def test_cloudvolume_reads_a_precomputed_volume(
    own_sandbox: Sandbox, run: Any, secret_file: str
) -> None:
    out = run(
        "import numpy as np\n"
        "from cloudvolume import CloudVolume\n"
        "cv = CloudVolume(sandbox.volume_path_middleauth, progress=False)\n"
        "out = [np.unique(cv[:, :, :]).tolist(), list(cv.available_mips)]",
        secret_file=secret_file if secret_file != "host" else host_file(own_sandbox.data_server),
    )
    assert out == [[0, *own_sandbox.supervoxels], [0, 1]]


def test_cloudfiles_reads_a_file(own_sandbox: Sandbox, run: Any) -> None:
    out = run(
        "from cloudfiles import CloudFiles\n"
        "files = CloudFiles(sandbox.volume_path_middleauth.replace('precomputed://', ''))\n"
        "out = [files.get_json('info')['data_type'], files.get('absent')]",
        secret_file=host_file(own_sandbox.data_server),
    )
    assert out == ["uint64", None]


CAVECLIENT = """
from caveclient import CAVEclient
client = CAVEclient(
    sandbox.datastack, server_address=sandbox.auth_server, auth_token=TOKEN,
    write_server_cache=False,
)
out = {
    "datastacks": client.info.get_datastacks(),
    "local_server": client.local_server,
    "tokens": [token["token"] for token in client.auth.get_tokens()],
    "roots": sorted(set(client.chunkedgraph.get_roots(sandbox.supervoxels).tolist())),
    "root": int(client.chunkedgraph.get_root_id(sandbox.supervoxels[0])),
    "leaves": len(client.chunkedgraph.get_leaves(sandbox.roots[0])),
    "latest": client.chunkedgraph.is_latest_roots(sandbox.roots).tolist(),
    "resolution": client.chunkedgraph.base_resolution,
}
"""


@pytest.mark.parametrize("token", ["sandbox.token", "None"])
def test_caveclient_queries_the_services(own_sandbox: Sandbox, run: Any, token: str) -> None:
    secret_file = host_file(own_sandbox.auth_server) if token == "None" else None
    out = run(CAVECLIENT.replace("TOKEN", token), secret_file=secret_file)
    assert own_sandbox.token in out.pop("tokens")
    assert out == {
        "datastacks": [
            own_sandbox.datastack,
            own_sandbox.datastack_middleauth,
            own_sandbox.datastack_terms,
        ],
        "local_server": own_sandbox.data_server,
        "roots": list(own_sandbox.roots),
        "root": own_sandbox.roots[0],
        "leaves": 4,
        "latest": [True, True],
        "resolution": [16, 16, 40],
    }


SERVICES = """
from caveclient import CAVEclient
client = CAVEclient(
    sandbox.datastack_middleauth, server_address=sandbox.auth_server, auth_token=sandbox.token,
    write_server_cache=False,
)
tables, root = client.materialize, sandbox.roots[0]
number = client.state.upload_state_json({"layers": []})
bars = {"cells": {"cell_type": "bar"}}
nodes = client.chunkedgraph.get_leaves(root, stop_layer=2)
skeleton = client.skeleton.get_skeleton(root)
out = {
    "state": client.state.get_state_json(number),
    "versions": tables.get_versions(),
    "tables": tables.get_tables(),
    "count": tables.get_annotation_count("cells"),
    "resolution": tables.get_table_metadata("cells")["voxel_resolution"],
    "query": tables.query_table("cells").pt_root_id.tolist(),
    "position": tables.query_table(
        "cells", filter_equal_dict={"id": 1}, select_columns=["pt_position"],
    ).pt_position[0].tolist(),
    "live": tables.live_live_query(
        "cells", timestamp=tables.get_timestamp(), filter_equal_dict=bars,
    ).id.tolist(),
    "l2 graph": len(client.chunkedgraph.level2_chunk_graph(root)),
    "l2 data": len(client.l2cache.get_l2data_table(nodes)),
    "vertices": skeleton["vertices"].shape,
    "edges": skeleton["edges"].tolist(),
    "swc": len(client.skeleton.get_skeleton(root, output_format="swc")),
    "exist": client.skeleton.skeletons_exist(root_ids=[root]),
}
"""


def test_caveclient_queries_the_other_services(own_sandbox: Sandbox, run: Any) -> None:
    pytest.importorskip("pyarrow")
    out = run(SERVICES, secret_file=host_file(own_sandbox.data_server))
    assert out == {
        "state": {"layers": []},
        "versions": [1],
        "tables": ["cells"],
        "count": 2,
        "resolution": [16, 16, 40],
        "query": list(own_sandbox.roots),
        "position": [26, 26, 16],  # the middle of the ball
        "live": [2],
        "l2 graph": 3,
        "l2 data": 4,
        "vertices": [4, 3],
        "edges": [[0, 1], [1, 2], [2, 3]],
        "swc": 4,
        "exist": True,
    }
