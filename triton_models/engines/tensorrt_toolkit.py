"""Builds and runs engines with TensorRT 10.

The networks are strongly typed: an engine computes in the types of the ONNX file, so what its precision does can be
seen without TensorRT. (Letting TensorRT choose, by builder flags, is deprecated since 10.12.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from triton_models.engines.errors import EngineBuildFailed, ToolkitMissing
from triton_models.engines.toolkit import Arrays, BuiltEngine, Dims, InputShapes, ShapeRange

_WORKSPACE_BYTES = 4 << 30
_LAST_LINES = 5
_MAJOR = 10


class TensorRtToolkit:
    """On the first GPU that CUDA shows."""

    def __init__(self) -> None:
        """Raises ToolkitMissing."""
        try:
            import tensorrt
            from cuda.bindings import runtime
        except ImportError as exc:
            raise ToolkitMissing(str(exc)) from exc
        if int(tensorrt.__version__.split(".")[0]) != _MAJOR:
            raise ToolkitMissing(f"TensorRT {tensorrt.__version__} is installed, and {_MAJOR} is what is used here")
        self._trt = tensorrt
        self._cuda = _Cuda(runtime)
        self._gpu = self._cuda.device_name()
        self._log = _log(tensorrt)

    @property
    def version(self) -> str:
        return f"TensorRT {self._trt.__version__}"

    @property
    def gpu(self) -> str:
        return self._gpu

    def build(self, network: Path, profiles: Sequence[InputShapes], timings: bytes) -> BuiltEngine:
        """See EngineToolkit."""
        trt = self._trt
        builder = trt.Builder(self._log)
        definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(definition, self._log)
        if not parser.parse_from_file(str(network)):
            problems = [str(parser.get_error(index)) for index in range(parser.num_errors)]
            raise EngineBuildFailed(network.stem, "; ".join(problems))
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
        if not config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False):
            # From something else after all.
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
        for shapes in profiles:
            profile = builder.create_optimization_profile()
            for name, shape in shapes.items():
                profile.set_shape(name, shape.least, shape.best, shape.most)
            if config.add_optimization_profile(profile) < 0:
                raise EngineBuildFailed(network.stem, f"it has no such inputs or shapes: {dict(shapes)}")
        plan = builder.build_serialized_network(definition, config)
        if plan is None:
            raise EngineBuildFailed(network.stem, self._log.last_words())
        return BuiltEngine(bytes(plan), bytes(config.get_timing_cache().serialize()))

    def load(self, plan: bytes) -> _TensorRtEngine:
        """See EngineToolkit."""
        # The runtime must live as long as the engine.
        runtime = self._trt.Runtime(self._log)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineBuildFailed("the plan", self._log.last_words())
        return _TensorRtEngine(self._trt, self._cuda, self._log, runtime, engine)


class _TensorRtEngine:
    """For one thread at a time."""

    def __init__(self, trt: Any, cuda: _Cuda, log: Any, runtime: Any, engine: Any) -> None:
        self._trt, self._cuda, self._log, self._runtime, self._engine = trt, cuda, log, runtime, engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineBuildFailed("the plan", f"no memory to run it: {log.last_words()}")
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._outputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]

    def run(self, inputs: Arrays) -> Arrays:
        """See Engine."""
        context, results = self._context, {}
        with ExitStack() as stack:
            stream = stack.enter_context(self._cuda.stream())
            self._require(context.set_optimization_profile_async(self._profile(inputs), stream))
            # Kept until the copies have been made.
            sources = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
            for name, values in sources.items():
                self._require(context.set_input_shape(name, values.shape))
                memory = stack.enter_context(self._cuda.memory(values.nbytes))
                self._cuda.to_device(memory, values, stream)
                self._require(context.set_tensor_address(name, memory))
            for name in self._outputs:
                dtype = self._trt.nptype(self._engine.get_tensor_dtype(name))
                results[name] = np.empty(tuple(context.get_tensor_shape(name)), dtype)
                memory = stack.enter_context(self._cuda.memory(results[name].nbytes))
                self._require(context.set_tensor_address(name, memory))
            self._require(context.execute_async_v3(stream))
            for name, values in results.items():
                self._cuda.to_host(values, context.get_tensor_address(name), stream)
            self._cuda.wait(stream)
        return results

    def _require(self, done: bool) -> None:
        if not done:
            raise EngineBuildFailed("the plan", f"it does not run: {self._log.last_words()}")

    def _profile(self, inputs: Arrays) -> int:
        for index in range(self._engine.num_optimization_profiles):
            ranges = {name: self._engine.get_tensor_profile_shape(name, index) for name in inputs}
            if all(ShapeRange(*map(_dims, ranges[name])).holds(inputs[name].shape) for name in inputs):
                return index
        shapes = {name: values.shape for name, values in inputs.items()}
        raise EngineBuildFailed("the plan", f"no profile holds {shapes}")


class _Cuda:
    """The calls of CUDA's runtime that are needed. Each raises ToolkitMissing with CUDA's own words."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def device_name(self) -> str:
        """Such as `NVIDIA H100 80GB HBM3, sm_90`."""
        (properties,) = self._checked(self._runtime.cudaGetDeviceProperties(0))
        return f"{properties.name.decode().rstrip(chr(0))}, sm_{properties.major}{properties.minor}"

    @contextmanager
    def stream(self) -> Iterator[int]:
        (stream,) = self._checked(self._runtime.cudaStreamCreate())
        try:
            yield int(stream)
        finally:
            self._runtime.cudaStreamDestroy(stream)

    @contextmanager
    def memory(self, size: int) -> Iterator[int]:
        (address,) = self._checked(self._runtime.cudaMalloc(max(1, size)))
        try:
            yield int(address)
        finally:
            self._runtime.cudaFree(address)

    def to_device(self, address: int, values: np.ndarray[Any, Any], stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._checked(self._runtime.cudaMemcpyAsync(address, values.ctypes.data, values.nbytes, kind, stream))

    def to_host(self, values: np.ndarray[Any, Any], address: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._checked(self._runtime.cudaMemcpyAsync(values.ctypes.data, address, values.nbytes, kind, stream))

    def wait(self, stream: int) -> None:
        self._checked(self._runtime.cudaStreamSynchronize(stream))

    def _checked(self, result: tuple[Any, ...]) -> tuple[Any, ...]:
        status, *values = result
        if status != self._runtime.cudaError_t.cudaSuccess:
            _, words = self._runtime.cudaGetErrorString(status)
            raise ToolkitMissing(f"CUDA says: {words.decode()}")
        return tuple(values)


def _dims(dims: Any) -> Dims:
    return tuple(int(dim) for dim in dims)


def _log(trt: Any) -> Any:
    """A logger that remembers the last errors, for exceptions."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=_LAST_LINES)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self._errors.append(message)

        def last_words(self) -> str:
            return "; ".join(self._errors) or "it gave no reason"

    return Log()
