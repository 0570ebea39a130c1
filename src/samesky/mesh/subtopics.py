"""Which directories the user's ``--subtopic`` options mean: the same for what a broker sends and for comparisons."""

from collections.abc import Sequence

from .paths import POST_LEVELS, topic_of


class Subtopics:
    """The subtopics of a subscription, such as ``+/GTS/+/IU/#``; none means all."""

    def __init__(self, subtopics: Sequence[str]) -> None:
        self._filters = [text.strip("/").split("/") for text in subtopics] or [["#"]]

    def takes(self, path: str) -> bool:
        """Whether a file is in a directory that is meant (MQTT v5, 4.7)."""
        levels = _levels(path)
        return any(_fits(each, levels, whole=True) for each in self._filters)

    def covers(self, directory: str) -> bool:
        """Whether a file in ``directory``, or below it, may be meant; the top is the empty text."""
        levels = _levels(f"{directory}/x") if directory else []
        return any(_fits(each, levels, whole=False) for each in self._filters)


def _levels(path: str) -> list[str]:
    """The levels of the topic of ``path`` that are directories."""
    return topic_of("", path).removeprefix(f"/{POST_LEVELS}").split("/")[1:]


def _fits(wanted: Sequence[str], levels: Sequence[str], *, whole: bool) -> bool:
    for position, level in enumerate(levels):
        if position >= len(wanted):
            return False
        if wanted[position] == "#":
            return True
        if wanted[position] not in ("+", level):
            return False
    rest = wanted[len(levels) :]
    return not whole or not rest or rest[0] == "#"
