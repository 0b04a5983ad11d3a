"""What calls return: frozen dataclasses, free of protobuf. The comments in protos/pinakes/v1 are the full story of each
field; only what differs is said here."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pinakes.where import Condition


class WireEnum(enum.StrEnum):
    """Members carry the names of the wire's enum; UNSPECIFIED also stands for a value newer than this client."""


class DocumentState(WireEnum):
    """Where a document stands."""

    UNSPECIFIED = "unspecified"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class JobState(WireEnum):
    """Where a job stands."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class IngestionPriority(WireEnum):
    """Which jobs come first."""

    UNSPECIFIED = "unspecified"
    """INTERACTIVE for an upload, BULK for a reindexing."""
    INTERACTIVE = "interactive"
    BULK = "bulk"


class IngestionStage(WireEnum):
    """What a job is working on; UNSPECIFIED before the first stage."""

    UNSPECIFIED = "unspecified"
    PROBE = "probe"
    EXTRACT = "extract"
    CHUNK = "chunk"
    EMBED = "embed"
    COMMIT = "commit"


class QueryIntent(WireEnum):
    """What a query wants, by its wording."""

    UNSPECIFIED = "unspecified"
    FACTUAL = "factual"
    KEYWORD = "keyword"
    SUMMARY = "summary"
    COMPARISON = "comparison"
    CHAT = "chat"
    ACTION = "action"


class SearchMode(WireEnum):
    """Which branches of the index are asked."""

    UNSPECIFIED = "unspecified"
    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class AnswerStatus(WireEnum):
    """How an answer ended."""

    UNSPECIFIED = "unspecified"
    ANSWERED = "answered"
    NOT_IN_DOCUMENTS = "not_in_documents"
    TRUNCATED = "truncated"


class AnswerState(WireEnum):
    """Where an answer is on its way."""

    UNSPECIFIED = "unspecified"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Degradation(WireEnum):
    """What the server left out or replaced while answering."""

    UNSPECIFIED = "unspecified"
    NO_RERANKER = "no_reranker"
    RERANK_SKIPPED = "rerank_skipped"
    EXTRACTIVE = "extractive"
    RERANK_REDUCED = "rerank_reduced"
    OTHER_GENERATOR = "other_generator"
    DRAFT_REPLACED = "draft_replaced"
    REWRITE_SKIPPED = "rewrite_skipped"


class PassedOverReason(WireEnum):
    """Why a generator did not write a text."""

    UNSPECIFIED = "unspecified"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    TOO_SLOW = "too_slow"
    RESTING = "resting"
    REFUSED = "refused"
    NOT_SET_UP = "not_set_up"


class EmbeddingKind(WireEnum):
    """What a text is embedded as."""

    UNSPECIFIED = "unspecified"
    QUERY = "query"
    PASSAGE = "passage"


class FinishReason(WireEnum):
    """Why a generation ended."""

    UNSPECIFIED = "unspecified"
    STOP = "stop"
    LENGTH = "length"


class ModelState(WireEnum):
    """What becomes of a model."""

    UNSPECIFIED = "unspecified"
    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


class MemorySource(WireEnum):
    """How it is known what a model takes in memory."""

    UNSPECIFIED = "unspecified"
    MEASURED = "measured"
    DECLARED = "declared"
    ESTIMATED = "estimated"


class GenerationState(WireEnum):
    """What a generation of the index is doing."""

    UNSPECIFIED = "unspecified"
    BUILDING = "building"
    READY = "ready"
    SERVING = "serving"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Wall-clock time that one stage took on the server."""

    stage: str
    seconds: float


