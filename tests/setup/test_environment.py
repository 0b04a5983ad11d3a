"""How the environment is set up, as far as that needs no installing."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SETUP = Path(__file__).resolve().parents[2] / "setup"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(SETUP))
    spec = importlib.util.spec_from_file_location("setup_environment", SETUP / "environment.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("prerequisites", None)


def test_uv_gets_what_pip_is_configured_with(environment: ModuleType) -> None:
    settings = {
        "index-url": "https://mirror/simple",
        "extra-index-url": "https://one/simple https://two/simple",
        "find-links": "/wheels /more",
        "cert": "/etc/ours.pem",
        "timeout": "60",
    }
    assert (
        environment.uv_environment({"HOME": "/home/me"}, settings).items()
        >= {
            "HOME": "/home/me",
            "UV_DEFAULT_INDEX": "https://mirror/simple",
            "UV_INDEX": "https://one/simple https://two/simple",
            "UV_FIND_LINKS": "/wheels,/more",
            "SSL_CERT_FILE": "/etc/ours.pem",
            "UV_INDEX_STRATEGY": "unsafe-best-match",
        }.items()
    )


def test_what_the_user_told_uv_wins(environment: ModuleType) -> None:
    told = {"UV_DEFAULT_INDEX": "https://mine/simple"}
    result = environment.uv_environment(told, {"index-url": "https://mirror/simple"})
    assert result["UV_DEFAULT_INDEX"] == "https://mine/simple"


def test_a_variable_of_pip_wins_over_its_files(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable/simple")
    assert environment.pip_settings()["index-url"] == "https://variable/simple"


def test_the_lock_pins_uv_with_hashes(environment: ModuleType) -> None:
    lines = environment.locked("uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])


def test_it_is_current_until_something_changes(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in environment.INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("version = 3.11.7\n")
    monkeypatch.setattr(environment, "PROJECT", str(tmp_path))
    monkeypatch.setattr(environment, "VENV", str(venv))
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    monkeypatch.setattr(environment, "STAMP", str(venv / "stamp"))
    assert not environment.is_current()
    (venv / "stamp").write_text(environment.fingerprint())
    assert environment.is_current()
    for changed in (tmp_path / environment.LOCKS[0], venv / "pyvenv.cfg"):
        before = changed.read_text()
        changed.write_text("other")
        assert not environment.is_current()
        changed.write_text(before)
