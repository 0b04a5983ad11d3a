"""A language model of a few kilobytes as a GGUF file: Llama's kind, one layer, random weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_F32 = 0
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""Kinds of tokens."""
_HIDDEN, _HEADS, _FEED_FORWARD, _CONTEXT = 32, 2, 64, 256

Value = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]


def write_tiny_gguf(path: Path, chat_template: str) -> None:
    """Its tokens are bytes: each character of a prompt in ASCII is one, but a blank."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256]
    told: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _HIDDEN,
        "llama.block_count": 1,
        "llama.feed_forward_length": _FEED_FORWARD,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": chat_template,
    }
    random = np.random.default_rng(1)
    shapes = {"token_embd": (len(tokens), _HIDDEN), "output": (len(tokens), _HIDDEN), "output_norm": (_HIDDEN,)}
    shapes |= {f"blk.0.attn_{part}": (_HIDDEN, _HIDDEN) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.attn_norm": (_HIDDEN,), "blk.0.ffn_norm": (_HIDDEN,), "blk.0.ffn_down": (_HIDDEN, _FEED_FORWARD)}
    shapes |= {"blk.0.ffn_gate": (_FEED_FORWARD, _HIDDEN), "blk.0.ffn_up": (_FEED_FORWARD, _HIDDEN)}
    tensors = {f"{name}.weight": random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    path.write_bytes(_file(told, tensors))


def _file(told: Mapping[str, Value], tensors: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(told))
    head += b"".join(_string(key) + _value(value) for key, value in told.items())
    data = b""
    for name, values in tensors.items():
        # The size of the last axis comes first.
        sizes = struct.pack(f"<I{values.ndim}Q", values.ndim, *reversed(values.shape))
        head += _string(name) + sizes + struct.pack("<IQ", _F32, len(data))
        data += _padded(values.tobytes())
    return _padded(head) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Value) -> bytes:
    kind, content = _content(value)
    return struct.pack("<I", kind) + content


def _content(value: Value) -> tuple[int, bytes]:
    match value:
        case str():
            return _STRING, _string(value)
        case bool():
            return _BOOL, struct.pack("<?", value)
        case int():
            return _UINT32, struct.pack("<I", value)
        case float():
            return _FLOAT32, struct.pack("<f", value)
    parts = [_content(each) for each in value]
    kind = _INT32 if parts[0][0] == _UINT32 else parts[0][0]
    return _ARRAY, struct.pack("<IQ", kind, len(parts)) + b"".join(part for _, part in parts)
