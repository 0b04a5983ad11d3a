"""What a question says beside its words. Pure functions; the rules are data (`intent_rules`)."""

from __future__ import annotations

from datetime import date

from server.application.language import detect_language
from server.application.understanding.filters import name_mentions, proposed_filters
from server.application.understanding.intents import intent_of
from server.domain.understanding import Understanding


def understand(query: str, today: date) -> Understanding:
    """query: normalized (`query.normalized_query`). Which of the `names` are names of documents is for who knows them.

    Cost: some 0.2 ms for a question, up to some 5 ms for 500 characters: run it off the event loop.
    """
    language = detect_language(query)
    proposed = proposed_filters(query, today)
    names = name_mentions(query, [each.span for each in proposed])
    return Understanding(query, language, intent_of(query, language), proposed, names)
