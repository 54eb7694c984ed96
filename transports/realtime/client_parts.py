"""What has been seen of the parts of one response: their audio counted, their words gathered. Pure.

A part is one content index of one item. Parts stand in the order in which they began, which is the order they are heard in;
the words of the whole response stand in the order of the provider's output indices.
"""

from collections.abc import Iterable

from ...core.events.playout import PartGenerated
from .audio import AudioFormat, duration_ms
from .message_objects import Item
from .messages import PartView

__all__ = ["PartSize", "Parts", "item_text"]


class PartSize:
    """What has been seen of one part."""

    __slots__ = ("audio_bytes", "place", "text", "words")

    def __init__(self, place: tuple[int, int]) -> None:
        self.place = place  # (output index, content index)
        self.audio_bytes = 0
        self.words: str | None = None  # of the audio
        self.text: str | None = None  # of a text response


class Parts:
    """The parts of one response; `form` is the format of its audio."""

    def __init__(self, form: AudioFormat) -> None:
        self.form = form
        self.bytes_per_ms = form.bytes_per_ms
        self._parts: dict[tuple[str, int], PartSize] = {}  # by item and content index

    def add_audio(self, view: PartView, size: int) -> float:
        """`size` bytes of audio came; returns how many ms they are."""
        self.of(view).audio_bytes += size
        return size / self.bytes_per_ms

    def add_words(self, view: PartView, delta: str, *, spoken: bool) -> None:
        """A piece of transcript, or of text."""
        part = self.of(view)
        if spoken:
            part.words = (part.words or "") + delta
        else:
            part.text = (part.text or "") + delta

    def set_words(self, view: PartView, text: str, *, spoken: bool) -> None:
        """All words of a part: they count, whatever deltas were seen."""
        part = self.of(view)
        if spoken:
            part.words = text
        else:
            part.text = text

    def of(self, view: PartView) -> PartSize:
        """The part that a message is of."""
        part = self._parts.get((view.item_id, view.content_index))
        if part is None:
            part = self._parts[view.item_id, view.content_index] = PartSize((view.output_index, view.content_index))
        return part

    @property
    def generated_ms(self) -> int:
        """The audio of all parts."""
        return int(duration_ms(sum(part.audio_bytes for part in self._parts.values()), self.form))

    def generated(self, output: list[Item] | None) -> list[PartGenerated]:
        """Each part as it ended; if nothing of them was seen, as response.done shows them in its `output`."""
        if not self._parts:
            return list(_told(output or ()))
        return [
            PartGenerated(
                item=item,
                content_index=index,
                generated_ms=int(duration_ms(part.audio_bytes, self.form)),
                transcript=(part.text if part.words is None else part.words) or "",
            )
            for (item, index), part in self._parts.items()
        ]

    def transcript(self, output: list[Item] | None) -> str:
        """The words of the audio of all parts, else their texts, else those in `output`."""
        parts = sorted(self._parts.values(), key=lambda part: part.place)
        words = [part.words for part in parts if part.words is not None]
        found = words or [part.text for part in parts if part.text is not None]
        if len(found) == 1:
            return found[0]
        return " ".join(text.strip() for text in found) or " ".join(filter(None, (item_text(item) for item in output or ())))


def _told(output: Iterable[Item]) -> Iterable[PartGenerated]:
    for item in output:
        for index, part in enumerate(item.content or ()):
            if item.id is not None and (words := part.transcript or part.text):
                yield PartGenerated(item=item.id, content_index=index, transcript=words)


def item_text(item: Item) -> str:
    """The words of an item that are known: its texts and transcripts, joined by a space."""
    return " ".join(text for part in item.content or () if (text := part.text or part.transcript))
