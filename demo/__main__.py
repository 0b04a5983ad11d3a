"""Starts the stack, ingests documents, asks questions, and stops the stack: by the commands that a user would type."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
# One fact each from a table, a scan, a Japanese photograph, a Markdown file, and one that nobody wrote down.
SAMPLE_QUESTIONS = (
    "How many passengers may the Sanderling carry?",
    "How many steps has the tower of Corrin Light?",
    "白鷺島までの所要時間は何分ですか。",
    "What is the highest wind speed for the South berth?",
    "How much does a pizza cost on the moon base?",
)
PINAKES = str(Path(sys.executable).with_name("pinakes"))
_READY_S = 600.0
_STOP_S = 60.0

console = Console(highlight=False)


class DemoFailed(Exception):
    """Why the demo cannot go on, in one sentence."""


def main(
    docs: Annotated[str, typer.Option(help="Files or folders of your own, separated by spaces.")] = "",
    ask: Annotated[str, typer.Option(help="Your own question.")] = "",
) -> None:
    """Answers questions from documents, with real models, and shows where the answers come from."""
    began = time.monotonic()
    try:
        paths, questions = _documents(docs), _questions(docs, ask)
        data = _data_directory(docs)
        with _stack(data) as address:
            if not _pinakes(address, data, "ingest", *map(str, paths)):
                console.print("[yellow]Going on with the documents that could be read.[/]")
            for number, question in enumerate(questions):
                if not _pinakes(address, data, "ask", question):
                    raise DemoFailed("The question was not answered; see above.")
                if number == 0:
                    console.print(f"[dim]the first answer was there after {time.monotonic() - began:.1f} s[/]")
    except DemoFailed as failure:
        console.print(f"[red]{failure}[/]")
        raise typer.Exit(1) from failure
    console.print("Everything is stopped. Run it again: it is faster now. [dim]Keep it running with: make up[/]")


def _questions(docs: str, ask: str) -> Sequence[str]:
    if ask:
        return (ask,)
    if docs:
        raise DemoFailed('Ask something of your documents: make demo DOCS=… ASK="…"')
    return SAMPLE_QUESTIONS


def _documents(docs: str) -> list[Path]:
    if not docs:
        listed = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
        return sorted({SAMPLES / entry["document"] for entry in listed if "document" in entry})
    # A single path may hold spaces.
    paths = [Path(docs)] if Path(docs).exists() else [Path(word).expanduser() for word in shlex.split(docs)]
    for path in paths:
        if not path.exists():
            raise DemoFailed(f"There is no file or folder {path}.")
    return paths


def _data_directory(docs: str) -> Path:
    """Each set of documents has its own, so that answers come from it alone."""
    name = hashlib.sha256(docs.encode()).hexdigest()[:8] if docs else "samples"
    return ROOT / "var" / "demo" / name


@contextlib.contextmanager
def _stack(data: Path) -> Iterator[str]:
    """The running stack's address."""
    address = f"127.0.0.1:{_free_port()}"
    settings = {"PINAKES_SERVER__ADDRESS": address, "PINAKES_DATA_DIR": str(data)}
    command = ["env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "server", "up"]
    console.rule("[bold]pinakes up[/]", align="left")
    # In a group of its own: Ctrl-C reaches this program, which then stops it in order.
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_ready(process, data)
        yield address
    finally:
        console.rule("[bold]stopping[/]", align="left")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    """`up` writes its endpoints when everything is healthy."""
    endpoints = data / "run" / "endpoints.json"
    deadline = time.monotonic() + _READY_S
    while not endpoints.exists():
        if process.poll() is not None:
            raise DemoFailed(f"The stack did not start; its logs are in {data / 'log'}.")
        if time.monotonic() > deadline:
            raise DemoFailed(f"The stack was not ready after {_READY_S:.0f} s; its logs are in {data / 'log'}.")
        time.sleep(0.05)


def _pinakes(address: str, data: Path, *words: str) -> bool:
    """Runs a command of the client with the key that the stack has made, and shows it as a user would type it, who
    needs neither address nor key for a stack of the current directory. Returns whether it succeeded."""
    shown = [Path(word).relative_to(ROOT).as_posix() if word.startswith(str(SAMPLES)) else word for word in words]
    console.rule(f"[bold]pinakes {shlex.join(shown)}[/]", align="left")
    return (
        subprocess.run(
            [PINAKES, "--server", address, "--api-key-file", str(data / "admin.key"), *words], check=False
        ).returncode
        == 0
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    typer.run(main)
