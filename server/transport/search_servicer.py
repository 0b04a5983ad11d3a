"""SearchService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import search_service_pb2, search_service_pb2_grpc
from server.application.retrieval_profiles import RetrievalProfiles
from server.application.search_passages import PassageSearch
from server.application.timing import StageClock
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity
from server.transport.search_mapping import profiles_response, search_command, search_response

LONGEST_SEARCH_S = 30.0


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    def __init__(self, identity: Identity, search: PassageSearch, profiles: RetrievalProfiles) -> None:
        self._identity = identity
        self._search = search
        self._profiles = profiles

    async def Search(  # noqa: N802 - named by the contract
        self, request: search_service_pb2.SearchRequest, context: ServicerContext[Any, Any]
    ) -> search_service_pb2.SearchResponse:
        clock = StageClock()
        command = search_command(request)
        deadline = deadline_of(context, LONGEST_SEARCH_S)
        outcome = await self._search.run(self._identity.principal(context), command, deadline, clock)
        return search_response(outcome, clock.timings(), debug=request.debug)

    async def ListRetrievalProfiles(  # noqa: N802 - named by the contract
        self, request: search_service_pb2.ListRetrievalProfilesRequest, context: ServicerContext[Any, Any]
    ) -> search_service_pb2.ListRetrievalProfilesResponse:
        return profiles_response(self._profiles.page(request.page_size, request.page_token))
