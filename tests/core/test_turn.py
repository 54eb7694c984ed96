"""SessionTurn: AgentField's names."""

import pytest

from turnlog.core.turn import SessionTurn


def test_a_turn_has_agentfields_fields_in_its_order() -> None:
    """Code written for AgentField's SessionTurn reads ours."""
    assert SessionTurn.__struct_fields__ == ("text", "transcript", "audio", "audio_format", "channel", "metadata")


def test_a_turn_is_made_by_keyword_and_cannot_be_changed() -> None:
    """Frozen, with a default for every field, and metadata of its own."""
    turn, other = SessionTurn(text="hi"), SessionTurn()
    assert (turn.text, turn.transcript, turn.audio, turn.channel) == ("hi", None, None, "audio")
    assert turn.metadata is not other.metadata
    with pytest.raises(AttributeError):
        turn.text = "x"  # type: ignore[misc] # what the test shows
