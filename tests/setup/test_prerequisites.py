"""What a fresh machine is told, with real interpreters and a PATH of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "setup" / "prerequisites.py"


def run(path: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path)}
    return subprocess.run(
        [python, str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with a compiler, this Python, and a pyenv shim that fails."""
    version = f"python3.{sys.version_info.minor}"
    program(tmp_path, "g++", "exit 0")
    program(tmp_path, version, f'exec "{sys.executable}" "$@"')
    program(tmp_path, "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    return tmp_path


def test_a_good_machine_gets_the_python_to_use(machine: Path) -> None:
    result = run(machine)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip() == str(machine / f"python3.{sys.version_info.minor}")


def test_without_a_compiler_it_says_so_once(machine: Path) -> None:
    (machine / "g++").unlink()
    result = run(machine)
    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith("There is no C++ compiler")
    assert "fix it with: " in sentence or "install what Debian calls g++" in sentence


def test_only_failing_and_old_pythons_are_none(machine: Path) -> None:
    program(machine, f"python3.{sys.version_info.minor}", "echo 3.9; exit 0")
    result = run(machine)
    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert "There is no working CPython 3.11, 3.12 or 3.13" in sentence


def test_each_thing_that_a_python_lacks_is_a_sentence(machine: Path) -> None:
    facts = (
        '{"version": [3, 12], "implementation": "cpython", "bits": 64, "venv": false, "headers": false, '
        '"libpython": false}'
    )
    program(machine, "python3.12", f"echo '{facts}'")
    result = run(machine, "python3.12")
    assert result.returncode == 1
    venv, headers, library = result.stderr.splitlines()
    assert "virtual environments" in venv
    assert "Python.h" in headers
    assert "libpython3.12.so.1.0" in library
    assert all("python3.12" in line for line in (venv, headers, library))


def test_a_python_that_lacks_nothing_is_preferred(machine: Path) -> None:
    facts = (
        '{"version": [3, 12], "implementation": "cpython", "bits": 64, "venv": true, "headers": false, '
        '"libpython": true}'
    )
    other = 12 if sys.version_info.minor != 12 else 11
    program(machine, f"python3.{other}", f"echo '{facts}'")
    result = run(machine)
    assert result.stdout.strip() == str(machine / f"python3.{sys.version_info.minor}")


def test_a_python_that_is_asked_for_and_missing_is_named(machine: Path) -> None:
    result = run(machine, "python3.14")
    assert result.returncode == 1
    assert result.stderr.startswith("python3.14 is not a working CPython")


def _other_pythons() -> list[str]:
    """Whatever else this machine has, old ones above all."""
    root = Path.home() / ".pyenv" / "versions"
    return [str(path) for path in sorted(root.glob("3.*/bin/python3"))] + ["/usr/bin/python3"]


@pytest.mark.parametrize("python", _other_pythons())
def test_every_python_3_can_run_it(machine: Path, python: str) -> None:
    if not os.access(python, os.X_OK):
        pytest.skip(f"this machine has no {python}")
    result = run(machine, python=python)
    assert (result.returncode, result.stderr) == (0, "")
