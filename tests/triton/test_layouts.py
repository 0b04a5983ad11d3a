"""How a layout is searched, kept and rendered; and `pinakes tune models` with a small encoder in a real Triton."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from server.__main__ import app
from server.embedded.errors import PartFailed
from server.embedded.model_repository import ModelRepository
from tests.triton.small_catalogue import sha256
from tests.triton.tiny_encoder import write_tiny_encoder
from triton_models.catalogue import load_catalogue
from triton_models.errors import InvalidCatalogue
from triton_models.layouts import LAYOUTS_FILE, TUNED_SLOTS, Layout, Timing, layouts_text, read_layouts, search
from triton_models.preparation import prepare
from triton_models.rendering import profile_layout, render

START = Layout(instances=1, threads=4, batch_tokens=2_048, queue_delay_us=0)
LAYOUTS = st.builds(
    Layout,
    instances=st.integers(1, 64),
    threads=st.integers(1, 64),
    batch_tokens=st.integers(64, 65_536),
    queue_delay_us=st.integers(0, 10_000),
)


async def test_the_search_changes_one_thing_after_another_in_the_best_so_far() -> None:
    asked: list[Layout] = []

    async def measure(layout: Layout) -> Timing:
        asked.append(layout)
        slow = abs(layout.instances - 2) + abs(layout.batch_tokens - 1_024) / 1_024 + layout.queue_delay_us / 1_000
        return Timing(bulk_s=1.0 + slow, single_s=0.01)

    measured, best = await search(START, 4, measure, lambda: True)
    assert best == Layout(instances=2, threads=2, batch_tokens=1_024, queue_delay_us=0)
    assert list(measured) == asked and len(set(asked)) == len(asked), "nothing is measured twice"
    assert asked[0] == START
    assert [layout.instances for layout in asked[1:3]] == [2, 4]


async def test_a_gain_that_may_be_noise_changes_nothing() -> None:
    async def measure(layout: Layout) -> Timing:
        return Timing(1.0 if layout == START else 0.98, 0.01)

    assert (await search(START, 4, measure, lambda: True))[1] == START


async def test_when_the_time_is_over_the_best_so_far_is_it() -> None:
    measured, best = await search(START, 8, _constant, lambda: False)
    assert (list(measured), best) == ([START], START)


async def _constant(layout: Layout) -> Timing:
    return Timing(1.0, 1.0)


@given(st.dictionaries(st.sampled_from(TUNED_SLOTS), LAYOUTS), st.integers(1, 64))
def test_what_is_written_is_read_on_as_many_cores_only(layouts: dict[str, Layout], cores: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / LAYOUTS_FILE
        file.write_text(layouts_text(layouts, cores))
        assert read_layouts(file, cores) == layouts
        assert read_layouts(file, cores + 1) == {}


@pytest.mark.parametrize(
    "text", ["cores =", "cores = 2\n[slots.embed]\ninstances = 0", "cores = 2\nspeed = 1\n[slots]"]
)
def test_a_file_that_somebody_broke_is_told_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / LAYOUTS_FILE).write_text(text)
    with pytest.raises(InvalidCatalogue, match="pinakes tune models"):
        read_layouts(tmp_path / LAYOUTS_FILE, 2)
    assert read_layouts(tmp_path / "none.toml", 2) == {}


@pytest.mark.stack
@pytest.mark.models
def test_the_command_measures_a_model_and_the_next_start_has_what_it_wrote(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    catalogue = tiny_catalogue(data)
    prepare(cache, only=["embed"], catalogue=load_catalogue(additions=catalogue))
    config = tmp_path / "pinakes.toml"
    config.write_text(f'data_dir = "{data}"\ncache_dir = "{cache}"\n')
    cores = len(os.sched_getaffinity(0))
    result = CliRunner().invoke(app, ["tune", "models", "--slot", "embed", "--config", str(config), "--limit-s", "0"])
    assert result.exit_code == 0, result.output
    start = profile_layout("cpu", "embed", cores)
    assert read_layouts(data / LAYOUTS_FILE, cores) == {"embed": start}
    heading, row, chosen, written = result.output.splitlines()
    assert len(heading.split()) == 11
    slot, instances, threads, *_, bulk_ms, single_ms = row.split()
    assert (slot, int(instances), int(threads)) == ("embed", start.instances, start.threads)
    assert float(bulk_ms) > 0 and float(single_ms) > 0
    assert chosen.startswith("embed (tiny@1): instances")
    assert written == f"written to {data / LAYOUTS_FILE}"


def test_a_measured_layout_takes_the_place_of_the_profile_s(tmp_path: Path) -> None:
    catalogue = load_catalogue(additions=tiny_catalogue(tmp_path / "data"))
    models = prepare(tmp_path / "cache", only=["embed"], catalogue=catalogue)
    layout = Layout(instances=3, threads=5, batch_tokens=777, queue_delay_us=250)
    out = render("cpu", models, tmp_path / "repository", cores=2, layouts={"embed": layout})
    config = text_format.Parse((out / "tiny@1" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    values = {key: parameter.string_value for key, parameter in config.parameters.items()}
    assert config.instance_group[0].count == 3
    assert (values["threads"], values["batch_tokens"], values["runtime"]) == ("5", "777", "cpu")
    assert config.dynamic_batching.max_queue_delay_microseconds == 250


def test_a_broken_file_keeps_triton_from_starting_and_says_so(tmp_path: Path, model_cache: Path) -> None:
    (tmp_path / LAYOUTS_FILE).write_text("cores =")
    prepare(model_cache)
    repository = ModelRepository("cpu", model_cache, tmp_path / "repository", tuned=tmp_path)
    with pytest.raises(PartFailed, match="pinakes tune models"):
        repository.write()


def tiny_catalogue(data: Path) -> Path:
    """A catalogue file whose default for `embed` is a small encoder; the models are beside it."""
    write_tiny_encoder(data / "tiny")
    files = {"network": "model.onnx", "tokenizer": "tokenizer.json", "normalization": "normalization.json"}
    roles = ", ".join(f'{role} = "tiny-{role}"' for role in files)
    text = f'[slots.embed]\nmodel = "tiny"\nversion = 1\nartifacts = {{ {roles} }}\n'
    for role, file in files.items():
        content = (data / "tiny" / file).read_bytes()
        text += (
            f'[artifacts.tiny-{role}]\nfile = "{file}"\nsha256 = "{sha256(content)}"\nsize_bytes = {len(content)}\n'
            f'licence = "none"\norigin = "a test"\nsources = [ {{ file = "tiny/{file}" }} ]\n'
        )
    path = data / "models.toml"
    path.write_text(text)
    return path
