"""Conversations belong to their owners, have one turn at a time, and go with their answers."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.conversation_history import PostgresConversationHistory
from server.adapters.postgres.conversation_turns import PostgresConversationTurns
from server.adapters.postgres.conversations import PostgresConversations
from server.adapters.postgres.pool import PostgresPool
from server.application.answer_ports import OwnAnswer
from server.application.keeping import kept_answer
from server.domain.answers import AnswerEvent, AnswerStatus, Completion, Delta, Sources
from server.domain.conversations import History, PastTurn
from server.domain.errors import AnswerNotFound, ConversationBusy, ConversationNotFound, InvalidPageToken
from server.domain.principals import Principal
from server.domain.stored_answers import AnswerState, KeptAnswer
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive


class Talk:
    def __init__(self, pool: PostgresPool) -> None:
        self.conversations = PostgresConversations(pool)
        self.turns = PostgresConversationTurns(pool)
        self.answers = PostgresAnswerStore(pool)

    async def begin(self, conversation_id: str, principal: Principal = ANA, lease_s: float = 30.0) -> str:
        """Takes the turn for an answer; returns the answer's id."""
        answer_id = str(uuid.uuid4())
        await self.turns.begin(principal, conversation_id, answer_id, lease_s, 4)
        return answer_id

    async def keep(self, conversation_id: str, answer_id: str, question: str, searched: str = "") -> KeptAnswer:
        now = datetime.now(UTC)
        end = Completion(AnswerStatus.ANSWERED, None, (), (), (), "g", 1)
        events: list[AnswerEvent] = [Sources((), searched), Delta(f"To {question}"), end]
        answer = kept_answer(answer_id, question, AnswerState.COMPLETED, None, events, now, now, conversation_id)
        await self.answers.keep([OwnAnswer(ANA, answer)])
        return answer

    async def ask(self, conversation_id: str, question: str, searched: str = "") -> str:
        answer_id = await self.begin(conversation_id)
        await self.keep(conversation_id, answer_id, question, searched)
        return answer_id


@pytest.fixture
def talk(pool: PostgresPool) -> Talk:
    return Talk(pool)


async def test_turns_are_counted_and_come_back_in_order(talk: Talk) -> None:
    made = await talk.conversations.create(ANA, "")
    asked = [await talk.ask(made.conversation_id, f"question {number}", f"s{number}") for number in range(5)]
    past = await talk.turns.begin(ANA, made.conversation_id, str(uuid.uuid4()), 30, 2)
    assert past == (PastTurn("question 3", "s3"), PastTurn("question 4", "s4"))
    pages: list[list[tuple[str, int, str]]] = []
    token = ""
    while token or not pages:
        page = await talk.conversations.turns(ANA, made.conversation_id, 2, token)
        pages.append([(answer.answer_id, answer.turn, answer.searched) for answer in page.answers])
        token = page.next_page_token
    assert pages[0] == [(asked[0], 1, "s0"), (asked[1], 2, "s1")]
    assert [len(page) for page in pages] == [2, 2, 1]
    found = await talk.conversations.get(ANA, made.conversation_id)
    assert (found.title, found.turns) == ("question 0", 5)
    assert found.update_time > made.update_time
    kept = await talk.answers.get(ANA, asked[2])
    assert (kept.conversation_id, kept.turn) == (made.conversation_id, 3)


async def test_a_repeat_of_keeping_counts_once(talk: Talk) -> None:
    made = await talk.conversations.create(ANA, "")
    answer = await talk.keep(made.conversation_id, await talk.begin(made.conversation_id), "q")
    await talk.answers.keep([OwnAnswer(ANA, answer)])
    assert (await talk.conversations.get(ANA, made.conversation_id)).turns == 1


