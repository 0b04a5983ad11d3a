"""All settings, as one typed tree; the only reader of the environment.

Each can be given as an environment variable, `PINAKES_` and the path with `__` between the parts
(`PINAKES_SERVER__ADDRESS=127.0.0.1:7701`), or in a TOML file with the same names (`--config FILE`). Variables win over
the file, and both over what `pinakes tune` has measured (`tuned.toml` in the data directory). An unknown name in any of
them is an error, not a default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import platformdirs
from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server.adapters import triton_generator
from server.adapters.argon2_hashes import Argon2Options
from server.adapters.audit_storage import AuditStorageOptions
from server.adapters.circuit_breaker import BreakerOptions
from server.adapters.document_reader import DocumentReaderOptions
from server.adapters.encrypted_storage import EncryptionOptions
from server.adapters.hybrid_passage_index import PassageIndexOptions
from server.adapters.index_highlighter import HighlighterOptions
from server.adapters.issued_tokens import IssuerOptions
from server.adapters.jetstream import JetStreamOptions
from server.adapters.jetstream_events import JetStreamEventOptions
from server.adapters.nats_connection import NatsConnectionOptions
from server.adapters.openai_embedder import OpenAiEmbedderOptions
from server.adapters.openai_endpoint import OpenAiEndpointOptions
from server.adapters.openai_generator import OpenAiGeneratorOptions
from server.adapters.own_tokens import OwnTokenOptions
from server.adapters.postgres.identity_changes import ChangeOptions
from server.adapters.postgres.pool import PostgresOptions
from server.adapters.triton_generator import TritonGeneratorOptions
from server.adapters.triton_recognizer import TritonRecognizerOptions
from server.application.answer_question import AnswerOptions
from server.application.caching import CacheOptions
from server.application.follow_aliases import AliasOptions
from server.application.follow_log import FollowOptions
from server.application.forget_answers import ForgetAnswersOptions
from server.application.forget_revisions import ForgetOptions
from server.application.generation_chain import ChainOptions
from server.application.give_answers import GiveOptions
from server.application.identify_callers import IdentifyOptions
from server.application.identity_states import StateOptions
from server.application.ingest_document import IngestOptions
from server.application.keep_models import KeepOptions
from server.application.limit_tenants import QuotaOptions
from server.application.load_models import LoadOptions
from server.application.look_after_keys import KeyOptions
from server.application.privacy.follow_policies import PolicyOptions
from server.application.prune_audit import RetentionOptions
from server.application.query import MAX_QUERY_CHARACTERS
from server.application.record_audit import RecordOptions
from server.application.relay_events import EventRelayOptions
from server.application.relay_outbox import RelayOptions
from server.application.retrieval_profiles import RetrievalProfiles
from server.application.search_passages import SearchOptions
from server.application.share_document import ShareOptions
from server.application.show_pages import ShowOptions
from server.application.sign_in import SignInOptions
from server.application.subscribe_events import SubscribeOptions
from server.application.sweep_blobs import SweepOptions
from server.application.take_turns import TurnOptions
from server.application.tls_files import TlsFiles
from server.application.upload_document import UploadOptions
from server.application.verify_index import VerifyOptions
from server.application.watch_certificate import WatchCertificateOptions
from server.application.watch_job import WatchOptions
from server.application.work_off_queue import WorkerOptions
from server.domain.errors import InvalidField
from server.domain.models import alias_of
from server.embedded import nats as embedded_nats
from server.embedded import postgres as embedded_postgres
from server.embedded import triton as embedded_triton
from server.embedded.process import free_port
from server.embedded.stack import StackOptions
from server.embedded.supervisor import SupervisorOptions
from server.telemetry import MetricsOptions
from server.transport import tls_versions
from server.transport.grpc_server import ServerOptions

_PREFIX = "PINAKES_"
_LONGEST_QUERY = 10_000
OWN_GENERATOR = alias_of(triton_generator.SLOT)
"""What the model of the slot `generate` is called among those that write answers."""
_OF_THE_CLIENT = (
    "PINAKES_SERVER_ADDRESS",
    "PINAKES_API_KEY",
    "PINAKES_API_KEY_FILE",
    "PINAKES_TLS",
    "PINAKES_TLS_ROOT",
    "PINAKES_TLS_CERTIFICATE",
    "PINAKES_TLS_KEY",
    "PINAKES_TLS_NAME",
)
TUNED_FILE = "tuned.toml"
"""In the data directory: settings that were measured there. It is read at the next start."""
CATALOGUE_FILE = "models.toml"
"""In the data directory: models beside the package's."""


