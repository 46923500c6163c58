"""Everything that goes wrong on purpose.

    BootpressError                 message, hint, retryable
    ├── Rejected                   the artifact is bad; final, never retried
    │   ├── SignatureRejected      no signature that the platform's policy trusts
    │   ├── ContentRejected        bytes, sizes, digests, types or claims that do not hold
    │   └── ReferenceRejected      points outside the platform's repository, or nowhere
    ├── Unavailable                something that we depend on does not answer or refuses for now: try again later
    │   ├── RegistryUnavailable
    │   │   ├── RegistryDenied     it answers, and does not let us do this
    │   │   ├── RegistryFailing    its host breaks connections or says that it is broken
    │   │   │   └── RegistryUnreachable  no answer came at all: nothing else that is asked there will get one
    │   │   └── RegistryPaused     nobody asks it for a while: its host failed before
    │   ├── TrustRootUnavailable
    │   ├── OrchestratorUnavailable
    │   ├── ForgeUnavailable
    │   │   └── ForgeOutcomeUnknown  it was asked to do something, and whether it did is not known
    │   ├── RunnerHostUnavailable
    │   └── CatalogUnavailable
    ├── Refused                    somebody else says no, until an operator changes something there
    │   ├── ForgeRefused           a token, a scope, an owner, a switch
    │   └── RunnerHostRefused      an image, a name, a permission
    ├── InvalidInput               the caller sent something malformed
    ├── Unauthenticated            no valid credential
    ├── Forbidden                  a permission is missing
    ├── NotFound                   unknown, or another account's
    ├── Conflict                   the present state forbids it
    │   ├── IllegalTransition      from one state to another that no table names
    │   └── Superseded             another attempt took this work over
    ├── RateLimited                too many requests; says when to come back
    └── Unsupported                the other side has no such feature

Core knows no HTTP: entrypoints map each class to a status in one place.
"""

from __future__ import annotations


class BootpressError(Exception):
    """Say what happened and to what (`message`), and what to do next (`hint`)."""

    retryable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, with the hint behind it where there is one."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Rejected(BootpressError):
    """The artifact is bad: final."""


class SignatureRejected(Rejected):
    """No signature on the digest satisfies the platform's trust policy."""


class ContentRejected(Rejected):
    """The content does not hold what its digest, size, type or announcement says."""


class ReferenceRejected(Rejected):
    """The reference is outside the platform's repository, or names nothing."""


class Unavailable(BootpressError):
    """Something that we depend on does not answer or refuses for now: try again later."""

    retryable = True

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, already clamped."""


class RegistryUnavailable(Unavailable):
    """The registry does not answer, or not as a registry should."""


class RegistryDenied(RegistryUnavailable):
    """The registry, or its token service, answers and does not let us do this."""


class RegistryFailing(RegistryUnavailable):
    """The registry's host times out, refuses or breaks connections, or answers 5xx: what counts for its breaker."""


class RegistryUnreachable(RegistryFailing):
    """No answer came from the registry: the connection failed, or it timed out."""


class RegistryPaused(RegistryUnavailable):
    """The circuit breaker of the registry's host is open: nobody asks it until `retry_after`."""


class TrustRootUnavailable(Unavailable):
    """A trusted root cannot be loaded."""


class OrchestratorUnavailable(Unavailable):
    """Prefect does not answer."""


class ForgeUnavailable(Unavailable):
    """The forge does not answer."""


class ForgeOutcomeUnknown(ForgeUnavailable):
    """The forge was asked to do something that is not to be done twice, and its answer was lost: it may have."""


class RunnerHostUnavailable(Unavailable):
    """The Docker host does not answer."""


class CatalogUnavailable(Unavailable):
    """The database does not answer."""


class Refused(BootpressError):
    """Somebody else answers, says no, and will say so again until an operator changes something there."""


class ForgeRefused(Refused):
    """The forge refuses: the message says what, the hint which token, scope, owner or switch to change."""


class RunnerHostRefused(Refused):
    """The Docker host refuses: an image it has not, a name that is taken, a permission."""


class InvalidInput(BootpressError):
    """A value the caller sent is malformed or unknown; `field` names it where one is to blame."""

    def __init__(self, message: str, *, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class Unauthenticated(BootpressError):
    """No valid credential."""


class Forbidden(BootpressError):
    """The caller's token lacks a permission."""


class NotFound(BootpressError):
    """Unknown, or not this account's: the two are never told apart."""


class Conflict(BootpressError):
    """The present state forbids it."""


class IllegalTransition(Conflict):
    """A state machine has no such transition."""


class Superseded(Conflict):
    """Another attempt holds this delivery now; what this one found is not written."""


class RateLimited(BootpressError):
    """Too many requests; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unsupported(BootpressError):
    """The other side has no such feature."""
