"""When a stream stops for a person's decision, how that is remembered, and how the decision reaches a running copy.

A hold is a row in the state file: it outlives the process, `samesky status` shows it, and `samesky repair` removes it.
"""

from collections.abc import Callable, Iterable

from .decisions import find_doubt
from .description import Description
from .state import State

LOOK_INTERVAL_S = 5.0


class Holds:
    """The holds of one copy's streams. ``accept_origin`` is an origin that the owner has said is right."""

    def __init__(self, state: State, streams: Iterable[str], *, accept_origin: str, timer: Callable[[], float]) -> None:
        self._state = state
        self._accept_origin = accept_origin
        self._timer = timer
        self._look_at = timer()
        self._held = {stream: reason for stream in streams if (reason := state.read_hold(stream))}
        if accept_origin:
            for stream in list(self._held):
                self._forget(stream)

    def reason(self, stream: str) -> str:
        """Why ``stream`` is held; empty when it isn't."""
        return self._held.get(stream, "")

    def look(self, stream: str) -> str:
        """Why ``stream`` is held, by whom ever: a repair is undone beside a running copy. Empty when it isn't."""
        if reason := self._state.read_hold(stream):
            self._held[stream] = reason
        return reason

    def hold(self, stream: str, reason: str) -> None:
        """Hold ``stream`` until a person has decided."""
        self._held[stream] = reason
        self._state.write_hold(stream, reason)

    def find_reason(self, stream: str, description: Description, *, from_copy: bool) -> str:
        """Why nothing may be taken from a primary of this description before a person has decided; empty: it may.

        A copy that describes itself for its primary may have fewer records.
        """
        doubt = find_doubt(
            self._state,
            description,
            stream,
            accepted_origin=self._accept_origin,
            allowed_deletions=self._state.read_count(stream) if from_copy else 0,
        )
        return "" if doubt is None else f"{doubt.message}. {doubt.hint}"

    def note(self, stream: str, description: Description, *, from_copy: bool) -> None:
        """This primary is the right one: remember it."""
        if description.origin:
            self._state.write_origin(stream, description.origin)
        if description.origin and not from_copy:
            self._state.write_count(stream, description.count)

    def next_time(self) -> float:
        """When `take_released` has something to do, by the timer."""
        return self._look_at if self._held else float("inf")

    def take_released(self) -> list[str]:
        """The streams about which a person has decided since the last time."""
        if self._timer() < self.next_time():
            return []
        self._look_at = self._timer() + LOOK_INTERVAL_S
        released = [stream for stream in self._held if not self._state.read_hold(stream)]
        for stream in released:
            self._forget(stream)
        return released

    def _forget(self, stream: str) -> None:
        del self._held[stream]
        self._state.write_hold(stream, "")
        self._state.write_count(stream, 0)  # however few the primary has: that was decided
