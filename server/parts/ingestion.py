"""What a worker does."""

from __future__ import annotations

import os
import socket

from server.adapters.postgres.chunk_writer import PostgresChunkWriter
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.stage_results import PostgresStageResults
from server.application.ingest_document import IngestDocument
from server.application.ingestion_stages import IngestionStages
from server.application.privacy.screening import ScreenDocuments
from server.application.work_off_queue import WorkOffQueue
from server.parts.models import Models
from server.parts.privacy import followed_policies
from server.parts.stores import Stores
from server.settings import Settings


def ingestion(settings: Settings, stores: Stores, models: Models) -> WorkOffQueue:
    ledger = PostgresJobLedger(stores.pool)
    stages = IngestionStages(
        blobs=stores.blobs,
        reader=stores.reader,
        recognizer=models.recognizer,
        embedder=models.embedder,
        ledger=ledger,
        results=PostgresStageResults(stores.pool),
        writer=PostgresChunkWriter(stores.pool),
        screening=ScreenDocuments(followed_policies(stores.pool, settings.policies)),
        options=settings.ingestion.stages,
    )
    worker = f"{socket.gethostname()}:{os.getpid()}"
    ingest = IngestDocument(ledger, stages, stores.log_bell, worker, settings.ingestion)
    return WorkOffQueue(stores.queue, ingest, settings.worker)
