"""How many a second, lately: `Pace`."""

from collections import deque

SPAN_S = 20.0
SAMPLES = 20


class Pace:
    """The pace at which a total grows, over the last ``span_s`` seconds. One thread notes; any may read."""

    def __init__(self, span_s: float = SPAN_S) -> None:
        self._span_s = span_s
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES + 2)

    def note(self, total: int, now: float) -> None:
        """The total is this now; to be called often, for it costs nothing most of the time."""
        if not self._samples or now - self._samples[-1][0] >= self._span_s / SAMPLES:
            self._samples.append((now, total))

    def read(self, now: float) -> float | None:
        """How many a second there were; None while that can't be told yet."""
        samples = list(self._samples)
        if not samples:
            return None
        before = [each for each in samples if each[0] <= now - self._span_s]
        first_s, first = before[-1] if before else samples[0]
        last_s, last = samples[-1]
        if last_s == first_s:  # nothing was noted since
            return 0.0 if now - last_s > self._span_s else None
        return max(0, last - first) / (now - max(first_s, now - self._span_s))