async def test_one_of_many_gets_the_turn_until_it_ends(talk: Talk) -> None:
    conversation_id = (await talk.conversations.create(ANA, "")).conversation_id
    taken = await asyncio.gather(*(talk.begin(conversation_id) for _ in range(10)), return_exceptions=True)
    [answer_id] = [each for each in taken if isinstance(each, str)]
    refused = [each for each in taken if isinstance(each, ConversationBusy)]
    assert {each.answer_id for each in refused} == {answer_id} and len(refused) == 9
    await talk.turns.abandon(conversation_id, str(uuid.uuid4()))
    with pytest.raises(ConversationBusy):
        await talk.begin(conversation_id)
    await talk.turns.abandon(conversation_id, answer_id)
    second = await talk.begin(conversation_id)
    await talk.keep(conversation_id, second, "q")
    await talk.begin(conversation_id)


async def test_a_turn_whose_process_died_ends_and_one_that_is_renewed_does_not(talk: Talk) -> None:
    conversation_id = (await talk.conversations.create(ANA, "")).conversation_id
    died = await talk.begin(conversation_id, lease_s=0.0)
    lives = await talk.begin(conversation_id, lease_s=0.0)
    await talk.turns.renew(conversation_id, died, 30)
    await talk.turns.renew(conversation_id, lives, 30)
    with pytest.raises(ConversationBusy) as caught:
        await talk.begin(conversation_id)
    assert caught.value.answer_id == lives
    # It was only slow: its answer comes before the other one's, and does not take its turn.
    await talk.keep(conversation_id, died, "slow")
    with pytest.raises(ConversationBusy):
        await talk.begin(conversation_id)
    await talk.keep(conversation_id, lives, "q")
    page = await talk.conversations.turns(ANA, conversation_id, 10, "")
    assert [(answer.turn, answer.question) for answer in page.answers] == [(1, "slow"), (2, "q")]


@pytest.mark.parametrize("other", [BEN, EVE])
async def test_nobody_else_sees_changes_or_asks_in_a_conversation(talk: Talk, other: Principal) -> None:
    own = (await talk.conversations.create(ANA, "mine")).conversation_id
    await talk.ask(own, "q")
    for call in (
        talk.conversations.get(other, own),
        talk.conversations.rename(other, own, "theirs"),
        talk.conversations.delete(other, own),
        talk.conversations.turns(other, own, 10, ""),
        talk.begin(own, other),
        talk.conversations.get(ANA, "no-id"),
        talk.conversations.get(ANA, str(uuid.uuid4())),
    ):
        with pytest.raises(ConversationNotFound):
            await call
    assert (await talk.conversations.page(other, 10, "")).conversations == ()
    assert (await talk.conversations.get(ANA, own)).title == "mine"


async def test_conversations_are_listed_newest_first_and_named(talk: Talk) -> None:
    made = [(await talk.conversations.create(ANA, f"c{number}")).conversation_id for number in range(3)]
    first = await talk.conversations.page(ANA, 2, "")
    assert [each.conversation_id for each in first.conversations] == [made[2], made[1]]
    rest = await talk.conversations.page(ANA, 2, first.next_page_token)
    assert ([each.conversation_id for each in rest.conversations], rest.next_page_token) == ([made[0]], "")
    with pytest.raises(InvalidPageToken):
        await talk.conversations.page(BEN, 2, first.next_page_token)
    with pytest.raises(InvalidPageToken):
        await talk.conversations.turns(ANA, made[0], 2, first.next_page_token)
    assert (await talk.conversations.rename(ANA, made[0], "name")).title == "name"
    await talk.ask(made[0], "the title stays")
    assert (await talk.conversations.get(ANA, made[0])).title == "name"


async def test_deletion_takes_the_answers_and_what_is_being_made_is_not_kept(talk: Talk, archive: Archive) -> None:
    conversation_id = (await talk.conversations.create(ANA, "")).conversation_id
    asked = await talk.ask(conversation_id, "q")
    live = await talk.begin(conversation_id)
    await talk.conversations.delete(ANA, conversation_id)
    await talk.keep(conversation_id, live, "too late")
    await talk.turns.renew(conversation_id, live, 30)
    await talk.turns.abandon(conversation_id, live)
    for answer_id in (asked, live):
        with pytest.raises(AnswerNotFound):
            await talk.answers.get(ANA, answer_id)
    assert await archive.scalar("SELECT count(*) FROM answers") == 0
    with pytest.raises(ConversationNotFound):
        await talk.conversations.delete(ANA, conversation_id)


