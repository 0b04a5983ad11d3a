"""What callers do with documents."""

from __future__ import annotations

from server.adapters.postgres.document_access import PostgresDocumentSharing
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.document_originals import PostgresDocumentOriginals
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.sensitive_pages import PostgresSensitivePages
from server.application.delete_document import DeleteDocument
from server.application.job_ports import Bell
from server.application.list_documents import ListDocuments
from server.application.look_after_jobs import LookAfterJobs
from server.application.privacy.follow_policies import FollowPolicies
from server.application.share_document import ShareDocument
from server.application.show_pages import ShowPages
from server.application.upload_document import UploadDocument
from server.application.watch_job import WatchJob
from server.parts.index import Searching
from server.parts.stores import Stores
from server.settings import Settings
from server.transport.document_servicer import DocumentServicer
from server.transport.identity import Identity


def document_servicer(
    identity: Identity, settings: Settings, stores: Stores, searching: Searching, policies: FollowPolicies, bell: Bell
) -> DocumentServicer:
    """`bell` is rung for jobs that are due."""
    catalog = PostgresDocumentCatalog(stores.pool, settings.quotas.default)
    pages = ShowPages(
        PostgresDocumentOriginals(stores.pool),
        stores.blobs,
        stores.blobs,
        stores.reader,
        PostgresSensitivePages(stores.pool),
        policies,
        settings.pages,
    )
    return DocumentServicer(
        identity,
        UploadDocument(stores.blobs, stores.reader, catalog, bell, settings.upload),
        ListDocuments(catalog),
        DeleteDocument(catalog, stores.blobs, stores.log_bell),
        WatchJob(catalog, settings.watch),
        LookAfterJobs(PostgresJobControl(stores.pool), bell),
        pages,
        ShareDocument(PostgresDocumentSharing(stores.pool), searching.index, stores.log_bell, settings.share),
    )