# --- documents ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an ingestion ended without a searchable document. `reason` is an ErrorReason's name without its prefix."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class DocumentAcl:
    """Who may read a document: its owner, and whoever is named here; nobody else. In what is sent, an empty `owner` is
    the one that it has. `etag` changes with every change: one that is sent has to be the newest, an empty one not."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    """Everybody in the tenant."""
    owner: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A document with its new access. Searches on another server that carry the token find it for those who may read
    it now."""

    document: Document
    consistency_token: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the server holds."""

    document_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    state: DocumentState
    failure: Failure | None
    page_count: int
    chunk_count: int
    revision: int
    tags: tuple[str, ...]
    allowed_groups: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    job_id: str
    """The job of the newest revision."""
    newest_revision: int
    """Greater than `revision`, which is the searchable one, while it is being ingested, and when that failed."""
    acl: DocumentAcl | None = None
    """Who may read it; None for callers who may not change that."""


@dataclass(frozen=True, slots=True)
class JobSuccess:
    """What an ingestion made. See `Job.consistency_token`."""

    chunk_count: int
    consistency_token: str


@dataclass(frozen=True, slots=True)
class Job:
    """The ingestion of one document. `success` or `failure` is there once it is `done`."""

    job_id: str
    document_id: str
    state: JobState
    stage: IngestionStage
    pages_done: int
    pages_total: int
    attempt: int
    create_time: datetime
    update_time: datetime
    success: JobSuccess | None
    failure: Failure | None
    revision: int
    end_time: datetime | None
    trace_id: str
    """What the server's logs name the job by."""
    priority: IngestionPriority

    @property
    def done(self) -> bool:
        """Whether the job will not change any more."""
        return self.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def consistency_token(self) -> str:
        """For searches and questions that must see the document: they wait until the index has it. Empty before the job
        has succeeded."""
        return self.success.consistency_token if self.success else ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored document and the job that ingests it."""

    document: Document
    job: Job


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good; `job` tells reason, attempts, last stage and trace."""

    job: Job
    document_name: str


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """One page of the list of dead letters; an empty token says that it is the last."""

    dead_letters: tuple[DeadLetter, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of the list of documents; an empty token says that it is the last."""

    documents: tuple[Document, ...]
    next_page_token: str


# --- passages ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page; the origin is the page's top-left corner, the unit that of `PageRegion.page_width`."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class PageImage:
    """An encoded image of a page; `scale` is pixels per unit of the page's boxes."""

    image: bytes
    media_type: str
    width: int
    height: int
    scale: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded image of 200 x 300 pixels."""

    image: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class PageRegion:
    """Where on one page a text stands: one box per line. Sizes are PDF points or pixels; 0 without pages."""

    page: int
    page_width: float
    page_height: float
    boxes: tuple[Box, ...]


class PiiKind(WireEnum):
    """A kind of personal data."""

    UNSPECIFIED = "unspecified"
    EMAIL = "email"
    PHONE = "phone"
    PAYMENT_CARD = "payment_card"
    BANK_ACCOUNT = "bank_account"
    US_SSN = "us_ssn"
    US_ITIN = "us_itin"
    JP_MY_NUMBER = "jp_my_number"
    JP_DRIVERS_LICENCE = "jp_drivers_licence"
    PASSPORT = "passport"


@dataclass(frozen=True, slots=True)
class MaskedSpan:
    """Code points `start` to `end` of a text are a word in the place of personal data; where a text was scanned, the
    data itself."""

    start: int
    end: int
    kind: PiiKind


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `joined_chunk_ids`: of an answer's sources, the chunks beside it whose text is part of
    `text`. `masked`: where personal data was masked in `text`."""

    chunk_id: str
    document_id: str
    document_name: str
    revision: int
    text: str
    heading_path: tuple[str, ...]
    language: str
    regions: tuple[PageRegion, ...]
    joined_chunk_ids: tuple[str, ...] = ()
    masked: tuple[MaskedSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class BranchScore:
    """A passage's place in one branch of a search; `rank` counts from 1."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class TextSpan:
    """The code points `[start:end]` of a text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """The part `range` of a passage's text that fits the query's words best. `highlights`: where they stand in it, in
    order, without overlaps. All offsets count from the start of the passage's text."""

    range: TextSpan
    highlights: tuple[TextSpan, ...]

    def pieces(self, text: str) -> Iterator[tuple[str, bool]]:
        """The snippet, cut out of the passage's `text`, in pieces: each with whether it is a word of the query."""
        at = self.range.start
        for mark in self.highlights:
            if at < mark.start:
                yield text[at : mark.start], False
            yield text[mark.start : mark.end], True
            at = mark.end
        if at < self.range.end:
            yield text[at : self.range.end], False


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage with the reasons for its place. A branch is None when it did not return the passage; the snippet when
    no word of the query occurs, or words were not asked for."""

    passage: Passage
    score: float
    dense: BranchScore | None
    lexical: BranchScore | None
    rerank_score: float | None
    snippet: Snippet | None


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """How one part of the index was searched."""

    segment: str
    plan: str
    allowed: int
    distances: int
    visited: int


@dataclass(frozen=True, slots=True)
class SearchDebug:
    """How the index searched."""

    segments: tuple[SegmentPlan, ...]
    lexical_candidates: int
    generation: str


@dataclass(frozen=True, slots=True)
class ProposedFilter:
    """A filter that the words at `span` of the query say."""

    span: TextSpan
    condition: Condition


@dataclass(frozen=True, slots=True)
class QueryUnderstanding:
    """What the server read in a query: every span is one of `query`. `applied` says
    whether the proposed filters narrowed the search."""

    query: str
    language: str
    intent: QueryIntent
    proposed_filters: tuple[ProposedFilter, ...]
    applied: bool


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The passages found, best first. `debug` is there when it was asked for. `cached`: nothing was searched for this
    call, since the same was asked before and nothing has changed."""

    passages: tuple[RankedPassage, ...]
    timings: tuple[StageTiming, ...]
    index_position: str
    debug: SearchDebug | None
    cached: bool = False
    understanding: QueryUnderstanding | None = None


# --- answers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer is made from, best first. Always the first event. `searched_question` is what was
    searched and asked in place of a question that refers to the one before; empty: the question itself."""

    answer_id: str
    sequence: int
    passages: tuple[RankedPassage, ...]
    searched_question: str = ""
    understanding: QueryUnderstanding | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text."""

    answer_id: str
    sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """Where the sentence `[start:end]` of the answer's text comes from. `withheld`: from a document that was deleted
    since, or that the caller may not read any more; nothing else is told of it. `field`: which value of an answer in
    JSON it is, as a JSON Pointer."""

    answer_id: str
    sequence: int
    start: int
    end: int
    chunk_id: str
    document_id: str
    document_name: str
    revision: int
    regions: tuple[PageRegion, ...]
    quote: str
    score: float
    withheld: bool = False
    field: str = ""
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data was masked in `quote`."""


@dataclass(frozen=True, slots=True)
class Unsupported(TextSpan):
    """A part of the answer's text that no passage supports. `field` as in Citation."""

    field: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class PassedOverGenerator:
    """A generator, by its name in the server's settings, that did not write the text."""

    name: str
    reason: PassedOverReason


@dataclass(frozen=True, slots=True)
class Completion:
    """How the answer ended. Always the last event. `unsupported` are sentences that no passage supports. `generator`,
    `embedder` and `reranker` are fingerprints of the models that were asked; empty for one that was not. `cached`: the
    answer was made for another call that asked the same, and nothing has changed. `passed_over` are the generators that
    come before the one that wrote. `confidence`: how likely the answer is right, 0 to 1, or, of NOT_IN_DOCUMENTS, that
    the documents do not have it."""

    answer_id: str
    sequence: int
    status: AnswerStatus
    usage: Usage | None
    timings: tuple[StageTiming, ...]
    degradations: tuple[Degradation, ...]
    unsupported: tuple[Unsupported, ...]
    generator: str
    index_position: str
    embedder: str = ""
    reranker: str = ""
    cached: bool = False
    passed_over: tuple[PassedOverGenerator, ...] = ()
    confidence: float = 0.0
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data was masked in the answer's text."""


AnswerEvent = Sources | Delta | Citation | Completion


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, put together from its events."""

    answer_id: str
    text: str
    sources: tuple[RankedPassage, ...]
    citations: tuple[Citation, ...]
    completion: Completion

    @property
    def status(self) -> AnswerStatus:
        """How the answer ended."""
        return self.completion.status

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        """How long each stage took."""
        return self.completion.timings


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that the server has kept, as the caller may see it now. Withheld characters of `text` are full blocks
    (U+2588), and `withheld` says where they are. `sources` have no text. `sequence` is 0 in `citations` and
    `completion`, which is None unless the answer is COMPLETED."""

    answer_id: str
    question: str
    state: AnswerState
    text: str
    withheld: tuple[TextSpan, ...]
    sources: tuple[RankedPassage, ...]
    citations: tuple[Citation, ...]
    completion: Completion | None
    failure: Failure | None
    create_time: datetime
    end_time: datetime | None
    searched_question: str = ""
    """As in Sources."""
    understanding: QueryUnderstanding | None = None
    """As in Sources; not kept so far."""
    conversation_id: str = ""
    turn: int = 0
    """Which answer of its conversation it is, from 1; 0 outside of one."""
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data is masked in `text`."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions and answers that follow each other. `turn_count` counts the answers; `title` is empty before the first
    one. `summary` tells of what was asked before the last turns."""

    conversation_id: str
    title: str
    turn_count: int
    create_time: datetime
    update_time: datetime
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """A page of conversations."""

    conversations: tuple[Conversation, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class TurnPage:
    """A page of a conversation's answers."""

    answers: tuple[StoredAnswer, ...]
    next_page_token: str


# --- index -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How a generation is kept: neighbours per node of the graph, and candidates looked at when a node is linked. None
    takes the server's setting."""

    graph_degree: int | None = None
    build_effort: int | None = None


@dataclass(frozen=True, slots=True)
class IndexSegment:
    """A part of a generation; `removed` of its `rows` are still there. A small one has no graph."""

    name: str
    rows: int
    removed: int
    graph: bool


@dataclass(frozen=True, slots=True)
class Generation:
    """An index of its own, made from the change log. `failure` says why building it failed."""

    name: str
    state: GenerationState
    position: str
    fingerprint: str
    create_time: datetime
    segments: tuple[IndexSegment, ...]
    options: GenerationOptions
    failure: str


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """All generations, the oldest first, and the end of the change log."""

    generations: tuple[Generation, ...]
    log_position: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two generations differ: the recall of the 10 nearest passages of each, and the share of the serving one's 10
    best hits that the other one has, too."""

    serving_recall: float
    other_recall: float
    overlap: float
    samples: int


@dataclass(frozen=True, slots=True)
class Activation:
    """A swap: what serves now, and the name of what served before."""

    generation: Generation
    previous: str


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """A copy of the index, on the server, as it was at `position` of the change log."""

    path: str
    position: str
    size_bytes: int


# --- models ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue. `problem` says why it could not be loaded; `last_use_time` is None if it has not been
    called since it was loaded."""

    name: str
    slot: str
    fingerprint: str
    state: ModelState
    problem: str
    memory_bytes: int
    memory_source: MemorySource
    aliases: tuple[str, ...]
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A file that a model is made from; `role` says what it is for."""

    role: str
    file: str
    sha256: str
    size_bytes: int
    licence: str
    origin: str


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model, and what it is made from."""

    model: Model
    artifacts: tuple[ModelArtifact, ...]


@dataclass(frozen=True, slots=True)
class ModelPage:
    """A page of models. `memory_budget_bytes` is the memory for all models together."""

    models: tuple[Model, ...]
    next_page_token: str
    memory_budget_bytes: int


@dataclass(frozen=True, slots=True)
class Alias:
    """Which models serve a slot: the first of `models` that can. `serving` is empty when none is loaded; without
    `models` it is the endpoint that the server's settings name. `by_default` says that nobody has set it."""

    name: str
    slot: str
    models: tuple[str, ...]
    serving: str
    by_default: bool


@dataclass(frozen=True, slots=True)
class AliasChange:
    """An alias that was set, and what it named before."""

    alias: Alias
    previous: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Seconds that a model took for the first and the last of some equal rounds of calls."""

    rounds: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of length 1. `token_count` counts before the text was `truncated`."""

    values: tuple[float, ...]
    token_count: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One embedding per text, in order. Those of different models cannot be compared."""

    embeddings: tuple[Embedding, ...]
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class RerankScores:
    """One score per text, in order; higher fits the query better."""

    scores: tuple[float, ...]
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class RecognizedCharacter:
    """A character of a line; `confidence` is 0 to 1. `box` is in pixels, as large as the line across it."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """A line of text in an image; `confidence` is 0 to 1, `box` in pixels. `characters` joined are the text."""

    text: str
    confidence: float
    box: Box
    characters: tuple[RecognizedCharacter, ...] = ()


@dataclass(frozen=True, slots=True)
class RecognizedText:
    """The lines of an image in reading order; sizes in pixels."""

    lines: tuple[RecognizedLine, ...]
    width: int
    height: int
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token's bytes, which may be part of a character, and the natural logarithm of the probability that the model
    gave it, before temperature and constraint."""

    token: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of the text, and the likeliest ones in its place (it may be among them), the likeliest first."""

    chosen: ScoredToken
    alternatives: tuple[ScoredToken, ...]


@dataclass(frozen=True, slots=True)
class GenerateDelta:
    """The next piece of text, which may be empty where it carries tokens. Tokens come if `log_probabilities` were asked
    for, without those that end inside a character or might have begun a stop sequence."""

    text: str
    tokens: tuple[ChosenToken, ...]


@dataclass(frozen=True, slots=True)
class GenerateCompletion:
    """How a generation ended. Always the last event."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    model: str
    timings: tuple[StageTiming, ...]
    mean_log_probability: float | None
    """Of all deltas' tokens; None if `log_probabilities` were not asked for, or there was no token."""
    cached_prompt_tokens: int
    """Tokens of the prompt that had been read before, for one that began alike."""

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the tokens' probabilities, 0 to 1: how sure the model was of its text."""
        return None if self.mean_log_probability is None else math.exp(self.mean_log_probability)


GenerateEvent = GenerateDelta | GenerateCompletion
