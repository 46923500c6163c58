"""Turn answers of operations into HTML: Jinja templates with everything escaped."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bootpress.core.publications.reports import format_size

STYLE: Final = resources.files(__package__).joinpath("console.css").read_bytes()
STYLE_PATH: Final = "/app/console.css"
STYLE_VERSION: Final = hashlib.sha256(STYLE).hexdigest()[:16]
"""Part of the style sheet's address, so that browsers may keep it and still get the next one."""


def render(template: str, **values: Any) -> str:
    """Return the page of a template."""
    return _PAGES.get_template(template).render(values)


def _printable(value: Any) -> Any:
    """Show what outsiders wrote without control characters: one that turns the direction of text makes it lie."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(one if one.isprintable() else " " for one in value)


def _moment(value: datetime) -> Markup:
    """Show a moment as a person reads it."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{:%Y-%m-%dT%H:%M:%SZ}">{:%Y-%m-%d %H:%M:%S} UTC</time>').format(utc, utc)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": format_size, "moment": _moment}
    environment.globals |= {"style": f"{STYLE_PATH}?v={STYLE_VERSION}"}
    return environment


_PAGES: Final = _environment()
