"""Which versions of TLS gRPC speaks in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_CIPHERS = "GRPC_SSL_CIPHER_SUITES"
_NONE_OF_TLS_1_2 = "ECDHE-PSK-CHACHA20-POLY1305"
"""A suite of TLS 1.2 that needs a pre-shared key, which nobody has. TLS 1.3 has suites of its own."""


def require_tls_1_3(environment: Mapping[str, str]) -> None:
    """Has this process, as a server and as a client of gRPC, refuse TLS 1.2. `environment` is the process's own; if it
    does not say so yet, the program begins anew with one that does.

    gRPC's Python API cannot name a least version, and its core takes 1.2. A handshake of TLS 1.2 has to agree on one of
    its cipher suites, which the core lets the environment choose; one of TLS 1.3 does not. The core reads the variable
    when it is imported, which most modules here do.
    """
    if environment.get(_CIPHERS) != _NONE_OF_TLS_1_2:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environment, _CIPHERS: _NONE_OF_TLS_1_2})
