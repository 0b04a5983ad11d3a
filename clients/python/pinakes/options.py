"""How a client behaves: deadlines, retries, and the options of the calls that have many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self, TypedDict

from pinakes.results import DocumentAcl, IngestionPriority, SearchMode
from pinakes.retrieval import RetrievalSettings
from pinakes.retry import RetryPolicy
from pinakes.where import Condition

DEFAULT_ADDRESS = "127.0.0.1:7700"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long calls may take, retries included, when they are not told otherwise."""

    unary_s: float = 30.0
    """Get, list and delete documents; embed, rerank, recognize text."""
    search_s: float = 10.0
    upload_s: float = 300.0
    answer_s: float = 120.0
    generate_s: float = 120.0
    watch_s: float = 3600.0
    """Watch a job, and wait for its end."""
    index_s: float = 300.0
    """Look after the index; comparing and copying read much of it."""
    models_s: float = 900.0
    """Load, unload and warm models, and set aliases."""
    audit_s: float = 3600.0
    """Verify and export the audit log."""
    subscribe_s: float = 86_400.0
    """Subscribe to events."""

    @classmethod
    def all(cls, seconds: float) -> Self:
        """The same for every call."""
        return cls(**dict.fromkeys((each.name for each in fields(cls)), seconds))


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """`metadata` is sent with every call. A response larger than `max_message_bytes` fails with RESOURCE_EXHAUSTED.

    A connection that is in use is probed after `keepalive_time_s` of silence, and given up `keepalive_timeout_s` later.
    """

    deadlines: Deadlines = field(default_factory=Deadlines)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # it may hold a secret
    max_message_bytes: int = 16 * 1024 * 1024
    keepalive_time_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    secrets_in_the_clear: bool = False
    """Whether keys and passwords may be sent without TLS to other machines: where the network itself encrypts."""


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Narrows a search: all conditions must hold, an empty one is none. The server adds the caller's access rights."""

    document_ids: Sequence[str] = ()
    tags: Sequence[str] = ()
    """A document must carry every one of them."""
    languages: Sequence[str] = ()
    """A passage must be in one of them (BCP 47: `en`, `ja`)."""
    condition: Condition | None = None
    """Anything that the lists cannot say; see `pinakes.where`."""


@dataclass(frozen=True, slots=True)
class ConvexFusion:
    """A weighted sum of normalized scores; the lexical branch weighs `1 - dense_weight`."""

    dense_weight: float


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """The sum of weight / (k + rank); the lexical branch weighs `1 - dense_weight`. None leaves it to the server."""

    k: int = 60
    dense_weight: float | None = None


@dataclass(frozen=True, slots=True)
class DistributionFusion:
    """A weighted sum of scores that are normalized by how a branch's scores are distributed: their mean and three
    standard deviations to each side become 0 to 1. The lexical branch weighs `1 - dense_weight`."""

    dense_weight: float


class UploadOptions(TypedDict, total=False):
    """Of `documents.upload`."""

    name: str
    """What people call the document; needed for bytes and nameless files, else the file's name."""
    tags: Sequence[str]
    """Labels to filter by."""
    allowed_groups: Sequence[str]
    """Groups that may read the document besides its owner; empty: everybody in the tenant."""
    acl: DocumentAcl
    """Who may read the document, in the place of `allowed_groups`; `DocumentAcl()`: its owner alone."""
    replace: bool
    """Makes the bytes a new revision of the caller's own document of this name, if there is one; the old revision
    serves until the new one is searchable."""
    replaced_document_id: str
    """As `replace`, for the document with this id."""
    priority: IngestionPriority
    """INTERACTIVE when absent; BULK for one of many, so that it does not hold up what somebody waits for."""
    request_id: str
    """Repeating an upload with the same id returns the first one's result; a random id when absent."""


class SearchOptions(TypedDict, total=False):
    """Of `search`."""

    limit: int
    """At most this many passages, 1 to 100; the server's default is 10."""
    filter: SearchFilter | Condition
    """A condition alone stands for a filter that has nothing else."""
    mode: SearchMode
    fusion: ConvexFusion | ReciprocalRankFusion | DistributionFusion
    diversity: float
    """Chooses passages that say different things (maximal marginal relevance); the weight of relevance, 0 to 1. The
    reranker is not asked then."""
    consistency_token: str
    """Waits until the index has come this far."""
    rerank: bool
    """Reorders the best passages with the reranker if there is one; the server's default is True."""
    debug: bool
    """Fills `SearchResults.debug`."""
    no_cache: bool
    """Searches anew, whatever the server has kept of earlier searches."""
    apply_proposed_filters: bool
    """Also narrows the search by the filters that the query says; they are in `SearchResults.understanding`."""
    profile: str
    """Name of a retrieval profile, whose settings hold where these options say nothing: `retrieval_profiles()`."""


class AnswerOptions(TypedDict, total=False):
    """Of `answer` and `answer_text`."""

    filter: SearchFilter | Condition
    """A condition alone stands for a filter that has nothing else."""
    max_passages: int
    """At most this many passages are shown to the generator, 1 to 10."""
    max_tokens: int
    """At most this many tokens are generated, 1 to 1,024."""
    seed: int
    consistency_token: str
    """Waits until the index has come this far."""
    no_cache: bool
    """Answers anew, whatever the server has kept of earlier answers and searches."""
    apply_proposed_filters: bool
    """Also narrows the search by the filters that the question says; they are in `Sources.understanding`."""
    profile: str
    """Name of a retrieval profile: `retrieval_profiles()`."""
    retrieval: RetrievalSettings
    """Goes before the profile's settings."""
    conversation_id: str
    """The conversation that the question is asked in."""
    resume_window_s: float
    """The answer goes on being made for so long, up to 120 s, when the connection is lost, and the stream goes on by
    itself, once. Leaving the stream does not stop it then: `answers.cancel` does."""
    response_schema: str
    """A JSON Schema, as text: the answer is a JSON document that keeps to it, with a citation for each value that
    stands in the documents (`Citation.field`)."""


class GenerateOptions(TypedDict, total=False):
    """Of `generate`."""

    system: str
    """The system message."""
    max_tokens: int
    """At most this many tokens, 1 to 2,048; the server's default is 256."""
    temperature: float
    """0, the default, is greedy; at most 2."""
    seed: int
    stop: Sequence[str]
    """Generation ends before any of these; at most 8."""
    grammar: str
    """What the text must keep to, in llama.cpp's GBNF with the start symbol `root`. Excludes `json_schema`."""
    json_schema: str
    """A JSON Schema (as text): the generated text is one JSON value that it allows."""
    log_probabilities: bool
    """Asks for `GenerateDelta.tokens` and `GenerateCompletion.confidence`."""
    alternatives: int
    """With `log_probabilities`: so many of the likeliest tokens beside each, 0 to 10."""
