"""The embedded Triton, with a model that says what it sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from server.embedded.errors import PartFailed, PrerequisiteMissing
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton, TritonOptions
from server.embedded.triton_stub import write_stub

pytestmark = pytest.mark.stack

CONFIGURATION = """
name: "mirror"
backend: "python"
max_batch_size: 0
input [ { name: "TEXTS" data_type: TYPE_STRING dims: [-1] }, { name: "VECTORS" data_type: TYPE_FP32 dims: [-1, 3] } ]
output [ { name: "TEXTS" data_type: TYPE_STRING dims: [-1] }, { name: "VECTORS" data_type: TYPE_FP32 dims: [-1, 3] },
         { name: "SEEN" data_type: TYPE_STRING dims: [1] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""

MODEL = """
import json
import sys
import numpy as np
import triton_python_backend_utils as pb_utils
import triton_models


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "TEXTS").as_numpy()
            vectors = pb_utils.get_input_tensor_by_name(request, "VECTORS").as_numpy()
            seen = json.dumps({"numpy": np.__version__, "prefix": sys.prefix, "strides": vectors.strides})
            responses.append(pb_utils.InferenceResponse([
                pb_utils.Tensor("TEXTS", texts[::-1]),
                pb_utils.Tensor("VECTORS", vectors[::-1] * 2),
                pb_utils.Tensor("SEEN", np.array([seen.encode()], dtype=np.object_)),
            ]))
        return responses
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "mirror" / "1").mkdir(parents=True)
    (folder / "mirror" / "config.pbtxt").write_text(CONFIGURATION)
    (folder / "mirror" / "1" / "model.py").write_text(MODEL)
    return folder


def regions(server: EmbeddedTriton) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{server.shared_memory_prefix}*"))


def test_it_serves_and_leaves_nothing_behind(repository: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedTriton(repository, tmp_path / "data", environment)
    with running(server, tmp_path / "log"), triton_grpc.InferenceServerClient(server.address) as client:
        texts = np.array(["図書館".encode(), b"", b"library" * 1000], dtype=np.object_)
        vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
        inputs = [
            triton_grpc.InferInput("TEXTS", [3], "BYTES"),
            triton_grpc.InferInput("VECTORS", [2, 3], "FP32"),
        ]
        inputs[0].set_data_from_numpy(texts)
        inputs[1].set_data_from_numpy(vectors)
        result = client.infer("mirror", inputs)
        np.testing.assert_array_equal(result.as_numpy("TEXTS"), texts[::-1])
        np.testing.assert_array_equal(result.as_numpy("VECTORS"), vectors[::-1] * 2)
        assert json.loads(result.as_numpy("SEEN")[0]) == {
            "numpy": np.__version__,
            "prefix": sys.prefix,
            "strides": [12, 4],
        }
        assert regions(server)
        with pytest.raises(InferenceServerException, match="restricted"):
            client.unload_model("mirror")
        client.unload_model("mirror", headers=dict([server.admin_header]))
    assert not regions(server)


def test_shared_memory_of_a_killed_server_is_removed_at_the_next_start(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    server = EmbeddedTriton(tmp_path, tmp_path / "data", environment)
    other = EmbeddedTriton(tmp_path, tmp_path / "other", environment)
    server.prepare()
    other.prepare()
    left = [Path("/dev/shm", f"{each.shared_memory_prefix}left") for each in (server, other)]
    for region in left:
        region.touch()
    try:
        server.prepare()
        assert [region.exists() for region in left] == [False, True]
    finally:
        other.clean()
    assert not left[1].exists()


def test_a_model_that_does_not_load_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "repository" / "broken" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text(CONFIGURATION.replace("mirror", "broken"))
    (folder / "model.py").write_text("raise RuntimeError('no such weights')\n")
    server = EmbeddedTriton(tmp_path / "repository", tmp_path / "data", environment, TritonOptions(start_deadline_s=60))
    with pytest.raises(PartFailed, match="no such weights"), running(server, tmp_path / "log"):
        pass


def test_an_unknown_stub_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "python_backend_stubs" / "3.11"
    folder.mkdir(parents=True)
    (folder / "triton_python_backend_stub").write_bytes(b"another build")
    with pytest.raises(PrerequisiteMissing, match=r"nvidia-pytriton 0\.7\.0"):
        write_stub(tmp_path, "3.11", tmp_path / "stub")
    with pytest.raises(PrerequisiteMissing, match=r"Python 3\.9"):
        write_stub(tmp_path, "3.9", tmp_path / "stub")
