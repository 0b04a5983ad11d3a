"""Views of arrays that cannot be written through.

Kernels are compiled once for each type of their arguments, and to Numba a read-only array is a type of its own. Arrays
of a file are read-only; whatever a kernel only reads must be, too, wherever it comes from.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)


def read_only(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A view; the array itself stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view
