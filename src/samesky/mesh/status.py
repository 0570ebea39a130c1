"""What a peer is doing: one value that feeds the log line, the status page and ``/metrics``, and how lag is measured.

Lag is what the seed means by it: from ``pubTime``, which the first node of the mesh set and nobody changed, to the
moment at which the file is in its place here. So it is measured over any number of hops.
"""

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from ..core.status import State

LAG_SPAN_S = 300.0
"""Lag is told of the files of the last minutes."""
SLICES = 10
STEPS_PER_DOUBLING = 16
"""A lag is known to within 4.4 %: 2^(1/16)."""
_LEAST_S = 1e-4


@dataclass(frozen=True, slots=True)
class Lag:
    """How old files were when they were in place, in seconds; nothing but zeros when none came."""

    count: int = 0
    mean_s: float = 0.0
    p95_s: float = 0.0
    max_s: float = 0.0


class LagMeter:
    """Measures lag over the last ``span_s`` seconds in bounded memory, whatever the rate: counts per slice of time.

    ``now_s`` may be any clock that doesn't go back by much. Adding costs about a microsecond.
    """

    def __init__(self, span_s: float = LAG_SPAN_S) -> None:
        self._slice_s = span_s / SLICES
        self._slices: deque[_Slice] = deque(maxlen=SLICES + 1)  # the oldest is being left, the newest being filled

    def add(self, lag_s: float, now_s: float) -> None:
        """Note that a file of age ``lag_s`` came; a negative age (the clocks differ) counts as 0."""
        index = int(now_s // self._slice_s)
        if not self._slices or index > self._slices[-1].index:
            self._slices.append(_Slice(index))
        self._slices[-1].add(max(lag_s, 0.0))

    def read(self, now_s: float) -> Lag:
        """Return the lag of the files of the last ``span_s`` seconds (up to a tenth more)."""
        first = int(now_s // self._slice_s) - SLICES
        recent = [each for each in self._slices if each.index >= first]
        count = sum(each.count for each in recent)
        if not count:
            return Lag()
        most_s = max(each.max_s for each in recent)
        return Lag(count, sum(each.total_s for each in recent) / count, min(_find_p95(recent, count), most_s), most_s)


class _Slice:
    """The lags of a few seconds: how many there were in each step of a logarithmic scale."""

    __slots__ = ("count", "index", "max_s", "steps", "total_s")

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0
        self.total_s = 0.0
        self.max_s = 0.0
        self.steps: dict[int, int] = {}

    def add(self, lag_s: float) -> None:
        self.count += 1
        self.total_s += lag_s
        self.max_s = max(self.max_s, lag_s)
        step = math.ceil(STEPS_PER_DOUBLING * math.log2(max(lag_s, _LEAST_S)))
        self.steps[step] = self.steps.get(step, 0) + 1


def _find_p95(slices: list[_Slice], count: int) -> float:
    """The upper end of the step below or in which 95 % of the lags are."""
    steps: dict[int, int] = {}
    for each in slices:
        for step, times in each.steps.items():
            steps[step] = steps.get(step, 0) + times
    left = math.ceil(0.95 * count)
    for step in sorted(steps):
        left -= steps[step]
        if left <= 0:
            return float(2 ** (step / STEPS_PER_DOUBLING))
    raise AssertionError("the steps hold fewer lags than were counted")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourStatus:
    """One neighbour: what came from it since we started, and what it has that we lack. Times are Unix seconds."""

    name: str
    """Its broker's URL, without a password."""
    state: State = "waiting"
    """``catching-up``: something of it waits to be fetched, or a comparison is under way."""
    since: float = 0.0
    """When it came into ``state``."""
    received: int = 0
    """Announcements."""
    fetched: int = 0
    """Files that were downloaded, verified and put in place."""
    inlined: int = 0
    """Files that came inside of their announcements."""
    size_bytes: int = 0
    """Of both."""
    removed: int = 0
    failed: int = 0
    """Downloads that ended without the file, and were or will be tried again."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Announcements of what isn't needed, by reason."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Announcements and files that weren't taken, by reason."""
    lag: Lag = Lag()
    queue: int = 0
    """Announcements whose files are still to be fetched."""
    late: int = 0
    """Those of them that came late: they are fetched when nothing newer waits."""
    same: bool | None = None
    """Whether the last comparison found nothing that we lack; None before the first one."""
    lacking: int = 0
    """Files that it has and we lack, as the last comparison found."""
    proven_at: float | None = None
    """When our tree was last proven to hold all that this neighbour's has."""
    compares: bool = True
    """Whether trees are compared with it at all."""
    rate_per_s: float | None = None
    """Files a second that came, lately."""
    last_error: str = ""
    remedy: str = ""
    """What a person may do about it, where a person has to decide."""

    def describe(self) -> str:
        """Return this as one log line of ``key=value``; ``-`` is unknown or none."""
        return _describe(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Return this as a new dict that ``json.dumps`` takes, in the order of the fields."""
        return _as_dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshStatus:
    """A peer at one moment. Times are Unix seconds."""

    node: str
    """The id of the tree."""
    tree: str
    """Its folder."""
    at: float
    started_at: float
    files: int = 0
    """In the tree, as its index knows it."""
    newest: float | None = None
    """The latest pubTime of them."""
    announced: int = 0
    """Announcements that our own broker took."""
    to_announce: int = 0
    """Those that it hasn't taken yet."""
    post_state: State = "waiting"
    """The connection to our own broker."""
    fetching: int = 0
    """Downloads under way."""
    neighbours: tuple[NeighbourStatus, ...] = ()
    last_error: str = ""

    @property
    def queue(self) -> int:
        """Announcements of all neighbours whose files are still to be fetched."""
        return sum(each.queue for each in self.neighbours)

    @property
    def late(self) -> int:
        """Those of them that came late."""
        return sum(each.late for each in self.neighbours)

    @property
    def lacking(self) -> int:
        """The most that any one neighbour has and we lack."""
        return max((each.lacking for each in self.neighbours), default=0)

    @property
    def same(self) -> bool | None:
        """Whether we lack nothing that any neighbour has; None while that isn't known of all of them."""
        known = {each.same for each in self.neighbours}
        return False if False in known else True if known == {True} else None

    def describe(self) -> str:
        """Return the peer, without its neighbours, as one log line of ``key=value``; ``-`` is unknown or none."""
        pairs = self.as_dict()
        del pairs["neighbours"]
        return _describe(pairs)

    def as_dict(self) -> dict[str, object]:
        """Return this as a new dict that ``json.dumps`` takes: the fields in order, then what follows from them."""
        neighbours = [each.as_dict() for each in self.neighbours]
        sums = {"queue": self.queue, "late": self.late, "lacking": self.lacking, "same": self.same}
        return _as_dict(self) | sums | {"neighbours": neighbours}


def _as_dict(status: NeighbourStatus | MeshStatus) -> dict[str, object]:
    return dict(_plain_fields(status))


def _plain_fields(status: NeighbourStatus | MeshStatus) -> Iterator[tuple[str, object]]:
    for each in fields(status):
        match getattr(status, each.name):
            case Lag() as lag:
                yield each.name, {part.name: round(getattr(lag, part.name), 6) for part in fields(lag)}
            case Mapping() as counts:
                yield each.name, {str(reason): count for reason, count in counts.items()}
            case value:
                yield each.name, value


def _describe(pairs: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_describe_value(value)}" for name, value in pairs.items())


def _describe_value(value: object) -> str:
    """Return ``value`` so that it can't be taken for two pairs, or break the line."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}"
        case dict():
            return ",".join(f"{name}:{_describe_value(each)}" for name, each in value.items()) or "-"
        case str() if not all(letter.isprintable() and letter not in ' "=' for letter in value):
            return json.dumps(value)
    return str(value)
