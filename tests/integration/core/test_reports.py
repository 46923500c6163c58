"""The report that each ingest leaves: what was verified, and a link to its publication."""

from __future__ import annotations

from uuid import UUID

from bootpress.core.publications import reports
from tests.support.core_harness import REPOSITORY, CoreHarness


def report(world: CoreHarness, **body: str) -> tuple[str, UUID | None]:
    """Bring an announced image to its end; return the report of the attempt, and the publication."""
    delivery_id = world.announce(**body)
    attempt_id = world.begin(delivery_id)
    world.work(attempt_id)
    return reports.render_attempt(world.context, attempt_id), world.delivery(delivery_id).publication_id


def test_a_report_links_to_the_page_of_its_publication(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image()
    said, publication_id = report(world, ref=f"{REPOSITORY}@{digest}", git_sha="c0ffee")
    assert said.startswith("## `edge`: published\n")
    assert f"\n\n[publication {publication_id}](https://press.example/app/publications/{publication_id})\n\n" in said
    assert f"`bootpress call system_get_disk_image_publication id={publication_id}`" in said
    assert f"| digest | `{digest}` |" in said
    assert "| commit | `c0ffee` |" in said


def test_a_failed_publication_is_linked_to_as_well(world: CoreHarness) -> None:
    world.platform()
    said, publication_id = report(world, ref=f"{REPOSITORY}@{world.images.image(sign=False)}")
    assert said.startswith("## `edge`: failed\n\n")
    assert "carries no signature" in said
    assert "\\`cosign sign\\`" in said  # the hint, to its end
    assert f"(https://press.example/app/publications/{publication_id})" in said


def test_what_never_became_a_publication_has_no_link(world: CoreHarness) -> None:
    said, publication_id = report(world, slug="nowhere")
    assert publication_id is None
    assert "](" not in said


def test_what_an_outsider_wrote_makes_no_link(world: CoreHarness) -> None:
    world.platform()
    evil = "x](https://evil.example) `[y](https://evil.example)` <a href=z>"
    said, publication_id = report(world, ref=f"{REPOSITORY}@{world.images.image()}", git_sha=evil)
    plain = [part for number, part in enumerate(said.split("`")) if number % 2 == 0]
    assert [part for part in plain if "evil" in part] == []
    assert "".join(plain).count("](") == (1 if publication_id else 0)


def test_a_reason_that_repeats_an_outsider_makes_no_markup(world: CoreHarness) -> None:
    world.platform()
    evil = "[y](//evil.example) <b> `*_~\u202e"
    said, _ = report(world, ref=f"{REPOSITORY}@{world.images.image()}", arch=evil)
    (reason,) = [line for line in said.splitlines() if "announced for" in line]
    assert r"\[y\]\(\/\/evil\.example\) \<b\> \`\*\_\~ " in reason
