"""What of an event of the links, the provider or the mouth matters to a reader: ms, words and names, in a line. Pure.

Words of the user and of the session stand last, where a narrow line cuts them.
"""

import msgspec

from ..core import events as e

__all__ = ["essence_spoken"]


def essence_spoken(event: e.Event | e.Unknown | e.Erased) -> str:
    """The point of the event; its fields, where it has no form of its own."""
    match event:
        case e.TransportReceived() | e.TransportSent():
            return f"{event.link} {_text(event.data)}"
        case e.MediaRecorded():
            return f"{event.track} segment {event.n}: {event.messages} messages, {event.duration_ms} ms"
        case e.LinkOpened():
            return f"{event.link} {event.side} {event.peer} by {event.transport}"
        case e.LinkReady():
            return f"{event.link}, voice {voice}" if (voice := _voice(event)) else event.link
        case e.ConfigurationDispatched():
            return _configuration(event)
        case e.PeerFaulted() | e.LinkFailed() | e.ConfigurationRefused() | e.AnswerRefused() | e.CallRefused():
            return f"{event.code} {event.message}"
        case e.CallOpened():
            return f"the provider holds {event.call_id} with {event.link} itself"
        case e.CallEnded():
            return f"{event.call_id}: {event.reason}"
        case e.ConfigurationOverridden():
            return f"somebody else has changed {', '.join(event.changed)} on {event.link}"
        case e.ToolRequested():
            return f"{event.call_id} {event.name}({event.arguments}){'' if event.allowed else ', which it was not offered'}"
        case e.ClientToolCalled():
            return f"{event.call_id} {event.name}({event.arguments}), a client's"
        case e.ToolAnswered():
            return f"{event.call_id} {'' if event.ok else 'failed: '}{event.output}"
        case e.ToolOutputDispatched():
            return f"{event.call_id} on {event.link}: {event.output}"
        case e.ItemSeeded():
            return f'{event.link} {event.role or "item"} {event.item} "{event.text}"'
        case e.ItemForwarded():
            return f"{event.item} on {event.link}"
        case _:
            return _of_the_user(event)


def _of_the_user(event: e.Event | e.Unknown | e.Erased) -> str:
    match event:
        case e.SpeechStarted():
            held = ", callers are not told yet" if event.held else ""
            return f"at {event.audio_start_ms} ms of the input, {event.item}{held}"
        case e.SpeechConfirmed():
            return f"{event.item} is speech: callers are told"
        case e.SpeechSustained():
            return f"{event.ms} ms above what is played, on {event.link}"
        case e.SpeechStopped():
            return f"at {event.audio_end_ms} ms of the input, {event.item}"
        case e.InputCommitted():
            return event.item
        case e.TurnDiscarded():
            return f"{event.item}: {event.reason}"
        case e.AnswerAsked():
            held = ", once the session's tools have answered, too" if event.held else ""
            return f"{event.link}{held} {_text(event.request) if event.request else ''}"
        case e.CallerCancelled():
            return f"{event.link} wants no more of {event.response or 'what sounds'}"
        case e.DigitPressed():
            return event.digit
        case e.AnswersSwitched():
            return f"the {event.answers} answers from here on"
        case _:
            return _of_the_mouth(event)


def _of_the_mouth(event: e.Event | e.Unknown | e.Erased) -> str:
    match event:
        case e.SayDispatched():
            part = f" part {event.part + 1}" if event.part else ""
            words = f': "{event.text}"' if event.text else ""
            return f"{event.say}{part} attempt {event.attempt} on {event.link}{words}"
        case e.SayRefused():
            return f"{event.say} attempt {event.attempt}: {event.code} {event.message}"
        case e.SayResumed():
            return f'{event.say} goes on with "{event.text}"'
        case e.SaySpoken():
            spoken = "as asked for" if event.similarity == 1 else f'{event.similarity:.0%} alike: "{event.spoken}"'
            return f"{event.say} {spoken}"
        case e.ResponseStarted():
            whose = "nobody waits for" if event.dead else event.say or "the model answers"
            return f"{whose} {event.response}"
        case e.AudioStarted():
            return event.response
        case e.ResponseEnded():
            return f"{event.status} {event.code} {event.generated_ms} ms {event.response}"
        case e.ResponseDelivered():
            return f"{event.response}, {event.delivered_ms} ms"
        case e.PlayoutAcknowledged():
            return f"{event.link} played {event.played_ms} ms of {event.item or event.response}"
        case e.PlayoutBuffered():
            return f"{event.link} has {event.state} {'playing ' if event.state != 'cleared' else ''}{event.response} itself"
        case e.PlayoutCut():
            return f"{event.say or 'the model'} by {event.reason}, {_heard(event)}"
        case e.PlayoutEnded():
            cut = ", cut short" if event.interrupted else ""
            return f"{event.say or 'the model'}{cut}, {_heard(event)}"
        case e.OutputClearDispatched():
            return f"{event.link} is to drop what it has not played"
        case e.CancelDispatched():
            return f"{event.response} on {event.link}"
        case e.TruncateDispatched() | e.ItemTruncated():
            return f"{event.item} at {event.audio_end_ms} ms on {event.link}"
        case e.ItemDeleteDispatched():
            return f"{event.item} on {event.link}, of which nothing was heard"
        case _:
            return _fields(event)


def _heard(event: e.PlayoutCut | e.PlayoutEnded) -> str:
    heard_ms = sum(part.heard_ms for part in event.heard)
    made_ms = sum(part.generated_ms for part in event.heard)
    words = " ".join(part.heard_text for part in event.heard if part.heard_text)
    source = f" ({event.source})" if event.source not in ("none", "clock") else ""
    return f"heard {heard_ms} of {made_ms} ms{source}" + (f': "{words}"' if words else "")


def _voice(event: e.LinkReady) -> str:
    audio = event.session.get("audio")
    output = audio.get("output") if isinstance(audio, dict) else None
    voice = output.get("voice") if isinstance(output, dict) else None
    return voice if isinstance(voice, str) else ""


def _configuration(event: e.ConfigurationDispatched) -> str:
    who = f", the {event.answers} answers" if event.answers else ""
    held = ", but not while a say is open" if event.answer_held else ""
    return f"{event.link}{who}{held} {_text(event.settings) if event.settings else ''}"


def _fields(event: e.Event | e.Unknown | e.Erased) -> str:
    parts = ((name, getattr(event, name)) for name in event.__struct_fields__)
    return " ".join(f"{name}={_text(value)}" for name, value in parts if value not in (None, "", {}, []))


def _text(value: object) -> str:
    match value:
        case bytes():
            return value.decode(errors="replace")
        case str() | int() | float():
            return str(value)
        case _:
            return msgspec.json.encode(value).decode()
