"""The client for threads. Method for method the same as `async_client`; see there for what is not said here."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, Unpack

import grpc

from pinakes import events, mapping, requests
from pinakes.answers import AnswerSoFar
from pinakes.audit import Audit
from pinakes.auth import Auth
from pinakes.calls import SyncCalls
from pinakes.channel import open_channel
from pinakes.credentials import Credentials, Login, check_secrecy
from pinakes.encryption import Encryption, Tenants
from pinakes.events import Checkpoint, Event, EventType
from pinakes.jobs import succeeded
from pinakes.options import (
    DEFAULT_ADDRESS,
    AnswerOptions,
    ClientOptions,
    Deadlines,
    GenerateOptions,
    SearchOptions,
    UploadOptions,
)
from pinakes.privacy import Privacy
from pinakes.quotas import Quotas
from pinakes.results import (
    Activation,
    Alias,
    AliasChange,
    Answer,
    AnswerEvent,
    Box,
    Comparison,
    Conversation,
    DeadLetter,
    Document,
    DocumentAcl,
    DocumentState,
    EmbeddingKind,
    Embeddings,
    GenerateEvent,
    Generation,
    GenerationOptions,
    IndexSnapshot,
    IndexStatus,
    IngestionPriority,
    IngestionStage,
    Job,
    Model,
    ModelDescription,
    PageImage,
    RecognizedText,
    RerankScores,
    SearchResults,
    Sharing,
    StoredAnswer,
    Thumbnail,
    Upload,
    WarmUp,
)
from pinakes.retrieval import RetrievalProfile
from pinakes.signing import open_calls
from pinakes.streams import Stream
from pinakes.tls import Tls
from pinakes.uploads import Source, UploadSource
from pinakes.v1.answer_service_pb2_grpc import AnswerServiceStub
from pinakes.v1.conversation_service_pb2_grpc import ConversationServiceStub
from pinakes.v1.document_service_pb2_grpc import DocumentServiceStub
from pinakes.v1.event_service_pb2_grpc import EventServiceStub
from pinakes.v1.index_service_pb2_grpc import IndexServiceStub
from pinakes.v1.inference_service_pb2_grpc import InferenceServiceStub
from pinakes.v1.model_service_pb2_grpc import ModelServiceStub
from pinakes.v1.search_service_pb2_grpc import SearchServiceStub


class Documents:
    """`client.documents`: takes documents in, lists and deletes them, and follows their ingestion."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = DocumentServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def upload(self, source: Source, *, timeout_s: float | None = None, **options: Unpack[UploadOptions]) -> Upload:
        """Stores a document (a path, bytes, or a binary file) and starts its ingestion; durable when it returns.

        Retries are safe: they carry the same `request_id`. Raises DocumentExists, DocumentTooLarge, InvalidRequest;
        ValueError for bytes without a name; OSError for a file that cannot be read.
        """
        opened = UploadSource.of(source, options)
        header = requests.upload_header(opened.name, options.get("request_id") or uuid.uuid4().hex, options)
        return self._calls.upload(
            self._stub.UploadDocument, header, opened, timeout_s or self._deadlines.upload_s, mapping.upload
        )

    def get(self, document_id: str, *, timeout_s: float | None = None) -> Document:
        """One document. Raises DocumentNotFound."""
        return self._calls.unary(
            self._stub.GetDocument,
            requests.get_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_document,
        )

    def list(
        self,
        *,
        state: DocumentState = DocumentState.UNSPECIFIED,
        tags: Sequence[str] = (),
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[Document]:
        """All documents that the caller may see, newest first, fetched page by page; the timeout is for one page."""
        token = ""
        while True:
            request = requests.list_documents(state, tags, page_size, token)
            page = self._calls.unary(
                self._stub.ListDocuments, request, timeout_s or self._deadlines.unary_s, mapping.document_page
            )
            yield from page.documents
            token = page.next_page_token
            if not token:
                return

    def page_image(
        self,
        document_id: str,
        page: int,
        *,
        scale: float | None = None,
        boxes: Sequence[Box] = (),
        timeout_s: float | None = None,
    ) -> PageImage:
        """A page (from 1) as an image, with boxes (those of a region of a passage or a citation) marked on it. `scale`
        is pixels per unit of the page's boxes. Raises DocumentNotFound, NoPageImage, InvalidRequest."""
        return self._calls.unary(
            self._stub.GetPageImage,
            requests.get_page_image(document_id, page, scale, boxes),
            timeout_s or self._deadlines.unary_s,
            mapping.page_image,
        )

    def thumbnail(self, document_id: str, *, timeout_s: float | None = None) -> Thumbnail:
        """A small picture of the document's first page. Raises DocumentNotFound, InvalidRequest."""
        return self._calls.unary(
            self._stub.GetThumbnail,
            requests.get_thumbnail(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.thumbnail,
        )

    def share(self, document_id: str, acl: DocumentAcl, *, timeout_s: float | None = None) -> Sharing:
        """Says anew, as a whole, who may read a document. Whoever may no longer, is told at once that there is none, in
        everything; whoever may now, finds it. With the `etag` that `Document.acl` had, it fails if somebody changed the
        access since. Raises DocumentNotFound, also for callers who may only read it, AccessChanged."""
        return self._calls.unary(
            self._stub.SetDocumentAcl,
            requests.set_document_acl(document_id, acl),
            timeout_s or self._deadlines.unary_s,
            mapping.sharing,
        )

    def delete(self, document_id: str, *, timeout_s: float | None = None) -> str:
        """Deletes a document; returns a consistency token for searches that must not see it. Raises DocumentNotFound,
        also when a first attempt had deleted it and its response was lost."""
        return self._calls.unary(
            self._stub.DeleteDocument,
            requests.delete_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deletion_token,
        )

    def watch(self, job: Job | str, *, timeout_s: float | None = None) -> Stream[Job]:
        """The job as it is, then at each change until it is done. Raises JobNotFound."""
        return self._calls.stream(
            self._stub.WatchJob, requests.watch_job(job), timeout_s or self._deadlines.watch_s, mapping.watched_job
        )

    def wait(
        self, job: Job | str, *, timeout_s: float | None = None, on_change: Callable[[Job], object] | None = None
    ) -> Job:
        """The job when it has succeeded. Watches again, until the deadline, when the server goes away: it does not
        forget jobs. Raises IngestionFailed with the job when it ended otherwise, JobNotFound, DeadlineExceeded."""

        def last(left_s: float) -> Job | None:
            state: Job | None = None
            with self.watch(job, timeout_s=left_s) as states:
                for state in states:
                    if on_change:
                        on_change(state)
            return state

        return succeeded(self._calls.retried(last, timeout_s or self._deadlines.watch_s, attempts=math.inf))

    def cancel(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Ends a job before it is done, and returns it; one that had ended before is returned as it ended. A document
        with an older revision stays searchable. Raises JobNotFound."""
        return self._calls.unary(
            self._stub.CancelJob, requests.cancel_job(job), timeout_s or self._deadlines.unary_s, mapping.cancelled_job
        )

    def reindex(
        self,
        document_id: str,
        *,
        first_stage: IngestionStage = IngestionStage.UNSPECIFIED,
        priority: IngestionPriority = IngestionPriority.UNSPECIFIED,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Job:
        """Ingests a document's bytes anew, as a further revision; the old one serves until that is searchable.
        `first_stage`: EXTRACT reads the document again, CHUNK, the default, uses the kept text of its pages. Retries
        are safe: they carry the same `request_id`. Raises DocumentNotFound, DocumentBusy."""
        return self._calls.unary(
            self._stub.ReindexDocument,
            requests.reindex_document(document_id, first_stage, priority, request_id or uuid.uuid4().hex),
            timeout_s or self._deadlines.unary_s,
            mapping.reindexing_job,
        )

    def dead_letters(
        self,
        *,
        reason: str = "",
        not_before: datetime | None = None,
        before: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[DeadLetter]:
        """All jobs that failed for good and were not discarded, the newest first, fetched page by page; the timeout is
        for one page. `reason` is an ErrorReason's name without its prefix, such as `UNREADABLE_DOCUMENT`; the times,
        UTC if they have no zone, are of the failure. Raises ValueError for a reason that is none."""
        token = ""
        while True:
            request = requests.list_dead_letters(reason, not_before, before, page_size, token)
            page = self._calls.unary(
                self._stub.ListDeadLetters, request, timeout_s or self._deadlines.unary_s, mapping.dead_letter_page
            )
            yield from page.dead_letters
            token = page.next_page_token
            if not token:
                return

    def replay(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Lets a dead letter's job run again, with all its attempts before it. Raises DeadLetterNotFound."""
        return self._calls.unary(
            self._stub.ReplayDeadLetter,
            requests.replay_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.replayed_job,
        )

    def discard(self, job: Job | str, *, timeout_s: float | None = None) -> None:
        """Takes a dead letter off the list for good; its document stays as it is. Raises DeadLetterNotFound."""
        self._calls.unary(
            self._stub.DiscardDeadLetter,
            requests.discard_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.discarded_letter,
        )


class Index:
    """`client.index`: tells what the index consists of, and builds, compares, swaps and copies its generations."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = IndexServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def get(self, *, timeout_s: float | None = None) -> IndexStatus:
        """All generations, the oldest first, and the end of the change log."""
        return self._calls.unary(
            self._stub.GetIndex, requests.get_index(), timeout_s or self._deadlines.unary_s, mapping.index_status
        )

    def build(self, options: GenerationOptions | None = None, *, timeout_s: float | None = None) -> Generation:
        """Begins to build a generation from the change log, in the background on the server. Raises GenerationExists if
        one is there beside the serving one, also when a first attempt had begun it and its response was lost."""
        return self._calls.unary(
            self._stub.BuildGeneration,
            requests.build_generation(options),
            timeout_s or self._deadlines.unary_s,
            mapping.begun_generation,
        )

    def compare(self, name: str, *, samples: int = 0, timeout_s: float | None = None) -> Comparison:
        """Asks the serving generation and the named one the same questions, 1 to 1,000 (0: 100). Raises
        GenerationNotFound, WrongGenerationState."""
        return self._calls.unary(
            self._stub.CompareGenerations,
            requests.compare_generations(name, samples),
            timeout_s or self._deadlines.index_s,
            mapping.comparison,
        )

    def activate(self, name: str, *, timeout_s: float | None = None) -> Activation:
        """Lets a complete generation serve; activating the previous one again is the way back. Raises
        GenerationNotFound, WrongGenerationState."""
        return self._calls.unary(
            self._stub.ActivateGeneration,
            requests.activate_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.activation,
        )

    def delete(self, name: str, *, timeout_s: float | None = None) -> None:
        """Deletes a generation that does not serve. Raises GenerationNotFound, WrongGenerationState."""
        self._calls.unary(
            self._stub.DeleteGeneration,
            requests.delete_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_generation,
        )

    def snapshot(self, name: str, *, timeout_s: float | None = None) -> IndexSnapshot:
        """Copies the serving generation into a folder of this name on the server, while it serves. Raises
        SnapshotExists, InvalidField for a name that is none."""
        return self._calls.unary(
            self._stub.CreateSnapshot,
            requests.create_snapshot(name),
            timeout_s or self._deadlines.index_s,
            mapping.index_snapshot,
        )


class Models:
    """`client.models`: tells which models there are, loads, unloads and warms them, and says which of them serve."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = ModelServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def list(self, *, slot: str = "", page_size: int = 0, timeout_s: float | None = None) -> Iterator[Model]:
        """The models of the catalogue, by name, fetched page by page; the timeout is for one page. `slot`: only those
        that can serve it. Raises InvalidField."""
        token = ""
        while True:
            request = requests.list_models(slot, page_size, token)
            page = self._calls.unary(
                self._stub.ListModels, request, timeout_s or self._deadlines.unary_s, mapping.model_page
            )
            yield from page.models
            token = page.next_page_token
            if not token:
                return

    def describe(self, name: str, *, timeout_s: float | None = None) -> ModelDescription:
        """One model, and what it is made from. Raises ModelNotFound."""
        return self._calls.unary(
            self._stub.DescribeModel,
            requests.describe_model(name),
            timeout_s or self._deadlines.unary_s,
            mapping.model_description,
        )

    def load(self, name: str, *, timeout_s: float | None = None) -> Model:
        """Loads a model beside those that are loaded; returns when it is ready. A caller that gives up leaves nothing
        half loaded. Raises ModelNotFound, ModelLoadFailed, ModelMemoryExhausted."""
        return self._calls.unary(
            self._stub.LoadModel,
            requests.load_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.loaded_model,
        )

    def unload(self, name: str, *, force: bool = False, timeout_s: float | None = None) -> Model:
        """Unloads a model; returns when it has answered what it had been asked. `force`: also if an alias names it.
        Raises ModelNotFound, ModelInUse."""
        return self._calls.unary(
            self._stub.UnloadModel,
            requests.unload_model(name, force),
            timeout_s or self._deadlines.models_s,
            mapping.unloaded_model,
        )

    def warm(self, name: str, *, timeout_s: float | None = None) -> WarmUp:
        """Calls a loaded model with inputs of its usual sizes. Raises ModelNotFound."""
        return self._calls.unary(
            self._stub.WarmModel,
            requests.warm_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.warm_up,
        )

    def aliases(self, *, timeout_s: float | None = None) -> tuple[Alias, ...]:
        """Which models serve: one alias for each slot."""
        return self._calls.unary(
            self._stub.GetAliases, requests.get_aliases(), timeout_s or self._deadlines.unary_s, mapping.aliases
        )

    def set_alias(self, alias: str, *models: str, timeout_s: float | None = None) -> AliasChange:
        """Has the first of `models` serve the alias's slot, and the others while it cannot be loaded; without models,
        what the catalogue says. The first one is loaded and warm before. Raises InvalidField, ModelNotFound,
        ModelLoadFailed, ModelMemoryExhausted, EmbeddingMismatch."""
        return self._calls.unary(
            self._stub.SetAlias,
            requests.set_alias(alias, models),
            timeout_s or self._deadlines.models_s,
            mapping.alias_change,
        )


class Events:
    """`client.events`: tells what happens."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = EventServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def subscribe(
        self,
        *types: EventType,
        resume_token: str = "",
        since: datetime | None = None,
        timeout_s: float | None = None,
    ) -> Stream[Event | Checkpoint]:
        """Events of these types (none given: of all), as they happen: each with a token from which another subscription
        goes on, and a Checkpoint at the beginning and now and then. Begins after `resume_token`, or with what was
        published since a time, or with what comes from now on. A stream that breaks raises Unavailable; subscribe again
        with the last token then. Raises InvalidField for a token of events that are lost."""
        return self._calls.gathered(
            self._stub.Subscribe,
            events.subscribe_request(types, resume_token, since),
            timeout_s or self._deadlines.subscribe_s,
            events.told,
        )


class Answers:
    """`client.answers`: shows answers that were given, goes on with their streams, and stops them."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = AnswerServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def get(self, answer_id: str, *, timeout_s: float | None = None) -> StoredAnswer:
        """An answer that the server has kept, with the same text and citations, except for what may not be seen any
        more. Raises AnswerNotFound."""
        return self._calls.unary(
            self._stub.GetAnswer,
            requests.get_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_answer,
        )

    def resume(self, answer_id: str, *, after_sequence: int = 0, timeout_s: float | None = None) -> Stream[AnswerEvent]:
        """The events of an answer behind one that was received: as they come, or of the kept answer. Raises
        AnswerNotFound; AnswerInterrupted at the end of an answer that was not completed."""
        return self._calls.stream(
            self._stub.ResumeAnswer,
            requests.resume_answer(answer_id, after_sequence),
            timeout_s or self._deadlines.answer_s,
            mapping.resumed_event,
        )

    def cancel(self, answer_id: str, *, timeout_s: float | None = None) -> None:
        """Stops an answer that is being made, also one with a `resume_window_s`. Raises AnswerNotFound."""
        self._calls.unary(
            self._stub.CancelAnswer,
            requests.cancel_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.cancelled_answer,
        )


class Conversations:
    """`client.conversations`: makes, lists, names and deletes conversations, and shows their answers. A question is
    asked in one with `client.answer(..., conversation_id=...)`."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = ConversationServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def create(self, title: str = "", *, timeout_s: float | None = None) -> Conversation:
        """Makes a conversation. Without a title, its first question becomes it. Raises InvalidField."""
        return self._calls.unary(
            self._stub.CreateConversation,
            requests.create_conversation(title),
            timeout_s or self._deadlines.unary_s,
            mapping.made_conversation,
        )

    def get(self, conversation_id: str, *, timeout_s: float | None = None) -> Conversation:
        """One conversation. Raises ConversationNotFound."""
        return self._calls.unary(
            self._stub.GetConversation,
            requests.get_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_conversation,
        )

    def list(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[Conversation]:
        """All conversations of the caller's, the newest first, fetched page by page; the timeout is for one page."""
        token = ""
        while True:
            request = requests.list_conversations(page_size, token)
            page = self._calls.unary(
                self._stub.ListConversations, request, timeout_s or self._deadlines.unary_s, mapping.conversation_page
            )
            yield from page.conversations
            token = page.next_page_token
            if not token:
                return

    def rename(self, conversation_id: str, title: str, *, timeout_s: float | None = None) -> Conversation:
        """Gives a conversation a title. Raises InvalidField, ConversationNotFound."""
        return self._calls.unary(
            self._stub.UpdateConversation,
            requests.update_conversation(conversation_id, title),
            timeout_s or self._deadlines.unary_s,
            mapping.updated_conversation,
        )

    def delete(self, conversation_id: str, *, timeout_s: float | None = None) -> None:
        """Deletes a conversation with its answers. Raises ConversationNotFound, also when a first attempt had deleted
        it and its response was lost."""
        self._calls.unary(
            self._stub.DeleteConversation,
            requests.delete_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_conversation,
        )

    def turns(
        self, conversation_id: str, *, page_size: int = 0, timeout_s: float | None = None
    ) -> Iterator[StoredAnswer]:
        """The answers of a conversation, the first one first, fetched page by page; the timeout is for one page. Raises
        ConversationNotFound."""
        token = ""
        while True:
            request = requests.list_turns(conversation_id, page_size, token)
            page = self._calls.unary(
                self._stub.ListTurns, request, timeout_s or self._deadlines.unary_s, mapping.turn_page
            )
            yield from page.answers
            token = page.next_page_token
            if not token:
                return


class Client:
    """Calls a Pinakes server. One client serves any number of concurrent calls of one event loop; use it in
    `with`, or `close` it.

    Every call has a deadline (`timeout_s`, or `options.deadlines`) that covers its retries, and raises PinakesError.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        options: ClientOptions | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        tls: Tls | None = None,
        api_key: str | None = None,
        token: str | Callable[[], str] | None = None,
        login: Login | None = None,
    ) -> None:
        options = options or ClientOptions()
        own = Credentials.given(api_key, token, login)
        check_secrecy(address, credentials is not None or tls is not None, options, own)
        self._deadlines = options.deadlines
        self._channel = open_channel(address, options, credentials, tls)
        self._calls = open_calls(self._channel, options, own)
        self._answers = AnswerServiceStub(self._channel)
        self._searches = SearchServiceStub(self._channel)
        self._inference = InferenceServiceStub(self._channel)
        self.answers = Answers(self._channel, self._calls, options.deadlines)
        self.conversations = Conversations(self._channel, self._calls, options.deadlines)
        self.documents = Documents(self._channel, self._calls, options.deadlines)
        self.index = Index(self._channel, self._calls, options.deadlines)
        self.models = Models(self._channel, self._calls, options.deadlines)
        self.events = Events(self._channel, self._calls, options.deadlines)
        self.encryption = Encryption(self._channel, self._calls, options.deadlines)
        self.tenants = Tenants(self._channel, self._calls, options.deadlines)
        self.audit = Audit(self._channel, self._calls, options.deadlines)
        self.privacy = Privacy(self._channel, self._calls, options.deadlines)
        self.quotas = Quotas(self._channel, self._calls, options.deadlines)
        self.auth = Auth(self._channel, self._calls, options.deadlines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels what still runs and closes the connection."""
        self._channel.close()

    def search(self, query: str, *, timeout_s: float | None = None, **options: Unpack[SearchOptions]) -> SearchResults:
        """The passages that fit the query best; none is a result. Raises InvalidField, IndexBehind."""
        return self._calls.unary(
            self._searches.Search,
            requests.search(query, options),
            timeout_s or self._deadlines.search_s,
            mapping.search_results,
        )

    def retrieval_profiles(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[RetrievalProfile]:
        """The retrieval profiles that searches and questions may name, fetched page by page; the timeout is for one
        page."""
        token = ""
        while True:
            request = requests.list_retrieval_profiles(page_size, token)
            page = self._calls.unary(
                self._searches.ListRetrievalProfiles,
                request,
                timeout_s or self._deadlines.unary_s,
                mapping.profile_page,
            )
            yield from page.profiles
            token = page.next_page_token
            if not token:
                return

    def answer(
        self, question: str, *, timeout_s: float | None = None, **options: Unpack[AnswerOptions]
    ) -> Stream[AnswerEvent]:
        """Streams an answer: Sources, then Delta and Citation, and one Completion last."""
        request, timeout_s = requests.answer(question, options), timeout_s or self._deadlines.answer_s
        if not options.get("resume_window_s"):
            return self._calls.stream(self._answers.Answer, request, timeout_s, mapping.answer_event)
        resume = (self._answers.ResumeAnswer, requests.resume_after)
        return self._calls.resumable(self._answers.Answer, request, resume, timeout_s, mapping.streamed_event)

    def answer_text(self, question: str, *, timeout_s: float | None = None, **options: Unpack[AnswerOptions]) -> Answer:
        """As `answer`, put together."""
        answer = AnswerSoFar()
        with self.answer(question, timeout_s=timeout_s, **options) as events:
            for event in events:
                answer.add(event)
        return answer.whole()

    def embed(
        self,
        texts: Sequence[str],
        *,
        kind: EmbeddingKind = EmbeddingKind.PASSAGE,
        timeout_s: float | None = None,
    ) -> Embeddings:
        """Embeds 1 to 256 texts. Queries are embedded differently: say so with `kind`."""
        return self._calls.unary(
            self._inference.Embed, requests.embed(texts, kind), timeout_s or self._deadlines.unary_s, mapping.embeddings
        )

    def rerank(self, query: str, texts: Sequence[str], *, timeout_s: float | None = None) -> RerankScores:
        """Scores 1 to 256 texts against a query. Raises ModelNotInstalled."""
        return self._calls.unary(
            self._inference.Rerank,
            requests.rerank(query, texts),
            timeout_s or self._deadlines.unary_s,
            mapping.rerank_scores,
        )

    def recognize_text(self, image: bytes, *, timeout_s: float | None = None) -> RecognizedText:
        """Reads the text in an encoded image: PNG, JPEG, TIFF or WebP."""
        return self._calls.unary(
            self._inference.RecognizeText,
            requests.recognize_text(image),
            timeout_s or self._deadlines.unary_s,
            mapping.recognized_text,
        )

    def generate(
        self, prompt: str, *, timeout_s: float | None = None, **options: Unpack[GenerateOptions]
    ) -> Stream[GenerateEvent]:
        """Streams a model's continuation of a prompt: GenerateDelta, and one GenerateCompletion last."""
        return self._calls.stream(
            self._inference.Generate,
            requests.generate(prompt, options),
            timeout_s or self._deadlines.generate_s,
            mapping.generate_event,
        )
