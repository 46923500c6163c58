"""Every table of the catalog, so that one import makes the whole schema known."""

from bootpress.core.accounts.models import Account, ApiToken, IdempotencyRecord
from bootpress.core.breakers.models import CircuitBreaker
from bootpress.core.builds.models import Build, KnownRun
from bootpress.core.database import Base
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.events.models import Event, OutboxEntry
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.pruning.models import PruningClock
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.retention.models import DeletionStep
from bootpress.core.sagas.models import Saga
from bootpress.core.webhooks.models import Webhook
from bootpress.core.workers.models import CiWorker

metadata = Base.metadata

__all__ = [
    "Account",
    "ApiToken",
    "Artifact",
    "Attempt",
    "Build",
    "CiWorker",
    "CircuitBreaker",
    "DeletionStep",
    "Delivery",
    "Event",
    "IdempotencyRecord",
    "KnownRun",
    "NodePlatform",
    "OutboxEntry",
    "PruningClock",
    "Publication",
    "Saga",
    "Webhook",
    "metadata",
]
