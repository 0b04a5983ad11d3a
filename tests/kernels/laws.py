"""How many examples a law of a kernel is tried with."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

import kernels

seeds = st.integers(0, 2**32 - 1)
# Plain Python takes a hundred times longer for the same laws.
few = settings(max_examples=40 if kernels.JITTED else 8, deadline=None)
fewer = settings(max_examples=30 if kernels.JITTED else 2, deadline=None)
