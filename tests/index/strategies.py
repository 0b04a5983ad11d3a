"""Hypothesis strategies for what a search may ask."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from index import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    SharedWith,
    Tagged,
)


def conditions(
    *,
    documents: Sequence[str],
    tags: Sequence[str],
    languages: Sequence[str],
    owners: Sequence[str],
    groups: Sequence[str],
    times: Sequence[int],
    pages: Sequence[int],
) -> st.SearchStrategy[Condition]:
    """Trees of every kind of condition over these values."""

    def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
        return st.lists(st.sampled_from(values), max_size=3).map(tuple)

    def bound(values: Sequence[int]) -> st.SearchStrategy[int | None]:
        return st.none() | st.sampled_from(values)

    leaves: st.SearchStrategy[Condition] = st.one_of(
        some(documents).map(OfDocuments),
        some(tags).map(Tagged),
        some(languages).map(InLanguages),
        some(owners).map(OwnedBy),
        some(groups).map(SharedWith),
        st.builds(Created, bound(times), bound(times)),
        st.builds(OnPages, bound(pages), bound(pages)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(tuple).map(AllOf),
            st.lists(inner, max_size=3).map(tuple).map(AnyOf),
            inner.map(Not),
        ),
        max_leaves=6,
    )
