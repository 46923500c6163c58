"""What the console shows: the answers of operations to the caller's own token, safely and in plain words."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, update

from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import MAX_TRUST_OF_A_PAGE
from bootpress.core.publications.models import Artifact, Publication
from bootpress.entrypoints.console import templating
from tests.support.console import Console, text_of

HOME = "/app/publications"


def page(console: Console, publication_id: UUID) -> httpx.Response:
    return console.http.get(f"{HOME}/{publication_id}")


def change(console: Console, publication_id: UUID, **values: Any) -> None:
    with console.world.catalog.transaction() as session:
        session.execute(update(Publication).where(Publication.id == publication_id).values(**values))


def test_a_publication_is_shown_with_what_was_proven_of_it(console: Console) -> None:
    digest = console.world.images.image()
    publication_id = console.world.publish(digest=digest)
    change(console, publication_id, git_sha="c0ffee" * 6)
    console.log_in()
    answer = page(console, publication_id)
    said = text_of(answer)
    assert answer.status_code == 200
    shown = console.world.call("system_get_disk_image_publication", id=str(publication_id))
    (kernel,) = [one for one in shown["artifacts"] if one["role"] == "layer"]
    for expected in (
        f"Publication {publication_id}",
        "platformedge",
        "published default",
        f"digest{digest}",
        f"reference127.0.0.1:5000/os/images@{digest}",
        f"commit{'c0ffee' * 6}",
        "signatureverified",
        f"signerkey with the SHA-256 {shown['publication']['signer']['key_sha256']}",
        "published2025-06-01 12:00:00 UTC",
        "3 artifacts",
        f"application/vnd.bootpress.kernel.v1 {kernel['digest']}",
    ):
        assert expected in said
    assert "pinned" not in said.partition("Operations")[0]
    assert "Why it failed" not in said


def test_a_failed_publication_says_why_and_what_to_do(console: Console) -> None:
    publication_id = console.fail()
    console.log_in()
    said = text_of(page(console, publication_id))
    assert "failed Why it failed" in said
    assert "carries no signature" in said
    assert "sign the digest with cosign" in said
    assert "signaturenot verified" in said
    assert f"bootpress call system_retry_disk_image_publication publication_id={publication_id}" in said
    assert "system_set_default_disk_image_publication" not in said


def test_a_keyless_signer_is_an_identity_and_its_issuer(console: Console) -> None:
    publication_id = console.world.publish()
    signer = {"mode": "keyless", "identity": "https://ci/w.yaml", "issuer": "https://issuer", "key_sha256": None}
    change(console, publication_id, signer=signer)
    console.log_in()
    assert "signerhttps://ci/w.yaml by https://issuer" in text_of(page(console, publication_id))


def test_the_lines_to_copy_are_calls_that_work(console: Console) -> None:
    console.world.publish()
    publication_id = console.world.publish()
    console.log_in()
    text = page(console, publication_id).text
    lines = [line.partition("</code>")[0] for line in text.split('<pre tabindex="0"><code>')[1:]]
    assert len(lines) == 4
    for line in lines:
        program, verb, name, field = line.split()
        assert (program, verb) == ("bootpress", "call")
        key, _, value = field.partition("=")
        console.world.call(name, **{key: value})
    said = text_of(page(console, publication_id))
    assert "published default pinned" in said
    assert "system_unpin_disk_image_publication" in said


def test_the_newest_publications_of_all_platforms_are_listed(console: Console) -> None:
    world = console.world
    world.platform("far")
    ids = []
    for number in range(24):
        ids.append(world.publish(slug="far" if number % 2 else "edge"))
        world.clock.advance(seconds=1)
    console.log_in()
    listed = console.http.get(HOME).text
    places = [listed.find(f'href="{HOME}/{publication_id}"') for publication_id in reversed(ids)]
    assert places[:20] == sorted(places[:20])
    assert min(places[:20]) > 0
    assert places[20:] == [-1] * 4
    of_far = console.http.get(HOME, params={"platform": "far"}).text
    assert [f"{HOME}/{publication_id}" in of_far for publication_id in ids] == [False, True] * 12


def test_with_many_platforms_the_list_says_whom_it_leaves_out(console: Console) -> None:
    for number in range(52):
        console.world.platform(f"platform-{number:02}")
    console.log_in()
    answer = console.http.get(HOME)
    assert "3 platforms are not in this list" in text_of(answer)
    assert f"{HOME}?platform=platform-51" in answer.text


def test_a_default_that_the_platform_demands_no_more_says_in_what(console: Console) -> None:
    publication_id = console.world.publish()
    console.log_in()
    said = "arch: the platform's is arm64, the publication's amd64"
    assert said not in text_of(page(console, publication_id))
    console.world.call("system_update_node_platform", id="edge", arch="arm64")
    assert said in text_of(page(console, publication_id))


def test_older_publications_of_a_platform_are_a_page_further(console: Console) -> None:
    world = console.world
    ids = [str(world.publish()) for _ in range(23)]
    console.log_in()
    first = console.http.get(HOME, params={"platform": "edge"}).text
    assert [one in first for one in ids] == [False] * 3 + [True] * 20
    link = re.search(r'<a href="([^"]+)">Older publications</a>', first)
    assert link is not None
    older = console.http.get(html.unescape(link[1])).text
    assert [one in older for one in ids] == [True] * 3 + [False] * 20
    assert "Older publications" not in older


def test_platforms_beyond_a_page_are_behind_a_link(console: Console) -> None:
    heavy = {"trust": {**console.world.images.trust, "padding": "x" * MAX_TRUST_OF_A_PAGE}}
    console.world.platform("far")
    with console.world.catalog.transaction() as session:
        session.execute(update(NodePlatform).values(**heavy))
    console.log_in()
    first = console.http.get(HOME).text
    assert ("?platform=edge" in first, "?platform=far" in first) == (True, False)
    link = re.search(r'<a href="([^"]+)">more platforms</a>', first)
    assert link is not None
    assert "?platform=far" in console.http.get(html.unescape(link[1])).text


def test_an_empty_list_says_how_something_gets_in(console: Console) -> None:
    console.log_in()
    assert "Nothing has been announced yet" in text_of(console.http.get(HOME))


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "nothing", "%00", "..%2f..", "x" * 5000])
def test_an_unknown_publication_is_404_in_words(console: Console, name: str) -> None:
    console.log_in()
    answer = console.http.get(f"{HOME}/{name}")
    assert answer.status_code == 404
    assert "Not Found" in text_of(answer)
    assert len(answer.text) < 4_000


def test_pages_that_are_not_there_are_404_in_words(console: Console) -> None:
    for path in ("/app/nothing", "/app/publications/x/y", "/app/logout", "/app/console.css/x"):
        answer = console.http.get(path)
        assert answer.status_code == 404
        assert "this console has no such page" in text_of(answer)
    console.log_in()
    assert console.http.get(HOME, params={"platform": "<none>"}).status_code == 404


def test_another_accounts_publication_is_answered_like_an_unknown_one(console: Console) -> None:
    own, unknown = console.world.publish(), uuid4()
    console.log_in(console.mint("*", account="another")[1])
    foreign, nothing = page(console, own), page(console, unknown)
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.text.replace(str(own), "…") == nothing.text.replace(str(unknown), "…")
    assert str(own) not in console.http.get(HOME).text


def test_a_missing_permission_is_403_and_named_and_another_token_can_be_given(console: Console) -> None:
    publication_id = console.world.publish()
    console.log_in(console.mint("system.events.read")[1])
    answer = page(console, publication_id)
    assert answer.status_code == 403
    assert "needs the permission system.disk_image_publications.read" in text_of(answer)
    assert 'action="/app/logout"' in answer.text
    assert f'name="next" value="{HOME}/{publication_id}"' in answer.text


def test_who_may_only_read_publications_sees_one_and_what_he_may_not_do(console: Console) -> None:
    publication_id = console.world.publish()
    console.log_in(console.mint("system.disk_image_publications.read")[1])
    said = text_of(page(console, publication_id))
    platform_id = console.world.publication(publication_id).node_platform_id
    assert f"platform{platform_id}" in said
    assert "Needs the permission system.disk_image_publications.manage, which this token lacks" in said
    assert console.http.get(HOME).status_code == 403


EVIL = "<img src=x onerror=alert(1)>\"'&{{7*7}}\u202e\u0007"


def test_what_outsiders_wrote_is_text_and_nothing_else(console: Console) -> None:
    publication_id = console.world.publish()
    change(
        console,
        publication_id,
        git_sha=EVIL,
        oci_ref=EVIL,
        error_message=EVIL,
        signer={"mode": "keyless", "identity": EVIL, "issuer": EVIL, "key_sha256": None},
    )
    with console.world.catalog.transaction() as session:
        session.execute(update(NodePlatform).values(name=EVIL))
        session.execute(
            update(Artifact)
            .where(Artifact.publication_id == publication_id, Artifact.role == "layer")
            .values(title=EVIL, media_type=EVIL)
        )
    console.log_in()
    for answer in (page(console, publication_id), console.http.get(HOME)):
        assert answer.status_code == 200
        assert "<img" not in answer.text
        assert "\u202e" not in answer.text
        assert "\u0007" not in answer.text
    text = page(console, publication_id).text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;{{7*7}}") == 8


def test_of_very_many_artifacts_the_first_are_listed(console: Console) -> None:
    publication_id = console.world.publish()
    digest = console.world.publication(publication_id).oci_digest
    with console.world.catalog.transaction() as session:
        session.execute(delete(Artifact))
        session.add_all(
            Artifact(
                publication_id=publication_id,
                role="layer",
                manifest_digest=digest,
                digest=f"sha256:{number:064x}",
                media_type="x",
                size_bytes=number,
                title=f"file-{number:03}",
            )
            for number in range(501)
        )
    console.log_in()
    said = text_of(page(console, publication_id))
    assert "501 artifacts, as the manifest describes them; the first 500 are shown" in said
    assert "file-499" in said
    assert "file-500" not in said


def test_a_catalog_that_is_away_is_503_in_words(console: Console) -> None:
    publication_id = console.world.publish()
    console.log_in()
    with console.world.catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE publications RENAME TO elsewhere")
    answer = page(console, publication_id)
    assert answer.status_code == 503
    assert "no such table: publications" in text_of(answer)
    assert int(answer.headers["retry-after"]) >= 1
    with console.world.catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_tokens RENAME TO elsewhere_too")
    assert page(console, publication_id).status_code == 503
    assert console.log_in().status_code == 503


def test_a_defect_is_500_in_words_without_its_own(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    publication_id = console.world.publish()
    change(console, publication_id, signer={"mode": ["hunter2"]})
    console.log_in()
    answer = page(console, publication_id)
    assert answer.status_code == 500
    assert "something failed that should not" in text_of(answer)
    assert "hunter2" not in answer.text
    assert "ValidationError" in caplog.text
    assert "hunter2" not in caplog.text


def test_every_answer_carries_the_headers_that_bind_a_browser(console: Console) -> None:
    publication_id = console.world.publish()
    closed = [console.http.get(path) for path in ("/app", HOME, "/app/login", "/app/nothing", templating.STYLE_PATH)]
    forbidden = console.http.post("/app/login", data={"token": console.token})
    failed = console.log_in("bp_wrong")
    opened = [console.log_in(), console.http.get(HOME), page(console, publication_id), page(console, uuid4())]
    for answer in (*closed, forbidden, failed, *opened):
        policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert answer.headers["cache-control"] == "no-store"


def test_the_style_sheet_is_kept_by_browsers_until_there_is_another(console: Console) -> None:
    address = f"{templating.STYLE_PATH}?v={templating.STYLE_VERSION}"
    assert f'href="{address}"' in console.http.get("/app/login").text
    answer = console.http.get(address)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == templating.STYLE


def test_the_console_is_no_part_of_the_api(console: Console) -> None:
    headers = {"Authorization": f"Bearer {console.token}"}
    document = console.http.get("/api/openapi.json", headers=headers).json()
    assert document["paths"]
    assert [path for path in document["paths"] if path.startswith("/app")] == []
