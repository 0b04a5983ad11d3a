"""Makes the wheel's python-backend stub read NumPy 2 arrays.

The stub was compiled with a pybind11 from before NumPy 2 and reads an array's item size at offset 32 of
`PyArray_Descr`. NumPy 2 keeps flags there and has the size at offset 40 (migration guide, "The PyArray_Descr struct
has been changed"), so that every tensor would have items of size 0. Five instructions read the field: one where an
array is made for a model's input, four where the size of an output is computed. The displacement byte of each is
corrected in a copy; a digest makes sure that only the files this was made for are touched.

NumPy 1 for the models would be no way out: it has no wheel for Python 3.13.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from server.embedded.errors import PrerequisiteMissing

_ITEM_SIZE_OFFSET_NUMPY_1 = 32
_ITEM_SIZE_OFFSET_NUMPY_2 = 40


@dataclass(frozen=True, slots=True)
class _Stub:
    """A stub of nvidia-pytriton 0.7.0. `places` are the file offsets of the displacement bytes."""

    sha256: str
    places: tuple[int, ...]


# movslq 0x20(%rax),%rax is 48 63 40 20 (the first four), mov 0x20(%rax),%eax is 8b 40 20 (the last).
_STUBS = {
    "3.11": _Stub(
        "a302adf6396501ac139da06f965aea1bf61929c99bf799f6b8797e071cd268f4",
        (0xA4BF9 + 3, 0xA4E3E + 3, 0xA55B1 + 3, 0xA5816 + 3, 0xAB249 + 2),
    ),
    "3.12": _Stub(
        "41a7758c6f44520b846e90a5bf8b063f99aee01698c3e32113ce352fe8369921",
        (0xA6C71 + 3, 0xA6E8D + 3, 0xA7661 + 3, 0xA78A6 + 3, 0xACA29 + 2),
    ),
    "3.13": _Stub(
        "7b701b4b4bc01ca7af0350eaffa4f2aed92f02b465b3494a265059e4d3ca6cf8",
        (0xA6C71 + 3, 0xA6E8D + 3, 0xA7661 + 3, 0xA78A6 + 3, 0xACA29 + 2),
    ),
}


def write_stub(wheel: Path, python: str, target: Path) -> None:
    """Writes the stub for Python `python` (such as "3.12") to `target`, corrected for NumPy 2.

    `wheel` is the wheel's folder `pytriton/tritonserver`. Raises PrerequisiteMissing for a stub that this was not made
    for.
    """
    source = wheel / "python_backend_stubs" / python / "triton_python_backend_stub"
    known = _STUBS.get(python)
    if known is None or not source.exists():
        raise PrerequisiteMissing(f"Triton has no python backend for Python {python} here", "make setup")
    code = bytearray(source.read_bytes())
    if hashlib.sha256(code).hexdigest() != known.sha256:
        raise PrerequisiteMissing(
            f"{source} is not of nvidia-pytriton 0.7.0, the version that Pinakes knows to run with NumPy 2",
            "make setup",
        )
    for place in known.places:
        if code[place] != _ITEM_SIZE_OFFSET_NUMPY_1:
            raise AssertionError(f"offset {place:#x} of {source} holds {code[place]}")
        code[place] = _ITEM_SIZE_OFFSET_NUMPY_2
    target.write_bytes(code)
    shutil.copymode(source, target)
