"""What core needs from the outside: one Protocol each, and the values that cross them.

Implementations live in `bootpress.adapters`; fakes live beside the tests and pass the same conformance tests.
Every method raises only classes of `bootpress.core.errors`.
"""

from bootpress.core.ports.forges import (
    Forge,
    ForgeConnection,
    ForgeInfo,
    ForgeKind,
    Forges,
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
    Launcher,
    OutgoingEvent,
    Resumption,
    Work,
)
from bootpress.core.ports.registries import (
    Deletion,
    Descriptor,
    Manifest,
    Progress,
    Registries,
    Registry,
    RegistryConnection,
)
from bootpress.core.ports.runner_hosts import Container, HostInfo, RunnerHost, RunnerHosts, RunnerSpec
from bootpress.core.ports.signatures import Attachment, SignatureVerifier, Signer, VerifiedSignature

__all__ = [
    "Attachment",
    "Clock",
    "Connections",
    "Container",
    "Deletion",
    "Descriptor",
    "EventSink",
    "Forge",
    "ForgeConnection",
    "ForgeInfo",
    "ForgeKind",
    "Forges",
    "GitRepository",
    "HostInfo",
    "Job",
    "Launcher",
    "Manifest",
    "OutgoingEvent",
    "Progress",
    "Registries",
    "Registry",
    "RegistryConnection",
    "RepositoryInfo",
    "Resumption",
    "RunStatus",
    "Runner",
    "RunnerHost",
    "RunnerHosts",
    "RunnerSpec",
    "SignatureVerifier",
    "Signer",
    "VerifiedSignature",
    "Work",
    "WorkflowRun",
]
