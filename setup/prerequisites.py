"""What Pinakes needs from the machine before anything can be installed.

Runs on any Python 3 (3.6 and later), with the standard library only: on a machine that lacks something this is the
file that says so. Each missing thing is one sentence with the command that fixes it.

    python3 setup/prerequisites.py         prints the Python to use; exit status 1 when something is missing
"""

import glob
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

SUPPORTED = ((3, 11), (3, 12), (3, 13))
GLIBC = (2, 35)
COMPILERS = ("g++", "clang++", "c++")
PROBE_SECONDS = 20

# Runs in the Python that is looked at.
PROBE = r"""
import ctypes, importlib.util, json, os, sys, sysconfig
version = "%d.%d" % sys.version_info[:2]
library = "libpython%s.so.1.0" % version
folders = [sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib"]
found = any(folder and os.path.exists(os.path.join(folder, library)) for folder in folders)
if not found:
    try:
        ctypes.CDLL(library)
        found = True
    except OSError:
        pass
print(json.dumps({
    "version": list(sys.version_info[:2]),
    "implementation": sys.implementation.name,
    "bits": 64 if sys.maxsize > 2**32 else 32,
    "venv": all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")),
    "headers": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
    "libpython": found,
}))
"""


class Interpreter(NamedTuple):
    """A supported Python, and what it lacks."""

    path: str
    version: str
    problems: Tuple[str, ...]


class Prerequisites(NamedTuple):
    """The Python to use, and everything that is missing."""

    python: Optional[str]
    problems: Tuple[str, ...]


def check(asked: Optional[str] = None, environment: Optional[Dict[str, str]] = None) -> Prerequisites:
    """Looks at the machine. `asked` is a Python that the user insists on."""
    environment = dict(os.environ) if environment is None else environment
    problems = list(_machine_problems())
    best = find_python(asked, environment)
    if best is None:
        problems.append(_no_python(asked))
    else:
        problems += best.problems
    if not any(shutil.which(compiler, path=environment.get("PATH")) for compiler in COMPILERS):
        problems.append("There is no C++ compiler, which hnswlib is built with; " + _install("g++", "gcc-c++") + ".")
    return Prerequisites(best.path if best else None, tuple(problems))


def find_python(asked: Optional[str], environment: Dict[str, str]) -> Optional[Interpreter]:
    """The supported Python that lacks the least, the earlier candidate when several lack the same."""
    best: Optional[Interpreter] = None
    for path in _candidates(asked, environment):
        found = _interpreter(path, environment)
        if found is not None and (best is None or len(found.problems) < len(best.problems)):
            best = found
        if best is not None and not best.problems:
            break
    return best


def _candidates(asked: Optional[str], environment: Dict[str, str]) -> List[str]:
    """Paths to try. A pyenv shim exists for each version of pyenv and fails for all that are not chosen."""
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    if asked:
        found = shutil.which(asked, path=os.pathsep.join(folders))
        return [found] if found else []
    names = ["python%d.%d" % version for version in SUPPORTED] + ["python3"]
    paths = [os.path.join(folder, name) for name in names for folder in folders]
    home = environment.get("PYENV_ROOT") or os.path.join(environment.get("HOME", "/nonexistent"), ".pyenv")
    for version in SUPPORTED:
        paths += sorted(glob.glob(os.path.join(home, "versions", "%d.%d.*" % version, "bin", "python3")))
    return [path for path in dict.fromkeys(paths) if os.access(path, os.X_OK)]


def _interpreter(path: str, environment: Dict[str, str]) -> Optional[Interpreter]:
    facts = _facts(path, environment)
    if facts is None or tuple(facts["version"]) not in SUPPORTED:
        return None
    if facts["implementation"] != "cpython" or facts["bits"] != 64:
        return None
    version = "%d.%d" % tuple(facts["version"])
    problems = []
    if not facts["venv"]:
        problems.append(
            "%s cannot make virtual environments; %s."
            % (path, _install("python%s-venv" % version, "python%s" % version))
        )
    if not facts["headers"]:
        problems.append(
            "%s has no headers (Python.h), which hnswlib is built with; %s."
            % (path, _install("python%s-dev" % version, "python%s-devel" % version))
        )
    # The wheel of Triton brings the library for 3.13 only.
    if not facts["libpython"] and version != "3.13":
        problems.append(
            "%s has no libpython%s.so.1.0, which Triton runs its models with; %s."
            % (path, version, _install("libpython%s" % version, "python%s-libs" % version))
        )
    return Interpreter(path, version, tuple(problems))


def _facts(path: str, environment: Dict[str, str]) -> Optional[Dict[str, Any]]:
    clean = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    try:
        output = subprocess.check_output(
            [path, "-c", PROBE],
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=clean,
            timeout=PROBE_SECONDS,
        )
        facts: Dict[str, Any] = dict(json.loads(output.decode("utf-8")))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None
    return facts


def _machine_problems() -> List[str]:
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return [
            "Pinakes runs on Linux on x86-64, and this is %s on %s; use a Linux machine or a virtual one."
            % (platform.system(), platform.machine())
        ]
    version = glibc_version()
    if version is None:
        return [
            "The C library here is not glibc, which the wheel of Triton needs; use Debian 12, Ubuntu 22.04 or later."
        ]
    if version < GLIBC:
        return [
            "glibc is %d.%d and the wheel of Triton needs %d.%d; use Debian 12, Ubuntu 22.04 or later."
            % (version + GLIBC)
        ]
    return []


def glibc_version() -> Optional[Tuple[int, int]]:
    try:
        found = re.match(r"glibc (\d+)\.(\d+)", os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError):
        return None
    return (int(found.group(1)), int(found.group(2))) if found else None


def _no_python(asked: Optional[str]) -> str:
    if asked:
        return "%s is not a working CPython 3.11, 3.12 or 3.13; name another one with PYTHON=…." % asked
    return "There is no working CPython 3.11, 3.12 or 3.13 on the PATH; %s, or name one with PYTHON=…." % _install(
        "python3 python3-venv python3-dev", "python3.12 python3.12-devel"
    )


def _install(debian: str, fedora: str) -> str:
    """`debian` and `fedora` are package names; the sentence's end fits the machine."""
    root = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
    if os.path.exists("/usr/bin/apt-get"):
        return "fix it with: %sapt-get install -y %s" % (root, debian)
    if os.path.exists("/usr/bin/dnf"):
        return "fix it with: %sdnf install -y %s" % (root, fedora)
    return "install what Debian calls %s with the package tool of this system" % debian


def main() -> int:
    prerequisites = check(sys.argv[1] if len(sys.argv) > 1 else None)
    for problem in prerequisites.problems:
        sys.stderr.write(problem + "\n")
    if prerequisites.problems:
        return 1
    sys.stdout.write("%s\n" % prerequisites.python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
