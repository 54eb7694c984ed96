"""A token bucket: so many a second in the mean, and a second's worth at once. The time is given to it."""

__all__ = ["Bucket"]


class Bucket:
    """Full at first. rate: tokens a second; it holds a second's worth, at least one."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._left = self._size
        self._at_s = now_s

    def take(self, now_s: float) -> float:
        """Take one: 0.0 if there was one, else in how many seconds there will be; then nothing was taken."""
        self._left = min(self._size, self._left + max(0.0, now_s - self._at_s) * self._rate)
        self._at_s = max(self._at_s, now_s)
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._rate
