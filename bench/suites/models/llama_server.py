"""llama.cpp's own HTTP server, from the library that Pinakes runs it from: `python -m bench.suites.models.llama_server
MODEL THREADS SLOTS CONTEXT` prints its address, and ends when its standard input does.

Everything that is not said there has llama.cpp's own default: batches of 2048 tokens, computed 512 at a time, and a
cache of prompts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import xllamacpp

from bench.suites.base import PROJECT
from bench.suites.models.workload import GenerationPlan

_START_S = 120.0
_STOP_S = 30.0


@asynccontextmanager
async def running_llama(model: Path, plan: GenerationPlan) -> AsyncIterator[str]:
    """Its address, `http://127.0.0.1:PORT`, while the context lasts. Raises TimeoutError, OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        *map(str, (model, plan.threads, plan.slots, plan.context_tokens)),
        cwd=PROJECT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise OSError("llama.cpp's server did not start")
        yield address
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def main(model: str, threads: str, slots: str, context_tokens: str) -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(threads)
    parameters.n_parallel = int(slots)
    parameters.n_ctx = int(slots) * int(context_tokens)
    parameters.hostnames = ["127.0.0.1"]
    parameters.verbosity = 0
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
