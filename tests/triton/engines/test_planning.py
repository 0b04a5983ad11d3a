"""Which engines a profile has, by what its slots' models are made from."""

from __future__ import annotations

from triton_models.catalogue import Catalogue, Slot, load_catalogue
from triton_models.engines.building import planned_engines


def test_a_model_made_from_other_artifacts_has_no_engine() -> None:
    catalogue = load_catalogue()
    usual = {(engine.slot, engine.role) for engine in planned_engines("gpu", catalogue)}
    assert {("embed", "network"), ("read", "network")} <= usual
    roles = {"network": "e5-small-q4", "tokenizer": "all-minilm-l6-v2-tokenizer", "config": "e5-reader-layers"}
    other = Slot(model="other", version=1, conversion="hf-encoder", artifacts=roles)
    changed = Catalogue(artifacts=catalogue.artifacts, slots=catalogue.slots | {"embed": other})
    left = {(engine.slot, engine.role) for engine in planned_engines("gpu", changed)}
    assert left == usual - {("embed", "network")}
