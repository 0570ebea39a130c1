"""What `samesky demo blocks` has looked at: `Steps`, for its table at the end, and for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..blocks.paths import Value


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at: what should be, and what is."""

    what: str
    wanted: str
    found: str

    @property
    def is_right(self) -> bool:
        """Whether it is as it should be."""
        return self.wanted == self.found

    @property
    def verdict(self) -> str:
        """The same in words."""
        return "as it should be" if self.is_right else f"WRONG: it should be {self.wanted}"


class Steps:
    """All that was looked at, in this order."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def note(self, what: str, wanted: str, found: str) -> None:
        """``what`` should be ``wanted``, and is ``found``."""
        self._steps.append(Step(what, wanted, found))

    def note_data(self, what: str, wanted: Mapping[str, Value], found: Mapping[str, Value]) -> None:
        """The same of a block's data, whose members may be in any order."""
        self.note(what, _spell(wanted), _spell(found))

    @property
    def are_right(self) -> bool:
        """Whether everything is as it should be."""
        return all(step.is_right for step in self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def make_table(self) -> Table:
        """One row for each."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title="What was looked at", title_justify="left")
        for heading in ("what", "is", "result"):
            table.add_column(heading, overflow="fold")
        for step in self._steps:
            table.add_row(step.what, step.found, step.verdict)
        return table

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return {"same": self.are_right, "steps": [{**asdict(step), "right": step.is_right} for step in self._steps]}


def show(data: Mapping[str, Value]) -> str:
    """The data in one line, as they are."""
    return json.dumps(data, ensure_ascii=False)


def _spell(data: Mapping[str, Value]) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True)
