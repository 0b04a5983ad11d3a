"""The `ocr` model: encoded page images to JSON documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.bls import network_name
from triton_models.ocr.decoding import UnreadableImage
from triton_models.ocr.detection import DetectionOptions, Detector
from triton_models.ocr.document import PageDocument, to_json
from triton_models.ocr.networks import FloatBatch, detection_network, recognition_network
from triton_models.ocr.pipeline import PageReader, PageReaderOptions
from triton_models.ocr.recognition import Network, RecognitionOptions, Recognizer, characters_of
from triton_models.ocr.served import served_detection, served_recognition
from triton_models.orphans import exit_with_parent
from triton_models.placement import torch_device


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}
        detection, recognition = _networks(settings, args)
        # Of the runtimes, only OpenVINO's network is for several threads, each with one of the cores.
        calls = int(settings["threads"]) if settings["runtime"] == "openvino" else 1
        self._reader = PageReader(
            Detector(detection, DetectionOptions()),
            Recognizer(recognition, characters_of(Path(settings["recognizer"])), RecognitionOptions(calls=calls)),
            PageReaderOptions(limit_pixels=int(settings["limit_pixels"])),
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Pages of all requests at once; one answer per request, one row per image."""
        batches = [pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1) for request in requests]
        results = iter(self._reader.read([bytes(image) for batch in batches for image in batch]))
        return [_response([next(results) for _ in batch]) for batch in batches]


def _networks(
    settings: Mapping[str, str], args: Mapping[str, str]
) -> tuple[Callable[[FloatBatch], FloatBatch], Network]:
    """For detection and for recognition."""
    detector, recognizer = Path(settings["detector"]), Path(settings["recognizer"])
    threads, compiled = int(settings["threads"]), Path(settings["compiled"])
    match settings["runtime"]:
        case "openvino":
            return detection_network(detector, threads, compiled), recognition_network(recognizer, threads, compiled)
        case "torch":
            # An extra: not installed where it is not wanted.
            from triton_models.ocr.torch_networks import torch_detection, torch_recognition

            device = torch_device(args)
            return torch_detection(detector, device, threads), torch_recognition(recognizer, device, threads)
        case "triton":
            model = args["model_name"]
            return (
                served_detection(network_name(model, "detector")),
                served_recognition(network_name(model, "recognizer")),
            )
        case other:
            raise ValueError(f"the profile's runtime {other!r} is none of openvino, torch and triton")


def _response(results: Sequence[PageDocument | UnreadableImage]) -> Any:
    pages = [b"" if isinstance(result, UnreadableImage) else to_json(result) for result in results]
    errors = [str(result).encode() if isinstance(result, UnreadableImage) else b"" for result in results]
    outputs = [
        pb_utils.Tensor(name, np.array(column, dtype=np.object_).reshape(-1, 1))
        for name, column in (("PAGE", pages), ("ERROR", errors))
    ]
    return pb_utils.InferenceResponse(output_tensors=outputs)
