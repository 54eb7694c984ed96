"""What users test their handlers with: calls on virtual time with a scripted caller and a provider that hears and speaks.

Installing turnlog gives pytest the fixture `turnlog` (docs/howto/test-a-handler.md). Everything public is here.
"""

from .call import Call, call
from .caller import Received, ScriptedCaller
from .fake_speech import SpokenWord, listen, speak
from .kit import Kit
from .playout import Playout, Sound, Utterance
from .speaking import Mishaps, Pace, ProviderReceived, SpeakingProvider
from .virtual_time import VirtualClock, VirtualLoop, run_virtual, virtual_time

__all__ = [
    "Call",
    "Kit",
    "Mishaps",
    "Pace",
    "Playout",
    "ProviderReceived",
    "Received",
    "ScriptedCaller",
    "Sound",
    "SpeakingProvider",
    "SpokenWord",
    "Utterance",
    "VirtualClock",
    "VirtualLoop",
    "call",
    "listen",
    "run_virtual",
    "speak",
    "virtual_time",
]
