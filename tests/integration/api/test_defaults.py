"""What holds where nothing is set: how often one token may call, and all of an account."""

from __future__ import annotations

from pathlib import Path

from bootpress.entrypoints.api.operations import account_rates, token_rate_limiter
from tests.integration.api.test_webhook import is_problem
from tests.support.api import running_press


class Watch:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_calls_a_hundred_times_a_second_unless_set_otherwise(tmp_path: Path) -> None:
    watch = Watch()
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}", token_rates=token_rate_limiter(watch)) as press:

        def calls(count: int) -> list[int]:
            return [press.call("system_list_node_platforms").status_code for _ in range(count)]

        assert calls(105) == [200] * 100 + [429] * 5
        watch.now += 1 / 16
        assert calls(8) == [200] * 6 + [429] * 2
        answer = press.call("recent_events")
        is_problem(answer, 429)
        assert answer.headers["retry-after"] == "1"
        assert press.call("recent_events", token=press.mint("*")).status_code == 200


def test_the_tokens_of_an_account_together_call_four_hundred_times_a_second(tmp_path: Path) -> None:
    watch = Watch()
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    with running_press(url, token_rates=token_rate_limiter(watch), account_rates=account_rates(watch)) as press:
        tokens = [press.mint("*") for _ in range(5)]
        calls = [press.call("recent_events", token=token).status_code for token in tokens for _ in range(90)]
        assert calls == [200] * 400 + [429] * 50
        answer = press.call("recent_events", token=tokens[4])
        is_problem(answer, 429)
        assert answer.headers["retry-after"] == "1"
        assert "the tokens of this account together" in answer.json()["detail"]
        assert press.call("recent_events", token=press.mint("*", account="somebody-else")).status_code == 200
        watch.now += 1 / 400
        assert [press.call("recent_events", token=tokens[4]).status_code for _ in range(2)] == [200, 429]
