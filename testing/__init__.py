"""What users test their handlers with: calls on virtual time with a scripted caller and a provider that hears and speaks.

Installing turnlog gives pytest the fixture `turnlog` (docs/howto/test-a-handler.md). Everything public is here.
"""

from ..transports.providers.scripted import ScriptedProvider, allow, close, emit, expect, steps_from_recording
from .behaviour import Mishaps, Pace, ProviderReceived
from .caller import ScriptedCaller
from .calls import Call, call
from .fake_model import FakeModel, FakeModelProvider
from .fake_speech import FakeSynthesiser, SpokenWord, listen, speak
from .faults import FaultRates, Faults, Happened
from .kit import Kit
from .listener import Listener, Received
from .playout import Playout, Sound, Utterance
from .replays import assert_replays
from .speaking import SpeakingProvider
from .virtual_loop import VirtualClock, VirtualLoop, run_virtual, virtual_time

__all__ = [
    "Call",
    "FakeModel",
    "FakeModelProvider",
    "FakeSynthesiser",
    "FaultRates",
    "Faults",
    "Happened",
    "Kit",
    "Listener",
    "Mishaps",
    "Pace",
    "Playout",
    "ProviderReceived",
    "Received",
    "ScriptedCaller",
    "ScriptedProvider",
    "Sound",
    "SpeakingProvider",
    "SpokenWord",
    "Utterance",
    "VirtualClock",
    "VirtualLoop",
    "allow",
    "assert_replays",
    "call",
    "close",
    "emit",
    "expect",
    "listen",
    "run_virtual",
    "speak",
    "steps_from_recording",
    "virtual_time",
]
