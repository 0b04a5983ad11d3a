"""Makes `.venv` with everything that is locked in `requirements/`; does nothing when that is done already.

Started by `make` with whatever Python 3 the machine has; standard library only. The packages are installed by uv,
which takes pip's configured indexes and certificates, and by pip itself where uv cannot.

    python3 setup/environment.py [--python PYTHON] [--current]

`--current` only says by its exit status whether `.venv` is up to date (in under 0.1 s).
"""

import argparse
import ast
import hashlib
import os
import subprocess
import sys
import time
from typing import Dict, List, Optional, Sequence

import prerequisites

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(PROJECT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "pinakes.stamp")
LOCKS = ("requirements/development.txt", "requirements/triton.txt")
PROJECTS = ("clients/python", ".")
INPUTS = (*LOCKS, "pyproject.toml", "clients/python/pyproject.toml", "setup/environment.py")
# Which of pip's settings uv knows, by what name.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the Python to make the environment with, when it is made")
    parser.add_argument("--current", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args(arguments)
    if is_current():
        return 0
    if options.current:
        return 1
    found = prerequisites.check(options.python)
    for problem in found.problems:
        say(problem)
    if found.problems or found.python is None:
        return 1
    began = time.time()
    try:
        install(found.python)
    except subprocess.CalledProcessError as error:
        say("Setting up stopped: `%s` ended with status %d; see above." % (" ".join(error.cmd[:6]), error.returncode))
        return 1
    with open(STAMP, "w", encoding="utf-8") as stamp:
        stamp.write(fingerprint())
    say("The environment is ready (%.0f s)." % (time.time() - began))
    return 0


def is_current() -> bool:
    try:
        with open(STAMP, encoding="utf-8") as stamp:
            return os.access(PYTHON, os.X_OK) and stamp.read() == fingerprint()
    except OSError:
        return False


def fingerprint() -> str:
    """Of everything that decides what is in the environment, and of the Python that it was made with."""
    digest = hashlib.sha256()
    with open(os.path.join(VENV, "pyvenv.cfg"), "rb") as configuration:
        digest.update(configuration.read())
    for name in INPUTS:
        with open(os.path.join(PROJECT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def install(python: str) -> None:
    if os.path.exists(STAMP):
        os.remove(STAMP)
    if not supported(PYTHON):
        say("Making .venv with %s" % python)
        run([python, "-m", "venv", "--clear", VENV])
    if not install_with_uv():
        say("uv cannot install here; pip does it, which takes longer.")
        pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        run([*pip, "--require-hashes", *requirement_options()])
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps"]
    editable = [word for project in PROJECTS for word in ("-e", os.path.join(PROJECT, project))]
    say("Linking this project into .venv")
    # Quiet: setuptools warns at length of what every checkout does.
    run([*pip, "--quiet", "--no-build-isolation", *editable])


def install_with_uv() -> bool:
    say("Installing uv")
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps"]
    lock = os.path.join(VENV, "uv.txt")
    with open(lock, "w", encoding="utf-8") as file:
        file.write(locked("uv"))
    if subprocess.call([*pip, "--require-hashes", "-r", lock]) != 0:
        return False
    say("Installing the locked packages (about 1.5 GB on disk)")
    uv = os.path.join(VENV, "bin", "uv")
    locks = [os.path.join(PROJECT, name) for name in LOCKS]
    # Sync installs exactly these and removes others; it resolves nothing.
    command = [uv, "pip", "sync", "--python", PYTHON, "--require-hashes", *locks]
    return subprocess.call(command, env=uv_environment(dict(os.environ), pip_settings())) == 0


def uv_environment(environment: Dict[str, str], settings: Dict[str, str]) -> Dict[str, str]:
    """`environment` with pip's `settings` under uv's names; what is there already wins."""
    result = dict(environment)
    # Like pip: the system's certificates, and every index for every package (the hashes decide what is right).
    result.setdefault("UV_SYSTEM_CERTS", "true")
    result.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    result.setdefault("UV_LINK_MODE", "copy" if other_file_system() else "hardlink")
    for name, value in settings.items():
        if name in UV_NAMES:
            separator = "," if name == "find-links" else " "
            result.setdefault(UV_NAMES[name], separator.join(value.split()))
    return result


def pip_settings() -> Dict[str, str]:
    """What pip is configured with, by files and by variables; variables win, as in pip."""
    output = subprocess.run(
        [PYTHON, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode("utf-8", "replace")
    settings: Dict[str, str] = {}
    lines = [line.partition("=") for line in output.splitlines()]
    rank = {"global": 0, "install": 1, ":env:": 2}
    for key, _, value in sorted(lines, key=lambda line: rank.get(line[0].partition(".")[0], -1)):
        section, _, name = key.partition(".")
        if section in rank and value:
            settings[name] = " ".join(str(ast.literal_eval(value)).split())
    return settings


def locked(package: str) -> str:
    """The lines of the lock that pin `package` with its hashes."""
    with open(os.path.join(PROJECT, LOCKS[0]), encoding="utf-8") as lock:
        lines = lock.read().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(package + "=="))
    taken: List[str] = []
    for line in lines[start:]:
        taken.append(line)
        if not line.endswith("\\"):
            break
    return "\n".join(taken) + "\n"


def supported(python: str) -> bool:
    """Whether `python` runs, is of a supported version and has pip."""
    code = "import sys, pip; sys.exit(sys.version_info[:2] not in %r)" % (prerequisites.SUPPORTED,)
    try:
        return subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def other_file_system() -> bool:
    """Whether uv's cache is on another file system than the project, where it cannot link."""
    cache = os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    try:
        return os.stat(cache).st_dev != os.stat(PROJECT).st_dev
    except OSError:
        return True


def requirement_options() -> List[str]:
    return [word for name in LOCKS for word in ("-r", os.path.join(PROJECT, name))]


def run(command: Sequence[str]) -> None:
    subprocess.run(list(command), check=True)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
