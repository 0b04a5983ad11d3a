"""The client for threads. Method for method the same as `async_client`; see there for what is not said here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, Unpack

import grpc

from pinakes import mapping, requests
from pinakes.answers import AnswerSoFar
from pinakes.audit import Audit
from pinakes.auth import Auth
from pinakes.channel import open_channel
from pinakes.credentials import Credentials, Login, check_secrecy
from pinakes.encryption import Encryption, Tenants
from pinakes.options import DEFAULT_ADDRESS, AnswerOptions, ClientOptions, GenerateOptions, SearchOptions
from pinakes.privacy import Privacy
from pinakes.quotas import Quotas
from pinakes.results import (
    Answer,
    AnswerEvent,
    EmbeddingKind,
    Embeddings,
    GenerateEvent,
    RecognizedText,
    RerankScores,
    SearchResults,
)
from pinakes.retrieval import RetrievalProfile
from pinakes.services.answers import Answers
from pinakes.services.conversations import Conversations
from pinakes.services.documents import Documents
from pinakes.services.events import Events
from pinakes.services.index import Index
from pinakes.services.models import Models
from pinakes.signing import open_calls
from pinakes.streams import Stream
from pinakes.tls import Tls
from pinakes.v1.answer_service_pb2_grpc import AnswerServiceStub
from pinakes.v1.inference_service_pb2_grpc import InferenceServiceStub
from pinakes.v1.search_service_pb2_grpc import SearchServiceStub


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
        return self._calls.pages(
            self._searches.ListRetrievalProfiles,
            lambda token: requests.list_retrieval_profiles(page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.profile_page,
            lambda page: page.profiles,
        )

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