class InvalidSettings(Exception):
    """What is wrong with the settings, a line each, by their names."""


@dataclass(frozen=True, slots=True)
class LocalPrincipal:
    """Whose calls those with the first key are; without authentication, all calls."""

    tenant: str = "default"
    user: str = "local"
    groups: tuple[str, ...] = ("everyone",)


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """How callers are known. Without `required`, for development on the loopback address alone, everybody is the
    `principal` and an administrator. `development` allows identity providers that sign with a shared secret (HS256)."""

    required: bool = True
    development: bool = False
    callers: IdentifyOptions = field(default_factory=IdentifyOptions)
    sign_in: SignInOptions = field(default_factory=SignInOptions)
    keys: KeyOptions = field(default_factory=KeyOptions)
    tokens: OwnTokenOptions = field(default_factory=OwnTokenOptions)
    issuers: tuple[IssuerOptions, ...] = ()
    states: StateOptions = field(default_factory=StateOptions)
    changes: ChangeOptions = field(default_factory=ChangeOptions)
    hashing: Argon2Options = field(default_factory=Argon2Options)
    key_hashing: Argon2Options = field(default_factory=lambda: Argon2Options(passes=1, memory_kib=8_192))
    """Of the keys of services: they have 256 random bits, so that a slow hash adds little to them."""

    def __post_init__(self) -> None:
        if not self.development and any(each.development_secret_file for each in self.issuers):
            raise ValueError("issuers: a development_secret_file needs identity.development")
        names = [each.issuer for each in self.issuers]
        if len(set(names)) < len(names):
            raise ValueError("issuers: each issuer may be named once")


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is recorded of calls, where the key is that signs it, and how long it is kept."""

    storage: AuditStorageOptions = field(default_factory=AuditStorageOptions)
    record: RecordOptions = field(default_factory=RecordOptions)
    retention: RetentionOptions = field(default_factory=RetentionOptions)


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Without a `dsn` (a psycopg conninfo) `up` runs its own PostgreSQL. `owner_dsn` is who owns the tables, for the
    migrations; without one, it is the user of `dsn`. One who owns nothing and may become `pinakes_tenant` and
    `pinakes_spanning`, as the role `pinakes_app` may, is safer there."""

    dsn: SecretStr = field(default_factory=lambda: SecretStr(""))
    owner_dsn: SecretStr = field(default_factory=lambda: SecretStr(""))
    pool: PostgresOptions = field(default_factory=PostgresOptions)
    embedded: embedded_postgres.PostgresOptions = field(default_factory=embedded_postgres.PostgresOptions)


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Without a `url` `up` runs its own NATS."""

    url: SecretStr = field(default_factory=lambda: SecretStr(""))
    connection: NatsConnectionOptions = field(default_factory=NatsConnectionOptions)
    queue: JetStreamOptions = field(default_factory=JetStreamOptions)
    events: JetStreamEventOptions = field(default_factory=JetStreamEventOptions)
    embedded: embedded_nats.NatsOptions = field(default_factory=embedded_nats.NatsOptions)


@dataclass(frozen=True, slots=True)
class TritonSettings:
    """Without an `address` (host:port of its gRPC service) `up` runs its own Triton; with `secured`, the one there is
    called over TLS, with the files of `tls`. `control_header` and
    `control_token` are the metadata that open the model control of one that restricts it
    (`--grpc-restricted-protocol`)."""

    address: str = ""
    control_header: str = "triton-grpc-protocol-pinakes"
    control_token: SecretStr = field(default_factory=lambda: SecretStr(""))
    profile: str = "cpu"
    secured: bool = False
    tls: TlsFiles = field(default_factory=TlsFiles)
    recognizer: TritonRecognizerOptions = field(default_factory=TritonRecognizerOptions)
    generator: TritonGeneratorOptions = field(default_factory=TritonGeneratorOptions)
    embedded: embedded_triton.TritonOptions = field(default_factory=embedded_triton.TritonOptions)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`catalogue` is a file with models beside the package's (triton_models/README.md); without one, `models.toml` in
    the data directory is, if it is there."""

    catalogue: Path | None = None
    aliases: AliasOptions = field(default_factory=AliasOptions)
    loads: LoadOptions = field(default_factory=LoadOptions)
    keep: KeepOptions = field(default_factory=KeepOptions)


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """With an `endpoint.url` (that of an API like OpenAI's) it serves the slot, and Triton does not. The key is in
    `api_key` or in the file `api_key_file`; neither: none is sent."""

    endpoint: OpenAiEndpointOptions = field(default_factory=OpenAiEndpointOptions)
    api_key: SecretStr = field(default_factory=lambda: SecretStr(""))
    api_key_file: Path | None = None

    def key(self) -> str:
        """Raises InvalidSettings for a file that cannot be read or holds no key."""
        if self.api_key_file is None:
            return self.api_key.get_secret_value()
        try:
            key = self.api_key_file.read_text().strip()
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"api_key_file: {self.api_key_file} cannot be read") from error
        if not key:
            raise InvalidSettings(f"api_key_file: {self.api_key_file} is empty")
        return key


