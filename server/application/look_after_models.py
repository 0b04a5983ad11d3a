"""Tells of the models; loads, unloads and warms them, and says which of them serve."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

from server.application.follow_aliases import FollowAliases
from server.application.index_ports import IndexGenerations
from server.application.load_models import LoadModels
from server.application.model_control_ports import AliasStore, ModelCatalogue, ModelControl
from server.application.query import bounded
from server.domain.deadline import Deadline
from server.domain.errors import EmbeddingMismatch, InvalidField, InvalidPageToken
from server.domain.generations import GenerationState
from server.domain.models import (
    EMBEDDING_SLOT,
    SLOTS,
    Alias,
    CatalogueModel,
    Model,
    WarmUp,
    alias_of,
    slot_of,
)

_DEFAULT_PAGE, _LARGEST_PAGE = 50, 100
_LONGEST_CHAIN = 4
_DIGEST_BYTES = 6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelPage:
    models: tuple[Model, ...]
    next_page_token: str
    budget_bytes: int


class LookAfterModels:
    """An alias is moved whole, also when the caller has gone meanwhile."""

    def __init__(
        self,
        loads: LoadModels,
        aliases: FollowAliases,
        store: AliasStore,
        catalogue: ModelCatalogue,
        control: ModelControl,
        index: IndexGenerations,
    ) -> None:
        self._loads = loads
        self._aliases = aliases
        self._store = store
        self._catalogue = catalogue
        self._control = control
        self._index = index
        self._moving = asyncio.Lock()
        self._under_way: set[asyncio.Task[object]] = set()

    async def page(self, slot: str, size: int, token: str) -> ModelPage:
        """The models of a slot (empty: of all), by name. Raises InvalidField, InvalidPageToken,
        DependencyUnavailable."""
        if slot and slot not in SLOTS:
            raise InvalidField("slot", f"must be one of {', '.join(SLOTS)}, or empty")
        most = bounded("page_size", size, 1, _LARGEST_PAGE, _DEFAULT_PAGE)
        after = _resume_after(token, slot) if token else ""
        known = (await self._catalogue.read()).models
        names = [name for name in sorted(known) if name > after and (not slot or known[name].slot == slot)]
        shown = tuple(await self._loads.models(names[:most]))
        more = _page_token(names[most - 1], slot) if len(names) > most else ""
        return ModelPage(shown, more, self._loads.budget_bytes)

    async def describe(self, name: str) -> Model:
        """Raises ModelNotFound, DependencyUnavailable."""
        [model] = await self._loads.models([name])
        return model

    async def load(self, name: str, deadline: Deadline) -> Model:
        """See LoadModels.load."""
        await self._loads.load(name, deadline)
        return await self.describe(name)

    async def unload(self, name: str, deadline: Deadline, *, force: bool) -> Model:
        """See LoadModels.unload."""
        await self._loads.unload(name, deadline, force=force)
        return await self.describe(name)

    async def warm(self, name: str, deadline: Deadline) -> WarmUp:
        """Raises ModelNotFound, DependencyUnavailable, StageDeadline."""
        return await self._control.warm(await self._loads.known(name), deadline)

    async def aliases(self) -> tuple[Alias, ...]:
        """One for each slot. Raises DependencyUnavailable."""
        await self._aliases.look()
        return self._aliases.aliases()

    async def set_alias(self, alias: str, models: Sequence[str], deadline: Deadline) -> tuple[Alias, tuple[str, ...]]:
        """Has the first of `models` serve the alias's slot, and the others while it cannot; without `models`, what the
        catalogue says. The first one is loaded and warm before. Also returns what the alias named.

        The embedding model has to be the one that the index was made with. It can be another one when a complete
        generation of the index holds that one's embeddings, which then serves, too.

        Raises InvalidField, ModelNotFound, EmbeddingMismatch, ModelLoadFailed, ModelMemoryExhausted, StageDeadline,
        DependencyUnavailable; the alias is unchanged then.
        """
        slot = slot_of(alias)
        if slot is None:
            raise InvalidField("alias", f"must be one of {', '.join(map(alias_of, SLOTS))}")
        if self._aliases.fixed(slot):
            raise InvalidField("alias", "the settings have an endpoint serve this slot")
        chain = await self._chain(slot, models)
        if chain:
            await self._generation_of(slot, chain)
            await self._loads.load(chain[0].name, deadline)
            [first] = await self._loads.models([chain[0].name])
            # One that has been called since it was loaded is warm.
            if first.last_use_time is None:
                await self._control.warm(chain[0], deadline)
        return await self._whole(self._move(slot, tuple(models), chain))

    # -----------------------------------------------------------------------------------------------------------------

    async def _chain(self, slot: str, models: Sequence[str]) -> list[CatalogueModel]:
        catalogue = await self._catalogue.read()
        if not models:
            default = catalogue.defaults.get(slot)
            return [catalogue.models[default]] if default else []
        if len(models) > _LONGEST_CHAIN:
            raise InvalidField("models", f"must hold at most {_LONGEST_CHAIN} models, and holds {len(models):,}")
        if len(set(models)) < len(models):
            raise InvalidField("models", "must not hold a model twice")
        return [_of_slot(slot, position, catalogue.model(name)) for position, name in enumerate(models)]

    async def _generation_of(self, slot: str, chain: Sequence[CatalogueModel]) -> str | None:
        """The generation of the index that has to take the serving one's place with the alias."""
        if slot != EMBEDDING_SLOT:
            return None
        wanted = chain[0].fingerprint
        for position, model in enumerate(chain):
            if model.fingerprint != wanted:
                raise InvalidField(
                    f"models[{position}]", f"embeds otherwise than {chain[0].name}, and can not take its place"
                )
        generations = await self._index.all()
        held = next(each.fingerprint for each in generations if each.state is GenerationState.SERVING)
        if held == wanted:
            return None
        for each in generations:
            if each.state is GenerationState.READY and each.fingerprint == wanted:
                return each.name
        raise EmbeddingMismatch(wanted, held)

    async def _move(
        self, slot: str, models: tuple[str, ...], chain: Sequence[CatalogueModel]
    ) -> tuple[Alias, tuple[str, ...]]:
        async with self._moving:
            previous = self._aliases.chain(slot)
            # Once more: the index may have changed while the model was loaded.
            generation = await self._generation_of(slot, chain) if chain else None
            if generation is not None:
                await self._index.activate(generation)
            await self._store.set(slot, models)
            self._loads.replaced([name for name in previous if name not in {model.name for model in chain}])
            await self._aliases.look()
            return self._aliases.alias(slot), previous

    async def _whole(self, work: Coroutine[None, None, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


def _of_slot(slot: str, position: int, model: CatalogueModel) -> CatalogueModel:
    if model.slot != slot:
        raise InvalidField(f"models[{position}]", f"{model.name} is for the slot {model.slot}, not for {slot}")
    return model


def _page_token(last: str, slot: str) -> str:
    return base64.urlsafe_b64encode(_digest(slot) + last.encode()).decode()


def _resume_after(token: str, slot: str) -> str:
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        digest, last = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidPageToken from error
    if digest != _digest(slot) or not last:
        raise InvalidPageToken
    return last


def _digest(slot: str) -> bytes:
    return hashlib.sha256(f"models of {slot}".encode()).digest()[:_DIGEST_BYTES]
