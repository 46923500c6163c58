"""Ring bootpress as a pipeline does: a delivery, signed with the webhook's secret."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping

import httpx

from bootpress.stack.errors import StackFailed


def post_delivery(url: str, secret: str, said: Mapping[str, str]) -> str:
    """Post a delivery and return its id; StackFailed if it is not accepted."""
    body = json.dumps(dict(said)).encode()
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    try:
        answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    except httpx.HTTPError as error:
        raise StackFailed(f"the webhook did not answer: {type(error).__name__}") from error
    if answer.status_code != httpx.codes.ACCEPTED:
        raise StackFailed(f"the webhook answered {answer.status_code}: {answer.text[:200]}")
    return str(answer.json()["delivery_id"])
