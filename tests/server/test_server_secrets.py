"""What holds a key, a token or a password does not show it: in a log, a traceback, or a pretty printer's rendering of either."""

from typing import cast

import pytest
from rich.pretty import pretty_repr

from turnlog.engine.live import LiveSession
from turnlog.server.callers import Admission
from turnlog.server.settings import ServerSettings
from turnlog.transports.providers.client_secrets import Issued
from turnlog.transports.providers.model_http import HttpSettings
from turnlog.transports.webrtc.ice import IceServer, IceSettings

SECRET = "sk-7hQ2SecretSecret9x"
TURN = IceSettings(servers=(IceServer(url="turn:relay.example", username="desk", credential=SECRET),))


class Session:
    """What an admission shows of a session."""

    id = "sess_1"


@pytest.mark.parametrize(
    "holder",
    [
        ServerSettings(keys=(SECRET,)),
        HttpSettings(key=SECRET, max_message_bytes=1, ice=TURN),
        Issued(value=SECRET, expires_at=1),
        Admission(cast("LiveSession", Session()), SECRET, "seat"),
        TURN,
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_holder_of_a_secret_does_not_show_it(holder: object) -> None:
    """Neither by repr nor by rich, which asks a struct for its fields."""
    assert SECRET not in repr(holder) + str(holder) + pretty_repr(holder) + pretty_repr([holder])
    assert type(holder).__name__ in repr(holder)
