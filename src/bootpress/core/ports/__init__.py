"""What core needs from the outside: one Protocol each, and the values that cross them.

Implementations live in `bootpress.adapters`; fakes live beside the tests and pass the same conformance tests.
Every method raises only classes of `bootpress.core.errors`.
"""

from bootpress.core.ports.forges import (
    Forge,
    ForgeConnection,
    ForgeFactory,
    ForgeInfo,
    ForgeKind,
    GitRepository,
    Job,
    RepositoryInfo,
    Runner,
    RunStatus,
    WorkflowRun,
)
from bootpress.core.ports.orchestration import (
    Clock,
    Connections,
    EventSink,
    JobKind,
    Launcher,
    OutgoingEvent,
    ResumeResult,
)
from bootpress.core.ports.registries import (
    DeleteResult,
    Descriptor,
    Manifest,
    Progress,
    Registry,
    RegistryConnection,
    RegistryFactory,
)
from bootpress.core.ports.runner_hosts import Container, HostInfo, RunnerHost, RunnerHostFactory, RunnerSpec
from bootpress.core.ports.signatures import Attachment, SignatureVerifier, Signer, VerifiedSignature

__all__ = [
    "Attachment",
    "Clock",
    "Connections",
    "Container",
    "DeleteResult",
    "Descriptor",
    "EventSink",
    "Forge",
    "ForgeConnection",
    "ForgeFactory",
    "ForgeInfo",
    "ForgeKind",
    "GitRepository",
    "HostInfo",
    "Job",
    "JobKind",
    "Launcher",
    "Manifest",
    "OutgoingEvent",
    "Progress",
    "Registry",
    "RegistryConnection",
    "RegistryFactory",
    "RepositoryInfo",
    "ResumeResult",
    "RunStatus",
    "Runner",
    "RunnerHost",
    "RunnerHostFactory",
    "RunnerSpec",
    "SignatureVerifier",
    "Signer",
    "VerifiedSignature",
    "WorkflowRun",
]
