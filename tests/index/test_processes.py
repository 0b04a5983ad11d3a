"""What runs in processes of its own: the same results, its errors, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import (
    Analyzer,
    Filter,
    HelperFailed,
    HelperStopped,
    HybridIndex,
    IndexCorrupt,
    IndexOptions,
    Operation,
    PlannerThresholds,
    Reader,
    Rebuild,
    Remove,
)
from index import rebuilding as rebuilding_module
from index.dense.graph import GraphOptions
from index.dense.side import DenseSide, join
from index.dense.vectors import center_of, encoded
from index.lexical import streams as streams_module
from index.lexical.streams import StreamMaker, Texts
from index.processes import HelperProcess
from index.segment import ROWS_FILE
from tests.index.conftest import Open
from tests.index.model import Model, check_search, chunk

EVERYONE = Filter(Reader("t1", "alice"))
IN_HELPERS = IndexOptions(seal_rows=3, merge_width=2, helper_rows=1)
IN_CELLS = replace(IN_HELPERS, graph_rows=1, planner_thresholds=PlannerThresholds(flat_rows=0))
"""Every segment stores its rows in another order than its sources do."""
LIMIT_S = 60.0


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    helper = HelperProcess(niceness=3)
    yield helper
    helper.stop()


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def raise_corrupt(path: Path) -> None:
    raise IndexCorrupt(path, "a problem")


class LocalError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_local() -> None:
    """Pickle calls such a class with its message only."""
    raise LocalError("one", "two")


def endless(*_: object) -> None:
    time.sleep(10 * LIMIT_S)


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[Exception]]:
    raised: list[Exception] = []

    def run() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def test_a_helper_returns_raises_and_survives_it(helper: HelperProcess) -> None:
    assert helper.pid is None, "not started before there is something to do"
    assert helper.call(niceness) == niceness() + 3
    pid = helper.pid
    with pytest.raises(IndexCorrupt, match="a problem") as caught:
        helper.call(raise_corrupt, Path("some/file"))
    assert caught.value.path == Path("some/file")
    with pytest.raises(HelperFailed, match="LocalError: one two"):
        helper.call(raise_local)
    assert helper.call(os.getpid) == pid == helper.pid != os.getpid()


def test_a_helper_that_dies_fails_its_call_and_is_replaced(helper: HelperProcess) -> None:
    pid = helper.call(os.getpid)
    thread, raised = in_thread(lambda: helper.call(endless))
    while thread.is_alive():  # until it is in the middle of the call: before, it would just be replaced
        time.sleep(0.2)
        if (now := helper.pid) is not None:
            os.kill(now, signal.SIGKILL)
    assert isinstance(raised[0], HelperFailed) and "-9" in str(raised[0])
    assert helper.call(os.getpid) != pid


def test_a_helper_that_does_not_answer_is_ended() -> None:
    helper = HelperProcess(answer_s=0.2)
    try:
        with pytest.raises(HelperFailed):
            helper.call(endless)
        assert helper.pid is None
    finally:
        helper.stop()


def test_stopping_ends_a_call_and_all_later_ones(helper: HelperProcess) -> None:
    helper.call(os.getpid)
    thread, raised = in_thread(lambda: helper.call(endless))
    pid = helper.pid
    assert pid is not None
    helper.stop()
    thread.join(LIMIT_S)
    assert not thread.is_alive() and isinstance(raised[0], HelperStopped)
    with pytest.raises(HelperStopped):
        helper.call(os.getpid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_idle_helper_ends_and_comes_back() -> None:
    helper = HelperProcess(idle_s=0.01)
    try:
        pid = helper.call(os.getpid)
        eventually(lambda: helper.pid is None)
        assert helper.call(os.getpid) != pid
    finally:
        helper.stop()


def test_a_helper_ends_with_a_killed_parent() -> None:
    program = (
        "import os; from index.processes import HelperProcess; from tests.index.test_processes import endless\n"
        "helper = HelperProcess(); print(helper.call(os.getpid), flush=True); helper.call(endless)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    def gone() -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    eventually(gone)


@pytest.mark.parametrize("options", [IN_HELPERS, IN_CELLS])
def test_rebuilds_in_helpers_give_the_same_index(open_index: Open, analyzer: Analyzer, options: IndexOptions) -> None:
    index, model = open_index(options=options), Model(analyzer)
    reordered = False

    def change(*operations: Operation) -> None:
        index.apply(operations)
        model.apply(list(operations))

    change(*(chunk(position, f"chunk-{position}", text="apple") for position in range(1, 4)))
    index.commit()
    change(*(chunk(position, f"chunk-{position}", text="検索 pear") for position in range(4, 7)), Remove(7, "chunk-1"))
    index.commit()
    sealing = index.plan_rebuild()
    assert sealing is not None
    change(Remove(8, "chunk-2"))
    sealing.run()
    change(chunk(9, "chunk-4", text="newer"), Remove(10, "chunk-5"))
    index.install(sealing)
    check_search(index.snapshot(), model, EVERYONE, "apple 検索 pear plum newer", 1, 20)
    change(*(chunk(position, f"chunk-{position}", text="plum") for position in range(11, 15)))
    while index.maintain():
        change(Remove(index.position + 1, f"chunk-{index.position - 3}"))
        check_search(index.snapshot(), model, EVERYONE, "apple 検索 pear plum newer", 1, 20)
        for part in index.snapshot().parts:
            reordered |= bool((np.diff(part.columns.numbers["position"]) < 0).any())
    assert reordered is (options is IN_CELLS)
    index.compact()
    assert not index.holds_removed
    check_search(index.snapshot(), model, EVERYONE, "apple 検索 pear plum newer", 1, 20)
    index.verify()
    index.close()
    check_search(open_index().snapshot(), model, EVERYONE, "apple 検索 pear plum newer", 1, 20)


def planned_merge(index: HybridIndex) -> Rebuild:
    """Of two segments."""
    for start in (1, 4):
        index.apply([chunk(position, f"chunk-{position}") for position in range(start, start + 3)])
        index.commit()
        sealing = index.plan_rebuild()
        assert sealing is not None
        sealing.run()
        index.install(sealing)
    merge = index.plan_rebuild()
    assert merge is not None and len(merge.segments) == 2
    return merge


def test_a_helper_names_the_damaged_file_and_copies_nothing(open_index: Open, tmp_path: Path) -> None:
    index = open_index(options=replace(IN_HELPERS, helper_rows=4))
    merge = planned_merge(index)
    damaged = merge.segments[1].directory / ROWS_FILE
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(IndexCorrupt) as caught:
        merge.run()
    assert caught.value.path == damaged
    index.install(merge)
    assert not merge.directory.exists()


def test_a_damaged_file_of_removed_rows_can_be_got_rid_of(open_index: Open) -> None:
    """Nothing of it is copied."""
    index = open_index(options=IN_HELPERS)
    merge = planned_merge(index)
    index.install(merge)
    damaged = merge.segments[0].directory
    columns = merge.segments[0].part().columns
    chunk_ids = [columns.chunk_id(row) for row in range(columns.rows)]
    index.apply([Remove(index.position + number, chunk_id) for number, chunk_id in enumerate(chunk_ids, start=1)])
    content = bytearray((damaged / ROWS_FILE).read_bytes())
    content[-1] ^= 1
    (damaged / ROWS_FILE).write_bytes(content)
    index.merge_all()
    assert not damaged.exists()
    index.verify()


def test_closing_ends_rebuilds_and_the_index_is_whole(
    open_index: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(options=replace(IN_HELPERS, helper_rows=4))
    merge = planned_merge(index)
    monkeypatch.setattr(rebuilding_module, "carry_out", endless)
    thread, raised = in_thread(merge.run)
    merge.directory.mkdir()  # what the helper has written so far
    index.close()
    thread.join(LIMIT_S)
    assert not thread.is_alive() and isinstance(raised[0], HelperStopped)
    again = open_index()
    assert not merge.directory.exists()
    assert sum(1 for part in again.snapshot().parts if not part.name.startswith("head")) == 2


def test_what_runs_here_ends_when_the_index_is_to_be_closed(open_index: Open) -> None:
    index = open_index(options=replace(IN_HELPERS, helper_rows=100))
    merge = planned_merge(index)
    index.stop_background()
    for work in (merge.run, index.verify):
        with pytest.raises(HelperStopped):
            work()
    index.install(merge)
    assert not merge.directory.exists()
    assert len(index.snapshot().live_rows()) == 2


def context_switches() -> dict[str, int]:
    """Of each other thread of this process, by its id."""
    return {
        task.name: sum(int(line.split()[1]) for line in (task / "status").read_text().splitlines() if "_ctxt_" in line)
        for task in Path("/proc/self/task").iterdir()
        if task.name != str(threading.get_native_id())
    }


def switches_at_rest() -> dict[str, int]:
    """As soon as none of them ran for a moment: libraries begin theirs when they are imported."""
    before, now = dict[str, int](), context_switches()
    while before != now:
        time.sleep(0.05)
        before, now = now, context_switches()
    return now


def threads_that_helped() -> int:
    """How many of the threads that were there before, such as those of NumPy's BLAS, ran while a segment's vectors were
    put in cells and linked by one thread."""
    vectors = np.random.default_rng(0).standard_normal((2_000, 384), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    source = DenseSide(encoded(vectors, center_of(vectors)))
    before = switches_at_rest()
    join([(source, np.arange(len(vectors)))], 1, GraphOptions(effort=10), threads=1)
    after = context_switches()
    return sum(after[name] != count for name, count in before.items())


def test_a_rebuild_takes_no_more_threads_than_it_is_given(helper: HelperProcess) -> None:
    assert helper.call(threads_that_helped) == 0


class Recorder(HelperProcess):
    """Analyses here, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @property
    def pid(self) -> int | None:
        return 1 if self.calls else None

    def call(self, function: Callable[..., object], *args: object, **kwargs: object) -> object:  # type: ignore[override]
        self.calls += 1
        return function(*args, **kwargs)


def test_a_helper_analyses_when_there_is_much_of_it(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "FEW_CHARACTERS", 10)
    monkeypatch.setattr(streams_module, "MANY_CHARACTERS", 100)
    now, helper = [0.0], Recorder()
    maker = StreamMaker(analyzer, helper, lambda: now[0])
    few, some = [("", "few")], [("Heading", "検索エンジンは文書を探す"), ("", "Users were running.")]

    def made(chunks: Sequence[Texts]) -> int:
        assert maker.streams(chunks) == [analyzer.stream(*texts) for texts in chunks]
        return helper.calls

    assert [made(some), made(some)] == [0, 0]
    now[0] = 11.0
    assert [made(some), made(some)] == [0, 0], "not much within the time"
    assert made(some) == 1, "that is much"
    assert made(few) == 1, "too few to ask for"
    now[0] = 1_000.0
    assert made(some) == 2, "the helper is there"


def test_the_helper_makes_the_same_streams(helper: HelperProcess, analyzer: Analyzer) -> None:
    chunks = [("見出し", "データベースの検索"), ("", "Running users"), ("", "")]
    assert helper.call(streams_module.streams, chunks) == [analyzer.stream(*texts) for texts in chunks]
