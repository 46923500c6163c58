"""What another reader of a JSON document could read otherwise is refused: each document, each difference, all the way.

Every document is served by a registry over HTTP, read through the real adapter, verified, and ingested on a real
catalog. Where it may be signed, it is: by somebody whom the platform trusts, after it was changed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import OciRegistries
from tests.support.attack_scenarios import AttackScenario
from tests.support.core_harness import CoreHarness
from tests.support.hostile_registry import HostileRegistry, hostile_registry, manifest, ranged
from tests.support.json_documents import KINDS, Change, Kind
from tests.support.layouts import INDEX, MANIFEST

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json-documents.md"
_numbers = itertools.count(1)


class Stage:
    """A registry, and an installation that ingests from it; each image has a platform of its own."""

    def __init__(self, registry: HostileRegistry, world: CoreHarness) -> None:
        self._registry, self._world = registry, world
        self._repository = f"{registry.host}/os/images"

    def ingest(self, scene: AttackScenario) -> tuple[str, str]:
        """Serve an image and announce it; return what became of it, and why."""
        self._serve(scene)
        slug = f"edge-{next(_numbers)}"
        platform_id = self._world.platform(slug=slug, trust=dict(scene.trust), oci_repository=self._repository)
        delivery_id = self._world.announce(slug=slug, ref=f"{self._repository}@{scene.digest}")
        outcome = self._world.process(delivery_id)
        default = self._world.find_platform(platform_id).default_publication_id
        assert (default is not None) == (outcome == "published")
        return outcome, str(self._world.delivery(delivery_id).error_message)

    def _serve(self, scene: AttackScenario) -> None:
        layout = scene.registry
        for digest, content in layout.blobs.items():
            self._registry.on(f"/v2/os/images/manifests/{digest}", manifest(content, media_type=media_type(content)))
            self._registry.on(f"/v2/os/images/blobs/{digest}", ranged(content))
        for tag, digest in layout.tags.items():
            content = layout.blobs[digest]
            self._registry.on(f"/v2/os/images/manifests/{tag}", manifest(content, media_type=media_type(content)))


def media_type(content: bytes) -> str:
    """Return what a manifest was pushed as, whatever became of its text."""
    found = re.search(re.escape(MANIFEST) + "|" + re.escape(INDEX), content.decode(errors="replace"))
    return found[0] if found else MANIFEST


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    registries = OciRegistries()
    world = CoreHarness(f"sqlite:///{tmp_path_factory.mktemp('documents') / 'catalog.db'}", registries=registries)
    with hostile_registry() as registry:
        yield Stage(registry, world)
    registries.close()
    world.catalog.close()


def member(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"' + re.escape(name.encode()) + rb'"(?=\s*:)')


def rename(name: str, other: str) -> Change:
    """Write another name for a member, where it comes first."""
    return _replace(member(name), f'"{other}"'.encode())


def put_beside(name: str, other: str) -> Change:
    """Put a member of another name before one."""
    return _replace(member(name), f'"{other}": null, "{name}"'.encode())


def set_value(name: str, write: Callable[[bytes], bytes]) -> Change:
    """Write the number of a member in another way, everywhere: a size is then the same all over."""
    return lambda raw: re.sub(rb'("' + name.encode() + rb'"\s*:\s*)(\d+)', lambda m: m[1] + write(m[2]), raw, count=1)


def set_null(name: str) -> Change:
    """Leave null of what a member is; the old value goes to a member that nobody knows, further on."""
    return _replace(member(name), f'"{name}": null, "x-old"'.encode())


def _replace(pattern: re.Pattern[bytes], text: bytes) -> Change:
    def change(raw: bytes) -> bytes:
        changed, count = pattern.subn(lambda _: text, raw, count=1)
        assert count == 1, (pattern, raw)
        return changed

    return change


def insert(text: bytes) -> Change:
    """Put members at the beginning."""
    return lambda raw: b"{" + text + b"," + raw[1:]


def other_case(name: str) -> str:
    """Return a name in capitals, or in small letters where it has none."""
    return name.upper() if name.upper() != name else name.lower()


def folded_beyond_ascii(name: str) -> str:
    """Return a name with the characters that Go folds to s and k, where it has one; else in another case."""
    swapped = name.replace("s", "\N{LATIN SMALL LETTER LONG S}").replace("k", "\N{KELVIN SIGN}")
    return swapped if swapped != name else name.title() if name.title() != name else other_case(name)


TEXTS: dict[str, tuple[Change, str]] = {
    "a name twice": (insert(b'"x-a": 1, "x-a": 1'), "is there twice"),
    "two names that fold to one another": (insert(b'"x-key": 1, "X-\xe2\x84\xaaey": 1'), "are one to a reader"),
    "a byte order mark": (lambda raw: b"\xef\xbb\xbf" + raw, "is not JSON"),
    "text after the document": (lambda raw: raw + b" {}", "is not JSON"),
    "bytes that are not UTF-8": (insert(b'"x-a": "\xff"'), "is not JSON"),
    "half of a surrogate pair": (insert(b'"x-a": "\\ud800"'), "is not JSON"),
    "NaN or infinity": (insert(b'"x-a": -Infinity'), "is not a JSON value"),
    "a number beyond floats": (insert(b'"x-a": 1e999'), "is too large"),
    "more than 200 levels": (insert(b'"x-a": ' + b"[" * 200 + b"]" * 200), "nested too deeply"),
}
"""Differences that are found in the text of any document, and what the refusal says."""
INTEGERS: dict[str, Callable[[bytes], bytes]] = {
    "1.0 for 1": lambda number: number + b".0",
    "1e0 for 1": lambda number: number + b"e0",
    "an integer beyond 64 bits": lambda number: b"%d" % (int(number) + 2**64),
    "an integer as text": lambda number: b'"' + number + b'"',
}
NAMES = ("a known name in another case", "a known name with U+017F or U+212A", "null for a list, an object or a text")
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def cells(heading: str) -> list[str]:
    """Return the first cells of the table under a heading of the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return rows[1:]


