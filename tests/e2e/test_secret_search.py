"""The search for secrets finds them, however and wherever they are written."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tests.support.postgres import Cluster
from tests.support.secret_search import Search, odd

USERS = ("", "c", "ci", "ci:")


@pytest.mark.parametrize(
    "written",
    [
        lambda secret: f"password={secret}",
        lambda secret: json.dumps({"password": secret}),
        lambda secret: json.dumps(json.dumps({"password": secret})),
        lambda secret: repr([secret]),
        lambda secret: repr({"body": secret.encode()}),
        lambda secret: f"https://host/?{urllib.parse.urlencode({'token': secret})}",
        lambda secret: f"https://ci:{urllib.parse.quote(secret, safe='')}@host/",
        lambda secret: URL.create("postgresql", "ci", secret, "host").render_as_string(hide_password=False),
        lambda secret: secret.encode().hex(),
        *[lambda secret, before=before: base64.b64encode(f"{before}{secret}:".encode()).decode() for before in USERS],
    ],
)
def test_a_secret_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    secret = odd()
    search = Search({"the one": secret, "another": odd()})
    assert search.within(written(secret).encode()) == ["the one"]
    assert search.within(written(odd()).encode()) == []


@pytest.mark.part("postgresql")
def test_a_secret_in_a_table_is_found_whatever_its_column(postgres_cluster: Cluster) -> None:
    known, url = {form: odd() for form in ("text", "jsonb", "bytea")}, postgres_cluster.create_database()
    values = [known["text"], json.dumps({"a": known["jsonb"]}), known["bytea"].encode()]
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as session:
        session.execute("CREATE TABLE kept (one text, two jsonb, three bytea)")
        session.execute("INSERT INTO kept VALUES (%s, %s, %s)", values)
    [(name, rows)] = postgres_cluster.read_tables(url)
    assert name == "kept"
    assert Search(known | {"another": odd()}).within(rows) == list(known)
