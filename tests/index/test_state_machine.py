"""Any sequence of changes, commits, rebuilds, restarts and crashes leaves the index equal to a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from index import (
    Analyzer,
    Filter,
    HybridIndex,
    IndexOptions,
    Operation,
    PlannerThresholds,
    Reader,
    Rebuild,
    Remove,
    SearchRequest,
)
from tests.index.model import DIMENSION, FINGERPRINT, Model, check_search, chunk
from tests.index.strategies import conditions

ANALYZER = Analyzer()
OPTIONS = IndexOptions(
    seal_rows=5, max_frozen_heads=2, merge_width=2, graph_rows=2, planner_thresholds=PlannerThresholds(flat_rows=0)
)
"""Most segments store their rows in an order of their own, and are searched by cells or along their graphs."""

names = st.integers(0, 9).map("chunk-{}".format)
groups = st.sampled_from(["g1", "g2", "g3"])
tags = st.sampled_from(["red", "blue"])
words = st.lists(st.sampled_from(["apple", "run", "東京", "検索", "ＡＢＣ", "データベース", "users"]), max_size=4)
seeds = st.integers(0, 2**16)
filters = st.builds(
    Filter,
    reader=st.builds(
        Reader,
        tenant=st.sampled_from(["t1", "t1", "t2", "nobody"]),
        user=st.sampled_from(["alice", "bob", "carol"]),
        groups=st.frozensets(groups, max_size=2),
    ),
    condition=st.none()
    | conditions(
        documents=["d1", "d2", "d9"],
        tags=["red", "blue"],
        languages=["en", "ja"],
        owners=["alice", "bob"],
        groups=["g1", "g2", "g3"],
        times=[1_700_000_000],
        pages=[1, 2, 3],
    ),
)

EVERYONE = Filter(Reader("t1", "alice", frozenset({"g1", "g2", "g3"})))


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pinakes-index-"))
        self.model = Model(ANALYZER)
        self.committed = Model(ANALYZER)
        self.opened = 0
        self.pending: list[Operation] = []
        self.rebuilds: list[Rebuild] = []

    @initialize()
    def start(self) -> None:
        self.path = self.root / "0"
        self.index = self.open()

    def open(self, path: Path | None = None) -> HybridIndex:
        return HybridIndex.open(
            path or self.path, dimension=DIMENSION, fingerprint=FINGERPRINT, options=OPTIONS, analyzer=ANALYZER
        )

    @rule(
        chunk_id=names,
        text=words.map(" ".join),
        heading=st.sampled_from(["", "Heading", "見出し"]),
        tenant=st.sampled_from(["t1", "t1", "t2"]),
        owner=st.sampled_from(["alice", "bob"]),
        document_id=st.sampled_from(["d1", "d2"]),
        shared=st.lists(groups, max_size=2, unique=True).map(tuple),
        tenant_wide=st.booleans(),
        tagged=st.lists(tags, max_size=2, unique=True).map(tuple),
        language=st.sampled_from(["en", "ja"]),
        seed=seeds,
    )
    def queue_upsert(
        self,
        chunk_id: str,
        text: str,
        heading: str,
        tenant: str,
        owner: str,
        document_id: str,
        shared: tuple[str, ...],
        tenant_wide: bool,
        tagged: tuple[str, ...],
        language: str,
        seed: int,
    ) -> None:
        self.pending.append(
            chunk(
                self.model.position + len(self.pending) + 1,
                chunk_id,
                text=text,
                heading=heading,
                seed=seed,
                tenant=tenant,
                owner=owner,
                document_id=document_id,
                groups=shared,
                tenant_wide=tenant_wide,
                tags=tagged,
                language=language,
            )
        )

    @rule(chunk_ids=st.lists(names, min_size=3, max_size=8), text=words.map(" ".join))
    def upsert_many(self, chunk_ids: list[str], text: str) -> None:
        """One by one there are seldom enough for a segment of several rows."""
        for chunk_id in chunk_ids:
            self.pending.append(chunk(self.model.position + len(self.pending) + 1, chunk_id, text=text))
        self.apply()

    @rule(chunk_id=names)
    def queue_remove(self, chunk_id: str) -> None:
        self.pending.append(Remove(self.model.position + len(self.pending) + 1, chunk_id))

    @rule()
    def apply(self) -> None:
        self.index.apply(self.pending)
        self.model.apply(self.pending)
        self.pending = []

    @rule()
    def commit(self) -> None:
        self.index.commit()
        self.committed = self.model.copy()
        assert self.index.committed_position == self.index.position

    @rule()
    def maintain(self) -> None:
        while self.rebuilds:
            self.finish_rebuild(ran=True, which=0)
        while self.index.maintain():
            pass
        self.committed = self.model.copy()
        assert len(list(self.path.glob("journal-*"))) == 1

    @rule()
    def begin_rebuild(self) -> None:
        rebuild = self.index.plan_rebuild()
        if rebuild is not None:
            self.rebuilds.append(rebuild)
        assert len(self.rebuilds) <= 2

    @rule()
    def begin_compaction(self) -> None:
        rebuild = self.index.plan_compaction(self.index.position)
        if rebuild is not None:
            self.rebuilds.append(rebuild)
            self.committed = self.model.copy()

    @precondition(lambda self: self.rebuilds)
    @rule(ran=st.integers(0, 4).map(bool), which=st.integers(0, 1))
    def finish_rebuild(self, ran: bool, which: int) -> None:
        rebuild = self.rebuilds.pop(which % len(self.rebuilds))
        if ran:
            rebuild.run()
        self.index.install(rebuild)
        self.committed = self.model.copy()

    @rule()
    def merge_all(self) -> None:
        self.index.merge_all()
        self.committed = self.model.copy()
        assert len(self.index.snapshot().search(SearchRequest(EVERYONE, 1, text="x")).parts) <= 1

    @rule()
    def save(self) -> None:
        self.opened += 1
        copied = self.root / str(self.opened)
        self.index.save_snapshot(copied)
        self.committed = self.model.copy()
        with self.open(copied) as saved:
            assert saved.position == self.index.position
            check_search(saved.snapshot(), self.model, EVERYONE, "apple 東京", self.opened, 5)

    @rule()
    def verify(self) -> None:
        self.index.verify()

    @rule()
    def compact(self) -> None:
        self.index.compact()
        self.committed = self.model.copy()

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = self.open()
        self.model = self.committed.copy()
        self.pending = []
        self.rebuilds = []

    @rule()
    def crash(self) -> None:
        self.opened += 1
        copied = self.root / str(self.opened)
        shutil.copytree(self.path, copied)
        self.index.close()
        # A merge that the closed index had begun may still write.
        shutil.rmtree(self.path, ignore_errors=True)
        self.path = copied
        self.index = self.open()
        self.model = self.committed.copy()
        self.pending = []
        self.rebuilds = []

    @rule(wanted=filters, text=words.map(" ".join), seed=seeds, limit=st.integers(1, 12))
    def search(self, wanted: Filter, text: str, seed: int, limit: int) -> None:
        check_search(self.index.snapshot(), self.model, wanted, text, seed, limit)

    @rule(seed=seeds)
    def an_old_snapshot_keeps_its_answer(self, seed: int) -> None:
        snapshot, model = self.index.snapshot(), self.model.copy()
        self.apply()
        self.compact()
        check_search(snapshot, model, EVERYONE, "apple 東京", seed, 5)
        check_search(self.index.snapshot(), self.model, EVERYONE, "apple 東京", seed, 5)

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.root)


IndexMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestIndex = IndexMachine.TestCase


def test_a_longer_history_through_many_segments(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    model = Model(ANALYZER)
    thresholds = PlannerThresholds(flat_rows=10)
    options = IndexOptions(seal_rows=40, merge_width=2, graph_rows=50, planner_thresholds=thresholds)
    with HybridIndex.open(
        tmp_path, dimension=DIMENSION, fingerprint=FINGERPRINT, options=options, analyzer=ANALYZER
    ) as index:
        for start in range(1, 600, 20):
            operations: list[Operation] = []
            for position in range(start, start + 20):
                chunk_id = f"chunk-{rng.integers(150)}"
                removed = rng.random() < 0.2
                operations.append(
                    Remove(position, chunk_id)
                    if removed
                    else chunk(position, chunk_id, tenant=f"t{rng.integers(1, 3)}", text="apple 東京")
                )
            index.apply(operations)
            model.apply(operations)
            index.maintain()
            wanted = Filter(Reader("t1", "alice"))
            check_search(index.snapshot(), model, wanted, "apple", start, int(rng.integers(1, 60)))