def test_the_page_has_these_documents_and_these_differences() -> None:
    assert [name for name in cells("Documents") if name in KINDS] == list(KINDS)
    assert set(cells("Differences")) >= {*TEXTS, *INTEGERS, *NAMES}


@every_kind
def test_an_unchanged_document_is_published(stage: Stage, kind: Kind) -> None:
    assert stage.ingest(kind.make(lambda raw: raw)) == ("published", "None")


@every_kind
def test_a_member_that_nobody_knows_is_allowed_where_readers_ignore_it(stage: Stage, kind: Kind) -> None:
    outcome, reason = stage.ingest(kind.make(insert(b'"x-vendor": {"a": 1, "A": [1.5, 12345678901234567890]}')))
    assert outcome == ("published" if kind.is_open else "failed"), reason


@pytest.mark.parametrize("difference", TEXTS)
@every_kind
def test_a_text_that_readers_read_in_two_ways_is_refused(stage: Stage, kind: Kind, difference: str) -> None:
    change, said = TEXTS[difference]
    outcome, reason = stage.ingest(kind.make(change))
    assert outcome == "failed"
    assert said in reason


EVERY_NAME = [
    pytest.param(kind, name, id=f"{of}-{name}") for of, kind in KINDS.items() for name in dict.fromkeys(kind.names)
]


@pytest.mark.parametrize(("kind", "name"), EVERY_NAME)
def test_a_known_name_in_another_spelling_is_refused(stage: Stage, kind: Kind, name: str) -> None:
    for change in (
        rename(name, other_case(name)),
        put_beside(name, folded_beyond_ascii(name)),
    ):
        outcome, reason = stage.ingest(kind.make(change))
        assert outcome == "failed"
        assert f"is another spelling of '{name}'" in reason or "carries no signature" in reason


@pytest.mark.parametrize("difference", INTEGERS)
@pytest.mark.parametrize("kind", [pytest.param(kind, id=of) for of, kind in KINDS.items() if kind.integer])
def test_an_integer_that_is_written_otherwise_is_refused(stage: Stage, kind: Kind, difference: str) -> None:
    assert kind.integer is not None
    outcome, _ = stage.ingest(kind.make(set_value(kind.integer, INTEGERS[difference])))
    assert outcome == "failed"


EVERY_NOTHING = [pytest.param(kind, name, id=f"{of}-{name}") for of, kind in KINDS.items() for name in kind.nothing]


@pytest.mark.parametrize(("kind", "name"), EVERY_NOTHING)
def test_null_where_others_read_something_empty_is_refused(stage: Stage, kind: Kind, name: str) -> None:
    assert stage.ingest(kind.make(set_null(name)))[0] == "failed"
