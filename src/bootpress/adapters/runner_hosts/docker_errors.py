"""What Docker hosts say no with, in our words."""

from __future__ import annotations

from typing import Final

from docker.errors import APIError, ImageNotFound

from bootpress.core.errors import BootpressError, RunnerHostRefused, RunnerHostUnavailable

MAX_TEXT: Final = 300
FORBIDDEN: Final = {401, 403}
CONFLICT: Final = 409
SERVER_ERROR: Final = 500
IMAGE_HINT: Final = "pull or build the image there, or name another with BOOTPRESS_RUNNER_IMAGE"


def error_for(error: APIError, where: str, what: str) -> BootpressError:
    """Translate an answer of the daemon that is an error."""
    said = " ".join(str(error.explanation or (error.response and error.response.reason) or "").split())[:MAX_TEXT]
    message = f"the Docker host {where} did not {what}: {said or error.status_code}"
    status = error.status_code or SERVER_ERROR
    if isinstance(error, ImageNotFound):
        return RunnerHostRefused(message, hint=IMAGE_HINT)
    if status == CONFLICT:
        return RunnerHostRefused(message, hint="remove what is in the way there, if it is not needed, then call again")
    if status in FORBIDDEN:
        return RunnerHostRefused(message, hint="let us use that daemon, or name another runner_host")
    if status < SERVER_ERROR:
        return RunnerHostRefused(message, hint="the daemon's log may say more")
    return RunnerHostUnavailable(message, hint="the daemon's log may say more")


def transport_failure(error: Exception, where: str, what: str) -> BootpressError:
    """Translate what kept us from asking at all, or from hearing the answer."""
    if isinstance(error, PermissionError):
        return RunnerHostRefused(
            f"we may not use the Docker host {where} to {what}",
            hint="add the user that bootpress runs as to the group docker, then start bootpress anew",
        )
    return RunnerHostUnavailable(
        f"the Docker host {where} did not answer when asked to {what}: {type(error).__name__}",
        hint="see that Docker runs there, or name another with runner_host",
    )


def image_pull_error(image: str, said: str, *, is_final: bool) -> BootpressError:
    """Say that a daemon has no image and could not get it; finally, where a registry denied that it has it."""
    message = f"the Docker host cannot pull {image}: {' '.join(said.split())[:MAX_TEXT]}"
    kind = RunnerHostRefused if is_final else RunnerHostUnavailable
    return kind(message, hint=IMAGE_HINT)