@dataclass(frozen=True, slots=True)
class EmbeddingEndpointSettings(EndpointSettings):
    embedder: OpenAiEmbedderOptions = field(default_factory=OpenAiEmbedderOptions)


@dataclass(frozen=True, slots=True)
class GenerationEndpointSettings(EndpointSettings):
    generator: OpenAiGeneratorOptions = field(default_factory=OpenAiGeneratorOptions)


@dataclass(frozen=True, slots=True)
class GeneratorSettings(GenerationEndpointSettings):
    """An endpoint that writes answers beside the model of the slot `generate`. `name` is what completions, metrics and
    health call it. The smallest `priority` is asked first; the slot's own model has 0."""

    name: str = ""
    priority: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", self.name) or self.name == OWN_GENERATOR:
            raise ValueError(f"needs a name of small letters, digits, dots and hyphens that is not {OWN_GENERATOR}")
        if not self.endpoint.url:
            raise ValueError(f"{self.name} needs an endpoint.url")


@dataclass(frozen=True, slots=True)
class GeneratorsSettings:
    """Who writes answers: the model of the slot `generate`, and `others`. Where none of them begins to write, an answer
    is the sentence of its sources that fits best."""

    chain: ChainOptions = field(default_factory=ChainOptions)
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    others: tuple[GeneratorSettings, ...] = ()

    def __post_init__(self) -> None:
        names = [other.name for other in self.others]
        if len(set(names)) < len(names):
            raise ValueError("others: each needs a name of its own")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What is kept of results, in the memory of the server. Embeddings of queries are kept by `search.vectors`."""

    searches: CacheOptions = field(default_factory=lambda: CacheOptions(entries=2_048, size_bytes=64 * 2**20))
    answers: CacheOptions = field(
        default_factory=lambda: CacheOptions(entries=4_096, size_bytes=64 * 2**20, share_from_s=10.0)
    )


class Settings(BaseSettings):
    """The whole tree; frozen. Components get their own part and never see the rest."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Path("var")
    cache_dir: Path = field(default_factory=lambda: platformdirs.user_cache_path("pinakes"))
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    server: ServerOptions = ServerOptions()
    principal: LocalPrincipal = LocalPrincipal()
    identity: IdentitySettings = IdentitySettings()
    audit: AuditSettings = AuditSettings()
    postgres: PostgresSettings = PostgresSettings()
    nats: NatsSettings = NatsSettings()
    triton: TritonSettings = TritonSettings()
    models: ModelSettings = ModelSettings()
    embedding: EmbeddingEndpointSettings = EmbeddingEndpointSettings()
    generation: GenerationEndpointSettings = GenerationEndpointSettings()
    generators: GeneratorsSettings = GeneratorsSettings()
    supervisor: SupervisorOptions = SupervisorOptions()
    index: PassageIndexOptions = PassageIndexOptions()
    reader: DocumentReaderOptions = DocumentReaderOptions()
    upload: UploadOptions = UploadOptions()
    pages: ShowOptions = ShowOptions()
    share: ShareOptions = ShareOptions()
    quotas: QuotaOptions = QuotaOptions()
    watch: WatchOptions = WatchOptions()
    ingestion: IngestOptions = IngestOptions()
    worker: WorkerOptions = WorkerOptions()
    relay: RelayOptions = RelayOptions()
    event_relay: EventRelayOptions = EventRelayOptions()
    subscribe: SubscribeOptions = SubscribeOptions()
    follow: FollowOptions = FollowOptions()
    verify: VerifyOptions = VerifyOptions()
    certificate: WatchCertificateOptions = WatchCertificateOptions()
    encryption: EncryptionOptions = EncryptionOptions()
    sweep: SweepOptions = SweepOptions()
    revisions: ForgetOptions = ForgetOptions()
    search: SearchOptions = SearchOptions()
    highlighter: HighlighterOptions = HighlighterOptions()
    answers: AnswerOptions = AnswerOptions()
    caches: CacheSettings = CacheSettings()
    metrics: MetricsOptions = MetricsOptions()
    given_answers: GiveOptions = GiveOptions()
    policies: PolicyOptions = PolicyOptions()
    kept_answers: ForgetAnswersOptions = ForgetAnswersOptions()
    turns: TurnOptions = TurnOptions()

    @property
    def model_catalogue(self) -> Path:
        """The file with models beside the package's. It need not exist."""
        return self.models.catalogue or self.data_dir / CATALOGUE_FILE

    @field_validator("models")
    @classmethod
    def _catalogue_exists(cls, models: ModelSettings) -> ModelSettings:
        if models.catalogue is not None and not models.catalogue.is_file():
            raise ValueError(f"models.catalogue: there is no file {models.catalogue}")
        return models

    @field_validator("embedding", "generation")
    @classmethod
    def _key_is_there(cls, own: EndpointSettings) -> EndpointSettings:
        own.key()
        return own

    @field_validator("generators")
    @classmethod
    def _keys_are_there(cls, generators: GeneratorsSettings) -> GeneratorsSettings:
        for other in generators.others:
            other.key()
        return generators

    @field_validator("search")
    @classmethod
    def _searches_can_be(cls, options: SearchOptions) -> SearchOptions:
        # Follow-up questions are completed up to the lower bound.
        if not MAX_QUERY_CHARACTERS <= options.longest_query <= _LONGEST_QUERY:
            raise ValueError(
                f"search.longest_query must lie between {MAX_QUERY_CHARACTERS:,} and {_LONGEST_QUERY:,}, and is "
                f"{options.longest_query:,}"
            )
        try:
            RetrievalProfiles(options.profiles)
        except InvalidField as error:
            raise ValueError(f"search.{error}") from error
        return options

    @model_validator(mode="after")
    def _closed_beyond_loopback(self) -> Self:
        """Who listens where others can reach it knows its callers, and nobody listens to what they say."""
        address, own = self.server.address, self.identity
        if _is_loopback(address):
            return self
        if not own.required or own.development:
            raise ValueError(
                f"server.address {address!r} can be reached from other machines: set identity.required to true and "
                "identity.development to false, or listen on a loopback address"
            )
        if not self.server.tls.enabled:
            raise ValueError(
                f"server.address {address!r} can be reached from other machines: set server.tls.certificate_file and "
                "server.tls.key_file, or listen on a loopback address"
            )
        return self

    @field_validator("server")
    @classmethod
    def _health_on_loopback(cls, options: ServerOptions) -> ServerOptions:
        if options.health_address and not _is_loopback(options.health_address):
            raise ValueError(f"server.health_address must be a loopback address, and is {options.health_address!r}")
        return options

    @field_validator("metrics")
    @classmethod
    def _metrics_on_loopback(cls, options: MetricsOptions) -> MetricsOptions:
        if options.address and not (_is_loopback(options.address) and options.address.rpartition(":")[2].isdigit()):
            raise ValueError(f"metrics.address must be a loopback address with a port, and is {options.address!r}")
        return options

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        named = (init_settings.init_kwargs.pop(name, None) for name in ("config", "tuned"))
        files = [TomlConfigSettingsSource(settings_cls, toml_file=file) for file in named if file is not None]
        return (init_settings, env_settings, *files)


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Reads the environment and the files, once. Raises InvalidSettings, which names every mistake."""
    if config is not None and not config.is_file():
        raise InvalidSettings(f"there is no file {config}")
    unknown = _unknown_variables()
    if unknown:
        raise InvalidSettings("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        settings = Settings(config=config, **(overrides or {}))  # type: ignore[call-arg]
        tuned = settings.data_dir / TUNED_FILE
        if not tuned.is_file():
            return settings
        return Settings(config=config, tuned=tuned, **(overrides or {}))  # type: ignore[call-arg]
    except ValidationError as exc:
        lines = [
            f"{'.'.join(map(str, error['loc']))}: {error['msg'].removeprefix('Value error, ')}"
            for error in exc.errors(include_input=False)
        ]
        raise InvalidSettings("\n".join(lines)) from exc


def _named_files(settings: Settings) -> dict[str, str]:
    """Files in the settings, by their variables, where the processes that `up` starts find them: these work in another
    directory."""
    server, triton, nats = settings.server.tls, settings.triton.tls, settings.nats.connection.tls
    named = {
        "SERVER__TLS__CERTIFICATE_FILE": server.certificate_file,
        "SERVER__TLS__KEY_FILE": server.key_file,
        "SERVER__TLS__CLIENT_CA_FILE": server.client_ca_file,
        "TRITON__TLS__ROOT_FILE": triton.root_file,
        "TRITON__TLS__CERTIFICATE_FILE": triton.certificate_file,
        "TRITON__TLS__KEY_FILE": triton.key_file,
        "NATS__CONNECTION__TLS__ROOT_FILE": nats.root_file,
        "NATS__CONNECTION__TLS__CERTIFICATE_FILE": nats.certificate_file,
        "NATS__CONNECTION__TLS__KEY_FILE": nats.key_file,
        "ENCRYPTION__KEY_FOLDER": settings.encryption.key_folder,
    }
    return {f"{_PREFIX}{name}": str(file.absolute()) for name, file in named.items() if file is not None}


def require_tls_1_3() -> None:
    """See `tls_versions`. To be called before anything else is begun."""
    tls_versions.require_tls_1_3(os.environ)  # noqa: TID251 - the one reader of it


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unknown_variables() -> list[str]:
    """Variables that begin as ours do and name nothing. Those of the client are its own."""
    named = [name for name in os.environ if name.startswith(_PREFIX)]  # noqa: TID251 - the one reader of it
    known = {f"{_PREFIX}{field.upper()}" for field in Settings.model_fields} | set(_OF_THE_CLIENT)
    return sorted(name for name in named if name.split("__")[0].upper() not in known)


def stack_options(settings: Settings, config: Path | None = None) -> StackOptions:
    """What `up` runs; its children read the same file."""
    more = () if config is None else ("--config", str(config.absolute()))
    return StackOptions(
        data=settings.data_dir,
        cache=settings.cache_dir,
        environment={**os.environ, **_named_files(settings)},  # noqa: TID251 - children inherit it whole
        address=settings.server.address,
        health_address=settings.server.health_address
        or (f"127.0.0.1:{free_port()}" if settings.server.tls.enabled else ""),
        postgres_dsn=settings.postgres.dsn.get_secret_value() or None,
        nats_url=settings.nats.url.get_secret_value() or None,
        triton_address=settings.triton.address or None,
        profile=settings.triton.profile,
        nats_handshake_first=settings.nats.connection.tls if settings.nats.connection.tls_handshake_first else None,
        triton_tls=settings.triton.tls if settings.triton.secured else None,
        catalogue=settings.model_catalogue,
        postgres=settings.postgres.embedded,
        nats=settings.nats.embedded,
        triton=settings.triton.embedded,
        serve=(sys.executable, "-m", "server", "serve", *more),
        worker=(sys.executable, "-m", "server", "worker", *more),
        supervisor=settings.supervisor,
    )
