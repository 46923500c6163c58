"""Workflow files as plain values: every scalar is the text that was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from bootpress.core.errors import Unsupported

MAX_BYTES: Final = 1 << 18
MAX_VALUES: Final = 20_000
MAX_DEPTH: Final = 50


class _Loader(yaml.BaseLoader):
    """Makes texts, lists and mappings alone, so that `on` is no boolean, and `1.10` no number."""

    def __init__(self, source: bytes) -> None:
        super().__init__(source)
        self._values = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a value, in bounds; an alias could make a small file into a huge one."""
        if self.check_event(yaml.AliasEvent):
            raise Unsupported("the workflow file uses YAML aliases", hint="write out what they stand for")
        self._values += 1
        self._depth += 1
        if self._values > MAX_VALUES or self._depth > MAX_DEPTH:
            raise Unsupported("the workflow file is too large or too deep")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode):
            _check_text(node.value)
        self._depth -= 1
        return node


def _check_text(value: str) -> None:
    """Refuse what an escape can write though no file holds it: half a character."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unsupported("the workflow file has a \\u escape in it that is no character") from error


def load(source: bytes) -> Mapping[str, Any]:
    """Read a workflow file; Unsupported if it is none."""
    if len(source) > MAX_BYTES:
        raise Unsupported(f"the workflow file has {len(source):,} bytes", hint=f"at most {MAX_BYTES:,}")
    try:
        loader = _Loader(source)
        try:
            found = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = f" (line {line + 1})" if isinstance(line, int) else ""
        raise Unsupported(
            f"the workflow file is no YAML{at}: {getattr(error, 'problem', None) or 'unreadable'}"
        ) from error
    return mapping(found, "the workflow file")


def mapping(value: Any, where: str, *, known: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Return a mapping, empty where nothing is written; Unsupported for anything else, or a key that is not known."""
    if value in (None, ""):
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Unsupported(f"{where}: not a mapping of names")
    if known is not None:
        known = sorted(known)
        unknown = [key for key in value if key not in known]
        if unknown:
            raise Unsupported(
                f"{where}: {unknown[0][:100]!r} is nothing that the embedded forge can do",
                hint=f"it knows: {', '.join(known)}",
            )
    return value


def text(value: Any, where: str) -> str:
    """Return a text; Unsupported for a list or a mapping."""
    if not isinstance(value, str):
        raise Unsupported(f"{where}: not a text")
    return value


def texts(value: Any, where: str) -> list[str]:
    """Return the texts of a list, or of a single text."""
    found = value if isinstance(value, list) else [value]
    return [text(each, where) for each in found]
