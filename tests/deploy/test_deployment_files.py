"""What `deploy/` says fits what it deploys. Nothing of it is run here."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from server.settings import Settings
from triton_models.engines.__main__ import app as engines_app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text(encoding="utf-8"))
SERVE = (DEPLOY / "triton" / "serve.sh").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "triton" / "Dockerfile").read_text(encoding="utf-8")
TEMPLATES = sorted((DEPLOY / "helm" / "templates").glob("*.yaml"))
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8"))


def container_ports(service: dict[str, Any]) -> list[str]:
    return [port.rpartition(":")[2] for port in service["ports"]]


def test_only_this_machine_reaches_the_containers() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service["ports"]]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_containers_listen_where_they_are_reached() -> None:
    assert sorted(container_ports(COMPOSE["services"]["triton"])) == sorted(re.findall(r"-port=(\d+)", SERVE))
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M) == [" ".join(re.findall(r"-port=(\d+)", SERVE))]
    generation = COMPOSE["services"]["generation"]
    assert container_ports(generation) == re.findall(r"--openai-port=(\d+)", " ".join(generation["command"]))


def test_every_service_has_a_gpu_and_is_waited_for() -> None:
    for service in COMPOSE["services"].values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert "healthcheck" in service
        assert service["shm_size"] == "4gb"


def test_volumes_and_build_files_are_there() -> None:
    for service in COMPOSE["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_dir()
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).resolve() == DEPLOY / "triton" / "Dockerfile"


def test_the_dockerfile_copies_what_there_is() -> None:
    sources = re.findall(r"^COPY (?:--\S+ )*(\S+) ", DOCKERFILE, re.M)
    assert "triton_models" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_both_tritons_are_of_one_release() -> None:
    (release,) = re.findall(r"^ARG TRITON=(\S+)$", DOCKERFILE, re.M)
    assert COMPOSE["services"]["generation"]["image"].startswith(f"nvcr.io/nvidia/tritonserver:{release}-vllm")
    assert VALUES["generation"]["image"] == COMPOSE["services"]["generation"]["image"]


def test_the_script_is_a_script() -> None:
    subprocess.run(["bash", "-n", DEPLOY / "triton" / "serve.sh"], check=True)
    assert (DEPLOY / "triton" / "serve.sh").stat().st_mode & 0o111


@pytest.mark.parametrize("command", re.findall(r"^engines (\w+)", SERVE, re.M))
def test_the_script_calls_commands_that_there_are(command: str) -> None:
    (line,) = re.findall(rf"^engines {command}.*$", SERVE, re.M)
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(engines_app, [command, "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.output for option in [*re.findall(r"--\w+", line), "--cache"])


def test_the_server_is_told_with_settings_that_there_are() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8") + (DEPLOY / "helm" / "values.yaml").read_text("utf-8")
    names = set(re.findall(r"PINAKES_[A-Z_]+", text))
    assert len(names) >= 4
    for name in names:
        value: Any = Settings()
        for part in name.removeprefix("PINAKES_").lower().split("__"):
            assert hasattr(value, part), name
            value = getattr(value, part)


def test_the_generator_is_reached_where_it_listens() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (url,) = re.findall(r"ENDPOINT__URL=(\S+)", text)
    assert f"127.0.0.1:{urlsplit(url).port}" in " ".join(COMPOSE["services"]["generation"]["ports"])
    (model,) = re.findall(r"ENDPOINT__MODEL=(\S+)", text)
    assert (DEPLOY / "generation" / "repository" / model / "config.pbtxt").exists()


def test_the_control_of_models_is_opened_by_the_header_that_the_server_sends() -> None:
    (name,) = re.findall(r"--grpc-restricted-protocol=\"[^:]+:(\w+)=", SERVE)
    assert Settings().triton.control_header == f"triton-grpc-protocol-{name}"


def test_the_generator_is_a_repository_of_vllms_backend() -> None:
    folder = DEPLOY / "generation" / "repository" / "generator"
    config = text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), model_config_pb2.ModelConfig())
    assert (config.name, config.backend) == (folder.name, "vllm")
    engine = json.loads((folder / "1" / "model.json").read_text(encoding="utf-8"))
    assert f"--tokenizer={engine['model']}" in COMPOSE["services"]["generation"]["command"]
    chart = (DEPLOY / "helm" / "templates" / "generation.yaml").read_text(encoding="utf-8")
    assert all(f'"{key}"' in chart for key in engine)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_use_values_that_there_are(template: Path) -> None:
    used = set(re.findall(r"\.Values((?:\.\w+)+)", template.read_text(encoding="utf-8")))
    assert used
    for path in used:
        value: Any = VALUES
        for name in path.strip(".").split("."):
            assert name in value, path
            value = value[name]


def test_every_value_is_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    leaves = [
        f".Values.{name}.{inner}" for name, value in VALUES.items() if isinstance(value, dict) for inner in value
    ] + [f".Values.{name}" for name, value in VALUES.items() if not isinstance(value, dict) or not value]
    assert [leaf for leaf in leaves if leaf not in text] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_are_yaml_where_they_are_not_templated(template: Path) -> None:
    """A stand-in for `helm template`, which is not here: values become words, and lines of control go."""
    text = re.sub(r"^ *\{\{-.*\}\}\n", "", template.read_text(encoding="utf-8"), flags=re.M)
    text = re.sub(r"\{\{ toYaml [^}]*\}\}", "{}", text)
    documents = list(yaml.safe_load_all(re.sub(r"\{\{[^}]*\}\}", "word", text)))
    assert len(documents) >= 2
    for document in documents:
        assert {"apiVersion", "kind", "metadata"} <= document.keys()
        if document["kind"] == "StatefulSet":
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"] == labels
            pod = document["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            claims = [claim["metadata"]["name"] for claim in document["spec"]["volumeClaimTemplates"]]
            volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            opened = {port["containerPort"] for port in container["ports"]}
            probed = {next(iter(container[probe].values()))["port"] for probe in ("startupProbe", "readinessProbe")}
            assert probed <= opened
