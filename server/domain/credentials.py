"""What callers prove themselves with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with a call. `bearer` is the token or key of its `authorization`, empty without one; `names` are the
    subject alternative names of the client certificate that TLS has verified. Neither is ever logged."""

    bearer: str = field(default="", repr=False)
    names: tuple[str, ...] = ()