@pytest.mark.parametrize("by", ["owner", "age"])
async def test_answers_are_locked_in_the_order_of_their_ids(
    talk: Talk, pool: PostgresPool, archive: Archive, by: str
) -> None:
    """As the deletion of a document locks them, so that neither waits for the other."""
    conversation_id = (await talk.conversations.create(ANA, "")).conversation_id
    first, second = sorted(str(uuid.uuid4()) for _ in range(2))
    for answer_id in (second, first):
        await talk.keep(conversation_id, answer_id, "q")
    locked = "SELECT 1 FROM answers WHERE answer_id = %s FOR UPDATE NOWAIT"
    waiting = """
        SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    async with pool.spanning() as other:
        await other.execute(locked, (first,))
        deletion = asyncio.create_task(
            talk.conversations.delete(ANA, conversation_id) if by == "owner" else talk.answers.forget(-1.0, 10)
        )
        async with asyncio.timeout(10):
            while not await archive.scalar(waiting):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)
        await other.execute(locked, (second,))
    await deletion
    assert await archive.scalar("SELECT count(*) FROM answers") == 0


async def test_a_conversation_that_was_taken_up_again_is_not_forgotten(talk: Talk, pool: PostgresPool) -> None:
    conversation_id = (await talk.conversations.create(ANA, "")).conversation_id
    async with pool.spanning() as connection:
        await connection.execute("UPDATE conversations SET update_time = now() - interval '2 days'")
    answer_id = await talk.begin(conversation_id)
    assert await talk.answers.forget(86_400.0, 10) == 0
    await talk.turns.abandon(conversation_id, answer_id)
    await talk.begin(conversation_id, lease_s=0.0)
    assert await talk.answers.forget(86_400.0, 10) == 1


async def test_a_conversation_is_forgotten_as_a_whole(talk: Talk, pool: PostgresPool, archive: Archive) -> None:
    old = (await talk.conversations.create(ANA, "")).conversation_id
    new = (await talk.conversations.create(ANA, "")).conversation_id
    for conversation_id in (old, old, new):
        await talk.ask(conversation_id, "q")
    async with pool.spanning() as connection:
        await connection.execute("UPDATE answers SET end_time = now() - interval '2 days'")
        await connection.execute(
            "UPDATE conversations SET update_time = now() - interval '2 days' WHERE conversation_id = %s", (old,)
        )
    assert await talk.answers.forget(86_400.0, 10) == 1
    assert await archive.scalar("SELECT count(*) FROM answers") == 1
    assert (await talk.conversations.get(ANA, new)).turns == 1


async def test_what_was_asked_before_the_last_turns_is_summarized_up_to_where_it_was_read(
    talk: Talk, pool: PostgresPool
) -> None:
    histories = PostgresConversationHistory(pool)
    made = await talk.conversations.create(ANA, "")
    for number in range(5):
        await talk.ask(made.conversation_id, f"question {number}", "searched 1" if number == 1 else "")
    history = await histories.read(ANA, made.conversation_id, 2)
    assert history == History("", 0, ("question 0", "searched 1", "question 2"))
    await histories.keep(ANA, made.conversation_id, "of three", 3)
    await histories.keep(ANA, made.conversation_id, "of two, late", 2)
    assert await histories.read(ANA, made.conversation_id, 2) == History("of three", 3)
    assert await histories.read(ANA, made.conversation_id, 1) == History("of three", 3, ("question 3",))
    assert (await talk.conversations.get(ANA, made.conversation_id)).summary == "of three"
    for stranger in (BEN, EVE):
        with pytest.raises(ConversationNotFound):
            await histories.read(stranger, made.conversation_id, 2)
        await histories.keep(stranger, made.conversation_id, "foreign", 4)
    assert (await histories.read(ANA, made.conversation_id, 2)).summary == "of three"
