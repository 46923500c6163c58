"""`${{ … }}` in workflow files: plain lookups, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bootpress.core.errors import Unsupported

CONTEXTS: Final = ("env", "github", "inputs", "secrets", "vars")
GITHUB: Final = frozenset(
    {
        "action", "actor", "api_url", "base_ref", "event", "event_name", "event_path", "head_ref", "job", "ref",
        "ref_name", "ref_type", "repository", "repository_owner", "run_attempt", "run_id", "run_number", "server_url",
        "sha", "token", "triggering_actor", "workflow", "workspace",
    }
)  # fmt: skip
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_LOOKUP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)+", re.ASCII)
_NESTED: Final = ("github", "event")


def check(text: str, *, where: str) -> str:
    """Return a text whose every expression is a plain lookup; Unsupported, naming the first that is not."""
    for expression in _EXPRESSION.findall(text):
        _keys(expression.strip(), where)
    if "${{" in _EXPRESSION.sub("", text):
        raise Unsupported(f"{where}: a ${{{{ without }}}}")
    return text


def render(text: str, contexts: Mapping[str, Any]) -> str:
    """Put in what the lookups find; what is not there is empty, and what is put in is not looked at again."""
    return _EXPRESSION.sub(lambda found: _look_up(found[1].strip(), contexts), text)


def _keys(expression: str, where: str) -> list[str]:
    shown = f"${{{{ {expression[:100]} }}}}"
    if not _LOOKUP.fullmatch(expression):
        raise Unsupported(
            f"{where}: {shown} is more than a lookup",
            hint="the embedded forge looks up inputs, vars, secrets, github and env; decide in the script",
        )
    context, *names = expression.split(".")
    if context.lower() not in CONTEXTS:
        raise Unsupported(f"{where}: {shown} looks into {context!r}", hint=f"there are: {', '.join(CONTEXTS)}")
    if context.lower() == "github" and names[0].lower() not in GITHUB:
        raise Unsupported(f"{where}: {shown} is not known here", hint=f"there are: {', '.join(sorted(GITHUB))}")
    if len(names) > 1 and (context.lower(), names[0].lower()) != _NESTED:
        raise Unsupported(f"{where}: {shown} goes deeper than there is anything")
    return [context, *names]


def _look_up(expression: str, contexts: Mapping[str, Any]) -> str:
    found: Any = contexts
    for name in expression.split("."):
        lowered = name.lower()  # names are compared without regard to case, as everywhere in these files
        match = next((key for key in found if key.lower() == lowered), None) if isinstance(found, Mapping) else None
        found = found[match] if match is not None else ""
    return found if isinstance(found, str) else ""
