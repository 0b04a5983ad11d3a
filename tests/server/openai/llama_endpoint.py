"""llama.cpp's own HTTP server, which speaks OpenAI's API, as a process: `python -m tests.server.openai.llama_endpoint
MODEL KEY generate|embed` writes its URL, and ends when its standard input does."""

from __future__ import annotations

import sys

import xllamacpp


def main(model: str, key: str, task: str) -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {"some/model"}
    parameters.api_keys = [key]
    parameters.hostnames = ["127.0.0.1"]
    parameters.n_parallel = 1
    parameters.n_ctx = 1024
    parameters.n_batch = parameters.n_ubatch = 64
    parameters.endpoint_metrics = True
    parameters.verbosity = 0
    parameters.ui = False
    parameters.warmup = False
    if task == "embed":
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.n_batch = parameters.n_ubatch = 1024
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
