"""The tables of states: every pair of state and move is legal as the contract says, or refused with both states."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from bootpress.core.builds.rules import BUILD
from bootpress.core.builds.states import BuildStatus
from bootpress.core.deliveries.rules import DELIVERY, UNFINISHED
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.errors import Conflict, IllegalTransition
from bootpress.core.publications.rules import PUBLICATION, SETTLED
from bootpress.core.publications.states import PublicationStatus
from bootpress.core.sagas.rules import SAGA
from bootpress.core.sagas.states import SagaStatus
from bootpress.core.state_machine import StateMachine
from bootpress.core.webhooks.rules import WEBHOOK
from bootpress.core.webhooks.states import WebhookStatus

# Written out once more, from CONTRACT: the test and the table must agree on every arrow.
ARROWS: dict[str, tuple[StateMachine[Any], type[StrEnum], dict[str, str]]] = {
    "saga": (
        SAGA,
        SagaStatus,
        {
            "begin": "queued>running",
            "begin again": "running>queued",
            "finish": "running>done",
            "fail": "queued>failed running>failed",
        },
    ),
    "webhook": (
        WEBHOOK,
        WebhookStatus,
        {
            "disable": "active>disabled disabled>disabled",
            "enable": "disabled>active active>active",
            "revoke": "active>revoked disabled>revoked revoked>revoked",
        },
    ),
    "build": (
        BUILD,
        BuildStatus,
        {
            "run": "dispatched>running running>running",
            "call back": "dispatched>callback_received running>callback_received",
            "publish": "callback_received>published",
            "recover": "dispatched>lost_callback_recovered running>lost_callback_recovered",
            "fail": "dispatched>failed running>failed callback_received>failed",
            "time out": "dispatched>timed_out running>timed_out",
            "cancel": "dispatched>cancelled running>cancelled",
        },
    ),
    "delivery": (
        DELIVERY,
        DeliveryStatus,
        {
            "begin": "received>processing processing>processing",
            "finish": "processing>done",
            "fail": "processing>failed",
            "give up": "received>failed processing>failed",
        },
    ),
    "publication": (
        PUBLICATION,
        PublicationStatus,
        {
            "verify": "queued>verifying failed>verifying purged>verifying verifying>verifying",
            "publish": "verifying>published",
            "fail": "verifying>failed",
            "retire": "published>retired",
            "restore": "retired>published",
            "purge": "retired>purged",
            "revoke": "published>revoked retired>revoked",
        },
    ),
}
PAIRS = [
    pytest.param(noun, move, state, id=f"{noun}-{state}-{move}")
    for noun, (machine, states, _) in ARROWS.items()
    for move in machine.moves
    for state in states
]


@pytest.mark.parametrize(("noun", "move", "state"), PAIRS)
def test_a_move_is_on_the_table_or_refused_with_both_states(noun: str, move: str, state: StrEnum) -> None:
    machine, _, arrows = ARROWS[noun]
    legal = dict(arrow.split(">") for arrow in arrows[move].split())
    if state in legal:
        assert machine.transition(move, state) == legal[state]
        return
    target = arrows[move].split()[0].split(">")[1]
    with pytest.raises(IllegalTransition, match=f"a {noun} that is {state} cannot become {target}") as caught:
        machine.transition(move, state)
    assert isinstance(caught.value, Conflict)
    for source in legal:
        assert source in str(caught.value.hint)


@pytest.mark.parametrize("noun", ARROWS)
def test_the_table_has_these_moves_and_no_others(noun: str) -> None:
    machine, _, arrows = ARROWS[noun]
    assert machine.noun == noun
    assert machine.moves.keys() == arrows.keys()


def test_what_is_settled_is_verified_by_no_announcement() -> None:
    verified_again = {state for state in PublicationStatus if state in PUBLICATION.moves["verify"][0]}
    assert SETTLED | verified_again == set(PublicationStatus)
    assert not SETTLED & verified_again


def test_a_delivery_is_unfinished_exactly_while_it_may_begin() -> None:
    assert set(UNFINISHED) == DELIVERY.moves["begin"][0]
