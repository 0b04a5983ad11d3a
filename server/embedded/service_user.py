"""Lets PostgreSQL, which refuses to run as root, run when Pinakes was started by root (containers, CI).

Its processes then run as an unprivileged user. That user often cannot reach a project below /root, so it is given
the right to *read past* permissions (CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where a container has only that)
as an ambient capability (by `launcher`). The alternative, opening up the permissions of /root for everybody, is worse.
See capabilities(7) and prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from server.embedded.errors import PrerequisiteMissing

_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """An unprivileged user that a child of root becomes. `capability` is what it keeps."""

    name: str
    uid: int
    gid: int
    capability: int

    def own(self, path: Path) -> None:
        """Gives `path` and everything below it to this user."""
        os.chown(path, self.uid, self.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)


def service_user(data: Path) -> ServiceUser | None:
    """Who runs the processes that own `data`: None, meaning this user, unless this user is root.

    An existing directory keeps its owner. Raises PrerequisiteMissing where root cannot become anybody.
    """
    if os.geteuid() != 0:
        return None
    entry = _owner(data) or next((found for name in _CANDIDATES if (found := _user(name))), None)
    if entry is None:
        raise PrerequisiteMissing(
            "PostgreSQL refuses to run as root and there is no user `nobody`", "useradd --system postgres"
        )
    return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid, _capability())


def _owner(data: Path) -> pwd.struct_passwd | None:
    if not data.exists() or data.stat().st_uid == 0:
        return None
    try:
        return pwd.getpwuid(data.stat().st_uid)
    except KeyError:
        return None


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _capability() -> int:
    """What lets a process of root's read past permissions here."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, twice (the second word holds capabilities from 32 on).
    words = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capget(header, words) == 0:
        for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
            if words[1] & (1 << capability):
                return capability
    raise PrerequisiteMissing(
        "root has neither CAP_DAC_READ_SEARCH nor CAP_DAC_OVERRIDE here, so PostgreSQL cannot be started for it",
        "run Pinakes as an ordinary user",
    )
