"""The networks in OpenVINO beside ONNX Runtime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from triton_models.ocr.networks import recognition_network
from triton_models.ocr.recognition import normalized
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

PAGES = Path(__file__).parent / "pages"


@pytest.mark.models
def test_the_cut_network_answers_as_the_whole_one_to_several_calls_at_once(model_cache: Path) -> None:
    """Lines with text, so that there are steps that the blank settles and steps that it does not."""
    model = PreparedModels.open(prepare(model_cache, only=["ocr"])).paths("ocr")["recognizer"]
    page = np.rot90(np.asarray(Image.open(PAGES / "columns.png").convert("RGB"))).copy()
    lines = np.stack([normalized(page[top : top + 60], 640) for top in range(0, min(page.shape[0] - 60, 480), 60)])
    (expected,) = onnxruntime.InferenceSession(str(model)).run(None, {"x": lines})
    network = recognition_network(model, 2, None)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(network, [lines[:3], lines[3:], lines[:3]]))
    classes, probabilities, spaces = (np.concatenate(parts) for parts in zip(*answers[:2], strict=True))
    blank = expected.argmax(axis=2) == 0
    assert 0.1 < blank.mean() < 0.95
    # bfloat16 moves single steps, most of all those that are undecided.
    clear = expected.max(axis=2) > 0.6
    assert (classes != expected.argmax(axis=2))[clear].mean() < 0.01
    assert np.abs(probabilities - expected.max(axis=2))[clear].mean() < 0.01
    assert np.abs(spaces - expected[:, :, -1])[clear].mean() < 0.01
    np.testing.assert_array_equal(answers[0].classes, answers[2].classes)


def test_a_network_without_a_classifier_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4])
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "network", [value], [end])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "relu.onnx"))
    with pytest.raises(ValueError, match="classifier"):
        recognition_network(tmp_path / "relu.onnx", 1, None)
