"""The least that a webhook receiver can do: HMAC, one durable INSERT, 202. `python -m benchmarks.bare` runs it."""

from __future__ import annotations

import hmac
import os
import sqlite3
import threading
from uuid import uuid4

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bootpress.entrypoints.api.server import server
from bootpress.entrypoints.api.webhooks import THREADS


def create_app(database: str, secret: bytes) -> FastAPI:
    """Return an application on a SQLite file, as durable as the catalog."""
    connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.execute("CREATE TABLE deliveries (id TEXT PRIMARY KEY, body BLOB NOT NULL)")
    turn, limiter = threading.Lock(), CapacityLimiter(THREADS)

    def store(body: bytes) -> str:
        delivery_id = str(uuid4())
        with turn:
            connection.execute("INSERT INTO deliveries VALUES (?, ?)", (delivery_id, body)).close()
        return delivery_id

    async def receive(request: Request) -> Response:
        body = await request.body()
        presented = request.headers.get("x-hub-signature-256", "")
        if not hmac.compare_digest(presented, "sha256=" + hmac.digest(secret, body, "sha256").hex()):
            return JSONResponse({"status": "refused"}, 401)
        delivery_id = await to_thread.run_sync(store, body, limiter=limiter)
        return JSONResponse({"status": "accepted", "delivery_id": delivery_id}, 202)

    app = FastAPI(openapi_url=None)
    app.add_route("/", receive, methods=["POST"])
    return app


if __name__ == "__main__":
    app = create_app(os.environ["BARE_DATABASE"], os.environ["BARE_SECRET"].encode())
    server(app, host="127.0.0.1", port=int(os.environ["BARE_PORT"])).run()
