"""What the jobs of a workflow file do; what cannot be done here is refused by name, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bootpress.adapters.forges.embedded.workflow import expressions
from bootpress.adapters.forges.embedded.workflow.workflow_yaml import mapping, text, texts
from bootpress.core.errors import Unsupported

WORKFLOW_KEYS: Final = ("name", "run-name", "on", "permissions", "env", "defaults", "jobs")
JOB_KEYS: Final = (
    "name", "runs-on", "container", "needs", "permissions", "if", "env", "defaults", "timeout-minutes", "steps"
)  # fmt: skip
STEP_KEYS: Final = (
    "id", "name", "run", "shell", "env", "working-directory", "if", "timeout-minutes", "continue-on-error"
)  # fmt: skip
CONDITIONS: Final = {
    "": "success",
    "success()": "success",
    "failure()": "failure",
    "always()": "always",
    "!cancelled()": "always",
    "true": "success",
}
"""What `if` may say. A run that is cancelled ends at once, so nothing is left to run then."""
SHELLS: Final = {
    "bash": ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail"),
    "sh": ("sh", "-e"),
}
MAX_JOBS: Final = 50
MAX_STEPS: Final = 200
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OURS = ("GITHUB_", "RUNNER_", "GITEA_")
_MINUTES = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """One script."""

    name: str
    script: str
    shell: Sequence[str]
    env: Mapping[str, str]
    folder: str
    condition: str
    seconds: float | None
    may_fail: bool


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job does."""

    key: str
    name: str
    labels: Sequence[str]
    image: str | None
    """Of the container that it runs in; None: it runs on the machine."""
    needs: Sequence[str]
    condition: str
    env: Mapping[str, str]
    seconds: float | None
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a workflow does: its jobs, each after those that it needs."""

    name: str
    env: Mapping[str, str]
    jobs: Sequence[JobPlan]


def plan(workflow: Mapping[str, Any]) -> Plan:
    """Read what a workflow does; Unsupported, naming the first thing that cannot be done here."""
    mapping(workflow, "the workflow", known=WORKFLOW_KEYS)
    written = mapping(workflow.get("jobs"), "jobs")
    if not 0 < len(written) <= MAX_JOBS:
        raise Unsupported(f"the workflow has {len(written)} jobs", hint=f"from 1 to {MAX_JOBS}")
    shell, folder = _defaults(workflow.get("defaults"), "defaults", ("bash", "."))
    jobs = [_job(key, about, (shell, folder)) for key, about in written.items()]
    return Plan(_checked(workflow.get("name", ""), "name"), _env(workflow.get("env"), "env"), _in_order(jobs))


def labels(workflow: Mapping[str, Any]) -> Sequence[str]:
    """Return what the jobs of a workflow ask of their runners, as far as that can be read."""
    jobs = workflow.get("jobs")
    asked = (
        [job.get("runs-on") for job in jobs.values() if isinstance(job, Mapping)] if isinstance(jobs, Mapping) else []
    )
    flat = [label for each in asked for label in (each if isinstance(each, list) else [each])]
    return [label for label in flat if isinstance(label, str) and label and "${{" not in label]


def _job(key: str, about: Any, defaults: tuple[str, str]) -> JobPlan:
    where = f"job {key[:100]}"
    if not _KEY.fullmatch(key):
        raise Unsupported(f"{where}: this is no id of a job", hint="letters, digits, - and _, at most 100")
    written = mapping(about, where, known=JOB_KEYS)
    asked = texts(written.get("runs-on", ""), f"{where}: runs-on")
    if not all(asked):
        raise Unsupported(f"{where}: runs-on is missing")
    steps = written.get("steps")
    if not isinstance(steps, list) or not 0 < len(steps) <= MAX_STEPS:
        raise Unsupported(f"{where}: its steps are no list of 1 to {MAX_STEPS}")
    defaults = _defaults(written.get("defaults"), f"{where}: defaults", defaults)
    return JobPlan(
        key=key,
        name=_checked(written.get("name") or key, f"{where}: name"),
        labels=[_checked(label, f"{where}: runs-on") for label in asked],
        image=_image(written["container"], f"{where}: container") if "container" in written else None,
        needs=texts(written["needs"], f"{where}: needs") if written.get("needs") else [],
        condition=_condition(written.get("if", ""), where),
        env=_env(written.get("env"), f"{where}: env"),
        seconds=_seconds(written.get("timeout-minutes"), where),
        steps=[_step(step, f"{where}, step {number}", defaults) for number, step in enumerate(steps, start=1)],
    )


def _step(about: Any, where: str, defaults: tuple[str, str]) -> Step:
    if isinstance(about, Mapping) and "uses" in about:
        raise Unsupported(
            f"{where} uses {str(about['uses'])[:100]}: the embedded forge runs `run` steps and no actions",
            hint="the repository is checked out already; do the rest in a script, or connect a Gitea with a runner",
        )
    written = mapping(about, where, known=STEP_KEYS)
    script = _checked(written.get("run", ""), f"{where}: run")
    if not script.strip():
        raise Unsupported(f"{where} has nothing to run")
    shell = text(written.get("shell") or defaults[0], f"{where}: shell")
    if shell not in SHELLS:
        raise Unsupported(f"{where}: there is no shell {shell[:100]!r}", hint=f"there are: {', '.join(SHELLS)}")
    may_fail = text(written.get("continue-on-error", "false"), f"{where}: continue-on-error")
    if may_fail not in {"true", "false"}:
        raise Unsupported(f"{where}: continue-on-error is neither true nor false")
    return Step(
        name=_checked(written.get("name") or script.strip().splitlines()[0], f"{where}: name"),
        script=script,
        shell=SHELLS[shell],
        env=_env(written.get("env"), f"{where}: env"),
        folder=_checked(written.get("working-directory") or defaults[1], f"{where}: working-directory"),
        condition=_condition(written.get("if", ""), where),
        seconds=_seconds(written.get("timeout-minutes"), where),
        may_fail=may_fail == "true",
    )


def _image(written: Any, where: str) -> str:
    image = written if isinstance(written, str) else mapping(written, where, known=("image",)).get("image", "")
    if not text(image, where).strip():
        raise Unsupported(f"{where} has no image")
    return _checked(image, where)


def _in_order(jobs: Sequence[JobPlan]) -> Sequence[JobPlan]:
    """Return the jobs, each after those that it needs, else as they are written."""
    keys = {job.key for job in jobs}
    for job in jobs:
        if unknown := [key for key in job.needs if key not in keys]:
            raise Unsupported(f"job {job.key[:100]} needs {unknown[0][:100]!r}, which is no job")
    done: dict[str, JobPlan] = {}
    while len(done) < len(jobs):
        ready = next((job for job in jobs if job.key not in done and all(key in done for key in job.needs)), None)
        if ready is None:
            raise Unsupported(f"jobs need each other in a circle: {', '.join(sorted(keys - done.keys()))[:200]}")
        done[ready.key] = ready
    return list(done.values())


def _defaults(written: Any, where: str, defaults: tuple[str, str]) -> tuple[str, str]:
    run = mapping(mapping(written, where, known=("run",)).get("run"), where, known=("shell", "working-directory"))
    return text(run.get("shell", defaults[0]), where), text(run.get("working-directory", defaults[1]), where)


def _condition(written: Any, where: str) -> str:
    said = text(written, f"{where}: if").strip()
    bare = said[3:-2].strip() if said.startswith("${{") and said.endswith("}}") else said
    if bare not in CONDITIONS:
        raise Unsupported(
            f"{where}: if: {said[:100]!r} is more than the embedded forge decides",
            hint=f"it knows {', '.join(sorted(filter(None, CONDITIONS)))}; decide the rest in the script",
        )
    return CONDITIONS[bare]


def _env(written: Any, where: str) -> Mapping[str, str]:
    env = mapping(written, where)
    for name in env:
        if not _VARIABLE.fullmatch(name) or name.upper().startswith(_OURS):
            raise Unsupported(f"{where}: {name[:100]!r} cannot be set", hint=f"no name that begins {', '.join(_OURS)}")
    return {name: _checked(value, f"{where}: {name[:100]}") for name, value in env.items()}


def _checked(written: Any, where: str) -> str:
    return expressions.check(text(written, where), where=where)


def _seconds(written: Any, where: str) -> float | None:
    if written is None:
        return None
    minutes = text(written, f"{where}: timeout-minutes")
    if not _MINUTES.fullmatch(minutes):
        raise Unsupported(f"{where}: timeout-minutes is no number")
    return float(minutes) * 60
