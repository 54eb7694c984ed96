"""Errors as HTTP answers."""

import json

import pytest

from turnlog.core.errors import MissingExtra, StoreError, TurnlogError
from turnlog.server.answers import error_answer

CASES = [
    (TurnlogError("TL501", "no key"), 401, "invalid_request_error"),
    (TurnlogError("TL502", "no target"), 404, "invalid_request_error"),
    (TurnlogError("TL504", "no parameter"), 400, "invalid_request_error"),
    (MissingExtra("local", "speech"), 500, "server_error"),
    (StoreError("TL406", "the disk is full"), 503, "server_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), CASES)
def test_each_error_has_a_status_and_a_json_body(error: TurnlogError, status: int, kind: str) -> None:
    """The caller's faults are 4xx, the server's own 5xx; the hint travels."""
    answer = error_answer(error, param="model")
    assert answer.status_code == status
    assert json.loads(bytes(answer.body))["error"] == {
        "type": kind,
        "code": error.code,
        "message": error.message,
        "param": "model",
        "hint": error.hint,
    }


def test_the_status_may_be_given() -> None:
    """426 says to what to upgrade."""
    answer = error_answer(TurnlogError("TL504", "no upgrade"), 426)
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
