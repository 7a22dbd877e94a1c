"""What each tool does here, as its documentation has it; docs/other-tools.md shows the table."""

from __future__ import annotations

from typing import NamedTuple

CLIENT = """
from caveclient import CAVEclient
client = CAVEclient("{datastack}")
"""


class Program(NamedTuple):
    """A tool and what is run with it.

    :ivar tool: the name of its distribution.
    :ivar what: the part of the tool that is run, for the table.
    :ivar code: fields in braces are of the sandbox.
    :ivar shows: what it prints last when it works.
    """

    tool: str
    what: str
    code: str
    shows: str


PROGRAMS = [
    Program(
        "caveclient",
        "`client.skeleton.get_skeleton()`",
        CLIENT + "print('vertices', len(client.skeleton.get_skeleton({root})['vertices']))",
        "vertices 4",
    ),
    Program(
        "caveclient",
        "`client.info.segmentation_cloudvolume()`",
        CLIENT + "print('roots', len(client.info.segmentation_cloudvolume().get_roots([{node}])))",
        "roots 1",
    ),
    Program(
        "navis",
        "`fetch_neurons()` of its CAVE interface",
        """
from navis.interfaces import cave_utils
client = cave_utils.get_cave_client("{datastack}", "https://global.daf-apis.com")
[neuron] = cave_utils.fetch_neurons(
    [{root}], lod=2, with_synapses=False, client=client, parallel=False, max_threads=1
)
print("vertices", len(neuron.vertices))
""",
        "vertices 3680",
    ),
    Program(
        "pcg-skel",
        "`pcg_skeleton()`",
        CLIENT
        + """
import pcg_skel
print("vertices", len(pcg_skel.pcg_skeleton({root}, client).vertices))
""",
        "vertices 4",
    ),
    Program(
        "pcg-skel",
        "`build_spatial_graph()`",
        CLIENT
        + """
from pcg_skel.chunk_tools import build_spatial_graph
graph = client.chunkedgraph.level2_chunk_graph({root})
print("chunks", len(build_spatial_graph(graph, client=client)[3]))
""",
        "chunks 4",
    ),
    Program(
        "cave-mapper",
        "`map_points()`",
        CLIENT
        + """
import numpy
from cave_mapper import map_points
[point] = client.materialize.query_table(
    "cells", filter_equal_dict={{"pt_root_id": {root}}}
).pt_position
points = numpy.array([point]) * [16, 16, 40.0]
print("root", map_points(points, {root}, client, max_distance=1).root_id[0] == {root})
""",
        "root True",
    ),
    Program(
        "meshparty",
        "`trimesh_io.MeshMeta().mesh()`",
        CLIENT
        + """
from meshparty.trimesh_io import MeshMeta
meta = MeshMeta(
    cv_path=client.info.segmentation_source(), disk_cache_path=None, map_gs_to_https=True
)
print("vertices", len(meta.mesh(seg_id={root}, remove_duplicate_vertices=False).vertices))
""",
        "vertices 3686",
    ),
    Program(
        "imageryclient",
        "`ImageryClient(client=client).segmentation_cutout()`",
        CLIENT
        + """
import imageryclient
imagery = imageryclient.ImageryClient(client=client)
print(imagery.segmentation_cutout([[0, 0, 0], [16, 16, 2]]).shape)
""",
        "(16, 16, 2)",
    ),
    Program(
        "fafbseg",
        "`flywire.get_cave_client()`, `get_chunkedgraph_secret()`",
        """
from fafbseg import flywire
client = flywire.utils.get_cave_client(dataset="{datastack}")
print("roots", len(client.chunkedgraph.get_roots([{node}])))
""",
        "roots 1",
    ),
    Program(
        "fafbseg",
        "`flywire.supervoxels_to_roots()`",
        """
from fafbseg import flywire
print(flywire.supervoxels_to_roots([{node}], dataset="{datastack}"))
""",
        "[{root}]",
    ),
    Program(
        "igneous-pipeline",
        "a transfer task from `middleauth+https://`",
        """
import tempfile
import igneous.task_creation as tasks
from cloudvolume import CloudVolume
from taskqueue import LocalTaskQueue
copy = "file://" + tempfile.mkdtemp()
transfer = tasks.create_transfer_tasks(
    "precomputed://middleauth+https://minnie.microns-daf.com/volume/sandbox",
    copy,
    chunk_size=(32, 32, 16),
    skip_downsamples=True,
)
with LocalTaskQueue(parallel=1) as queue:
    queue.insert_all(transfer)
print("voxels", CloudVolume(copy)[:32, :32, :16].any())
""",
        "voxels True",
    ),
    Program(
        "igneous-pipeline",
        "a transfer task from `graphene://`",
        """
import tempfile
import igneous.task_creation as tasks
from cloudvolume import CloudVolume
from taskqueue import LocalTaskQueue
copy = "file://" + tempfile.mkdtemp()
transfer = tasks.create_transfer_tasks(
    "graphene://https://minnie.microns-daf.com/segmentation/table/sandbox",
    copy,
    chunk_size=(32, 32, 16),
    skip_downsamples=True,
    agglomerate=True,
)
with LocalTaskQueue(parallel=1) as queue:
    queue.insert_all(transfer)
print("voxels", CloudVolume(copy)[:32, :32, :16].any())
""",
        "voxels True",
    ),
    Program(
        "nglui",
        "`SkeletonManager(client, …).upload_skeleton()`",
        CLIENT
        + """
import tempfile, numpy
from nglui.skeletons import SkeletonManager
manager = SkeletonManager(client, "file://" + tempfile.mkdtemp(), initialize_info=True)
manager.upload_skeleton({root}, numpy.zeros((4, 3)), numpy.array([[0, 1], [1, 2], [2, 3]]))
print("skeletons", len(manager.uploaded_root_ids))
""",
        "skeletons 1",
    ),
    Program(
        "neuroglancer",
        "the credentials that its page asks for, and a request with them",
        """
import json, neuroglancer, requests
viewer = neuroglancer.Viewer()
url = viewer.get_viewer_url().replace("/v/", "/credentials/").rstrip("/")
asked = {{"key": "middleauthapp", "parameters": "https://minnie.microns-daf.com"}}
found = requests.post(url, data=json.dumps(asked)).json()["credentials"]
header = {{"Authorization": found["tokenType"] + " " + found["accessToken"]}}
url = "https://minnie.microns-daf.com/volume/sandbox/info"
print("status", requests.get(url, headers=header).status_code)
""",
        "status 200",
    ),
]
