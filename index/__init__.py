"""A hybrid index: dense vectors and words side by side, in one directory, in this process.

The index is a materialized view of a log. Its owner applies the log's operations in the order of their positions,
commits now and then, and after a restart goes on from `position`:

    with HybridIndex.open(path, dimension=384, fingerprint="model@weights") as index:
        index.apply([Upsert(1, "chunk-1", vector, text, heading, Attributes(tenant="t", owner="u", document_id="d"))])
        index.commit()
        request = SearchRequest(Filter(Reader("t", "u")), limit=10, vector=vector, text="what to look for")
        result = index.snapshot().search(request)

Where is what?

- `hybrid`: the owner's interface. `writer`: the state behind it, and what a commit is.
- `snapshot`: one search, from filter to hits. `search`: its request and result.
- `filters`: who may see what. `conditions`: what else a filter can ask for. `expressions`: both as sets of rows of a
  segment, taken from its `lookup` (`postings` by name, orders of times and pages, and a `cache` of what was asked).
- `head`: the newest chunks, in memory, made durable by `journal`. `segment`: all others, immutable, memory-mapped.
  `part`: what a search sees of either. `manifest`: which of them exist; replacing it is a commit.
- `columns`, `strings`: attributes of chunks as flat arrays. `row_sets`: rows as bitmaps. `views`: arrays as
  kernels take them. `storage`: how arrays lie in files (FORMAT.md).
- `dense`: search by vector. `lexical`: search by words (Tantivy, with an analyzer of our own), and the
  parts of texts that show them. `fusion`: both together.
- `planner`, `merging`: pure decisions. `rebuilding`: what a merge does. `verifying`, `saving`: care while it serves.
  `processes`: where large rebuilds and the analysis of many chunks run, so that searches go on.
- `generations`: several indexes of one log, one of which serves. `comparison`: how well each finds what is nearest.
  `contents`: what an index consists of. `tuning`: measuring what the planner decides by. `stopping`: how what takes
  long is told to end.
- Deleting marks a row; rebuilding a segment (`maintain`, `compact`) takes the row's bytes off the disk.
"""

from index.comparison import Comparison, compare, compare_on
from index.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    SharedWith,
    Tagged,
)
from index.contents import PartFacts, describe
from index.errors import (
    GenerationRefused,
    HelperFailed,
    HelperStopped,
    HybridIndexError,
    IndexCorrupt,
    IndexLocked,
    IndexMismatch,
    InvalidOperation,
    SearchStopped,
)
from index.filters import Filter, Reader
from index.generations import Generation, Generations, GenerationState
from index.hybrid import HybridIndex
from index.lexical.analyzer import ANALYZER, Analyzer
from index.lexical.snippets import Highlighter, Snippet, TextRange
from index.operations import Attributes, Operation, Remove, Upsert
from index.options import IndexOptions
from index.planner import PlannerThresholds
from index.rebuilding import Rebuild
from index.search import (
    BranchPlace,
    ConvexFusion,
    DistributionFusion,
    Fusion,
    Hit,
    PartReport,
    ReciprocalRankFusion,
    SearchRequest,
    SearchResult,
)
from index.snapshot import Snapshot
from index.stopping import Stop

__all__ = [
    "ANALYZER",
    "AllOf",
    "Analyzer",
    "AnyOf",
    "Attributes",
    "BranchPlace",
    "Comparison",
    "Condition",
    "ConvexFusion",
    "Created",
    "DistributionFusion",
    "Filter",
    "Fusion",
    "Generation",
    "GenerationRefused",
    "GenerationState",
    "Generations",
    "HelperFailed",
    "HelperStopped",
    "Highlighter",
    "Hit",
    "HybridIndex",
    "HybridIndexError",
    "InLanguages",
    "IndexCorrupt",
    "IndexLocked",
    "IndexMismatch",
    "IndexOptions",
    "InvalidOperation",
    "Not",
    "OfDocuments",
    "OnPages",
    "Operation",
    "OwnedBy",
    "PartFacts",
    "PartReport",
    "PlannerThresholds",
    "Reader",
    "Rebuild",
    "ReciprocalRankFusion",
    "Remove",
    "SearchRequest",
    "SearchResult",
    "SearchStopped",
    "SharedWith",
    "Snapshot",
    "Snippet",
    "Stop",
    "Tagged",
    "TextRange",
    "Upsert",
    "compare",
    "compare_on",
    "describe",
]
