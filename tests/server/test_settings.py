"""Settings are read once, whole, and mistakes in them are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.domain.passages import ReciprocalRankFusion, SearchMode
from server.domain.retrieval import RetrievalSettings
from server.settings import TUNED_FILE, InvalidSettings, load_settings, stack_options


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PINAKES_SERVER__ADDRESS", "PINAKES_DATA_DIR", "PINAKES_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_variables_win_over_the_file_and_the_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text('[server]\naddress = "127.0.0.1:9"\n[search]\ndense_weight = 0.7\n')
    monkeypatch.setenv("PINAKES_SERVER__ADDRESS", "127.0.0.1:8")
    monkeypatch.setenv("PINAKES_INGESTION__STAGES__CHUNKING__TARGET_TOKENS", "99")
    settings = load_settings(file)
    assert settings.server.address == "127.0.0.1:8"
    assert settings.search.dense_weight == 0.7
    assert settings.ingestion.stages.chunking.target_tokens == 99
    assert settings.search.default_limit == 10


def test_what_was_measured_gives_way_to_what_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tmp_path / "data" / TUNED_FILE
    tuned.parent.mkdir()
    tuned.write_text("[index.index.planner_thresholds]\nflat_rows = 5_000\nwalk_share = 0.75\n")
    file = tmp_path / "pinakes.toml"
    file.write_text(f'data_dir = "{tuned.parent}"\n[index.index.planner_thresholds]\nwalk_share = 0.5\n')
    thresholds = load_settings(file).index.index.planner_thresholds
    assert (thresholds.flat_rows, thresholds.walk_share) == (5_000, 0.5)
    monkeypatch.setenv("PINAKES_INDEX__INDEX__PLANNER_THRESHOLDS__FLAT_ROWS", "7")
    thresholds = load_settings(file).index.index.planner_thresholds
    assert (thresholds.flat_rows, thresholds.walk_share) == (7, 0.5)
    tuned.write_text("[index.index.planner_thresholds]\nflat_row = 5_000\n")
    with pytest.raises(InvalidSettings, match="flat_row"):
        load_settings(file)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PINAKES_SERVR__ADDRESS", "127.0.0.1:8", "PINAKES_SERVR__ADDRESS"),
        ("PINAKES_SERVER__ADRESS", "127.0.0.1:8", "server.adress"),
        ("PINAKES_SERVER__ADDRESS", "0.0.0.0:7700", "loopback"),
        ("PINAKES_SERVER__ADDRESS", "example.org:7700", "loopback"),
        ("PINAKES_SEARCH__DENSE_WEIGHT", "much", "search.dense_weight"),
        ("PINAKES_SEARCH__LONGEST_QUERY", "100", "search.longest_query must lie between 500 and 10,000"),
        ("PINAKES_SEARCH__PROFILES__WIDE__CANDIDATES", "1000", "search.profiles.wide.candidates"),
        ("PINAKES_SEARCH__PROFILES__WIDE__CANDIDATE", "10", "search.profiles.wide.candidate"),
        ("PINAKES_METRICS__ADDRESS", "0.0.0.0:9100", "metrics.address must be a loopback"),
        ("PINAKES_METRICS__ADDRESS", "127.0.0.1", "metrics.address must be a loopback"),
    ],
)
def test_mistakes_are_named(variable: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=named):
        load_settings()


def test_a_missing_file_and_an_unknown_name_in_it_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="there is no file"):
        load_settings(tmp_path / "none.toml")
    file = tmp_path / "pinakes.toml"
    file.write_text("[sever]\n")
    with pytest.raises(InvalidSettings, match="sever"):
        load_settings(file)


def test_a_catalogue_of_ones_own_lies_in_the_data_directory_or_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text(f'data_dir = "{tmp_path}"\n')
    assert load_settings(file).model_catalogue == tmp_path / "models.toml"
    own = tmp_path / "own.toml"
    file.write_text(f'[models]\ncatalogue = "{own}"\n')
    with pytest.raises(InvalidSettings, match=r"no file .*own\.toml"):
        load_settings(file)
    own.touch()
    assert load_settings(file).model_catalogue == own


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINAKES_POSTGRES__DSN", "host=db password=hunter2")
    settings = load_settings()
    assert "hunter2" not in str(settings.model_dump(mode="json"))
    assert stack_options(settings).postgres_dsn == "host=db password=hunter2"


def test_files_are_named_for_children_that_work_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PINAKES_SERVER__TLS__CERTIFICATE_FILE", "tls/server.pem")
    monkeypatch.setenv("PINAKES_SERVER__TLS__KEY_FILE", "tls/server.key")
    monkeypatch.setenv("PINAKES_ENCRYPTION__KEY_FOLDER", "elsewhere")
    options = stack_options(load_settings())
    assert options.environment["PINAKES_SERVER__TLS__CERTIFICATE_FILE"] == str(tmp_path / "tls/server.pem")
    assert options.environment["PINAKES_SERVER__TLS__KEY_FILE"] == str(tmp_path / "tls/server.key")
    assert options.environment["PINAKES_ENCRYPTION__KEY_FOLDER"] == str(tmp_path / "elsewhere")
    assert "PINAKES_SERVER__TLS__CLIENT_CA_FILE" not in options.environment
    assert options.health_address.startswith("127.0.0.1:"), "health is asked for in the clear"


def test_children_read_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text("")
    assert stack_options(load_settings(file), file).serve[-2:] == ("--config", str(file))


def test_an_endpoint_takes_its_key_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINAKES_GENERATION__ENDPOINT__URL", "https://api.example.org/v1")
    monkeypatch.setenv("PINAKES_GENERATION__ENDPOINT__MODEL", "some/model")
    assert load_settings().generation.key() == ""
    monkeypatch.setenv("PINAKES_GENERATION__API_KEY", "sk-secret")
    settings = load_settings()
    assert settings.generation.key() == "sk-secret"
    assert settings.generation.endpoint.identity == "https://api.example.org/v1#some/model"
    assert "sk-secret" not in repr(settings)
    file = tmp_path / "key"
    monkeypatch.setenv("PINAKES_GENERATION__API_KEY_FILE", str(file))
    for content in (None, " \n", b"\xff"):
        if content is not None:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(InvalidSettings, match="api_key_file"):
            load_settings()
    file.write_text("sk-other\n")
    assert load_settings().generation.key() == "sk-other"
    assert load_settings().embedding.key() == ""


@pytest.mark.parametrize("url", ["ftp://host", "https://user:sk-secret@host/v1", "host"])
def test_an_endpoint_that_is_none_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINAKES_EMBEDDING__ENDPOINT__URL", url)
    monkeypatch.setenv("PINAKES_EMBEDDING__ENDPOINT__MODEL", "m")
    with pytest.raises(InvalidSettings, match=r"embedding\.endpoint") as caught:
        load_settings()
    assert "sk-secret" not in str(caught.value)


def test_generators_beside_the_slots_own_have_names_and_places(tmp_path: Path) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text("""
        [generators.chain]
        first_text_s = 9.5
        [[generators.others]]
        name = "vllm"
        priority = -1
        endpoint = { url = "http://127.0.0.1:8000/v1", model = "m" }
        [[generators.others]]
        name = "openai"
        api_key = "sk-secret"
        endpoint = { url = "https://api.example.org/v1", model = "m" }
    """)
    generators = load_settings(file).generators
    assert [(other.name, other.priority, other.key()) for other in generators.others] == [
        ("vllm", -1, ""),
        ("openai", 1, "sk-secret"),
    ]
    assert generators.chain.first_text_s == 9.5
    assert "sk-secret" not in repr(generators)


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ('{ endpoint = { url = "http://a/v1", model = "m" } }', "needs a name"),
        ('{ name = "generate.default", endpoint = { url = "http://a/v1", model = "m" } }', "needs a name"),
        ('{ name = "a" }', "needs an endpoint.url"),
        ('{ name = "a", endpoint = { url = "http://a/v1" } }', "needs the name of the model"),
        ('{ name = "a", api_key_file = "/none", endpoint = { url = "http://a/v1", model = "m" } }', "cannot be read"),
        (", ".join(['{ name = "a", endpoint = { url = "http://a/v1", model = "m" } }'] * 2), "a name of its own"),
    ],
)
def test_generators_that_cannot_be_are_refused(tmp_path: Path, others: str, problem: str) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text(f"[generators]\nothers = [{others}]\n")
    with pytest.raises(InvalidSettings, match=problem):
        load_settings(file)


def test_profiles_of_ones_own_are_read(tmp_path: Path) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text('[search.profiles.words]\nmode = "lexical"\nfusion = "reciprocal_rank"\nrank_constant = 7\n')
    settings = load_settings(file).search.profiles["words"].settings()
    assert settings == RetrievalSettings(SearchMode.LEXICAL, ReciprocalRankFusion(7, 0.5))


REACHABLE = """
[server]
address = "0.0.0.0:7700"
[server.tls]
certificate_file = "server.pem"
key_file = "server.key"
"""


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("", None),
        ("[identity]\nrequired = false\n", "identity.required"),
        ("[identity]\ndevelopment = true\n", "identity.development"),
    ],
)
def test_who_listens_to_others_has_tls_and_knows_its_callers(tmp_path: Path, more: str, problem: str | None) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text(REACHABLE + more)
    if problem is None:
        assert load_settings(file).server.address == "0.0.0.0:7700"
        file.write_text(REACHABLE.partition("[server.tls]")[0])
        problem = "server.tls.certificate_file"
    with pytest.raises(InvalidSettings, match=problem):
        load_settings(file)


def test_a_shared_secret_of_an_identity_provider_is_for_development(tmp_path: Path) -> None:
    file = tmp_path / "pinakes.toml"
    issuer = '[[identity.issuers]]\nissuer = "i"\naudience = "a"\ndevelopment_secret_file = "secret"\n'
    file.write_text(issuer)
    with pytest.raises(InvalidSettings, match=r"needs identity\.development"):
        load_settings(file)
    file.write_text(f"[identity]\ndevelopment = true\n{issuer}")
    assert load_settings(file).identity.issuers[0].issuer == "i"


@pytest.mark.parametrize("jwks", ['jwks = "http://idp.example/jwks"', "", 'jwks = "k"\nalgorithms = ["HS256"]'])
def test_identity_providers_are_trusted_by_keys_that_nobody_can_swap(tmp_path: Path, jwks: str) -> None:
    file = tmp_path / "pinakes.toml"
    file.write_text(f'[[identity.issuers]]\nissuer = "i"\naudience = "a"\n{jwks}\n')
    with pytest.raises(InvalidSettings, match=r"identity\.issuers"):
        load_settings(file)
