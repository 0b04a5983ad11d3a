"""The fingerprint says what a figure depends on."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from pydantic import JsonValue

from bench.environment import Load, differences, fingerprint, load_between, remarks


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_fingerprint_of_this_machine(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = fingerprint(tmp_path)
    (tmp_path / "file").write_text("2")
    dirty = fingerprint(tmp_path)
    assert (clean["git_dirty"], dirty["git_dirty"]) == (False, True)
    assert isinstance(clean["git_commit"], str)
    assert len(clean["git_commit"]) == 40
    assert clean["python"] == platform.python_version()
    assert isinstance(clean["packages"], dict)
    assert clean["packages"]["numpy"] == metadata.version("numpy")
    assert clean["cpu"]
    assert isinstance(clean["cores"], int)
    assert json.loads(json.dumps(clean)) == clean
    assert differences(clean, dirty) == []


def test_a_folder_without_git_is_no_error(tmp_path: Path) -> None:
    found = fingerprint(tmp_path / "absent")
    assert (found["git_commit"], found["git_dirty"]) == (None, None)


def test_load_between_two_moments() -> None:
    before = Load((1.0, 1.0, 1.0), busy_s=100, steal_s=10, total_s=200)
    after = Load((3.0, 2.0, 1.0), busy_s=160, steal_s=12, total_s=300)
    shares = load_between(before, after)
    assert (shares["busy_share"], shares["steal_share"]) == (0.6, 0.02)
    assert shares["load_average_after"] == [3.0, 2.0, 1.0]


def test_remarks_tell_of_a_busy_machine() -> None:
    quiet: dict[str, JsonValue] = {
        "load_average_before": [0.3, 5.0, 9.0],
        "cores": 2,
        "steal_share": 0.001,
        "git_dirty": False,
    }
    assert remarks(quiet) == []
    assert remarks({}) == []
    said = remarks(
        {"load_average_before": [5.1, 0.0, 0.0], "cores": 2, "steal_share": 0.1, "niceness": 5, "git_dirty": True}
    )
    assert len(said) == 4
    assert "5.1 on 2 cores" in said[0]
    assert said[1].startswith("10%")
    assert said[2].endswith("niceness 5")


def test_load_now_grows() -> None:
    first = Load.now()
    sum(range(2_000_000))
    later = Load.now()
    assert later.total_s >= first.total_s > first.busy_s > 0
    assert later.steal_s >= first.steal_s


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"cores": 2}, {"cores": 4}, ["cores: 2 -> 4"]),
        ({"git_commit": "a"}, {"git_commit": "b"}, []),
        ({"packages": {"a": "1", "b": "1"}}, {"packages": {"a": "2", "b": "1"}}, ["packages: a 1 -> 2"]),
    ],
)
def test_differences(old: dict[str, JsonValue], new: dict[str, JsonValue], told: list[str]) -> None:
    assert differences(old, new) == told
