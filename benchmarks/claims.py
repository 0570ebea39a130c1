"""A claim: a measured value, what it is measured against, the bar, and whether it holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure. With a ``reference`` the bar is for value / reference, else for the value itself.

    ``at_least`` or ``at_most`` is the bar; without either the claim is a figure for information and always holds.
    """

    claim: str
    value: float
    unit: str
    reference: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """value / reference."""
        return self.value / self.reference if self.reference else None

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar."""
        figure = self.value if self.ratio is None else self.ratio
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return {
            "claim": self.claim,
            "value": _rounded(self.value),
            "unit": self.unit,
            "reference": _rounded(self.reference),
            "ratio": _rounded(self.ratio),
            "at_least": self.at_least,
            "at_most": self.at_most,
            "holds": self.holds,
        }


def same(what: str, differences: int) -> Claim:
    """The claim that a copy equals its primary: every row of every table."""
    return Claim(f"{what}: tables that differ from the primary's, every row compared", differences, "tables", at_most=0)


def print_json(claims: Sequence[Claim]) -> None:
    """The claims as one JSON list on stdout."""
    print(json.dumps([claim.as_dict() for claim in claims], indent=2))


def print_table(claims: Sequence[Claim]) -> None:
    """The claims as a table on stdout."""
    table = Table(show_lines=False)
    table.add_column("claim")
    for heading in ("value", "reference", "ratio", "bar"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("holds")
    for claim in claims:
        reference, ratio = _figure(claim.reference), f"{claim.ratio:.2f}" if claim.ratio is not None else ""
        verdict = "[green]yes[/]" if claim.holds else "[red]no[/]"
        table.add_row(claim.claim, f"{_figure(claim.value)} {claim.unit}", reference, ratio, _bar(claim), verdict)
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)


def _bar(claim: Claim) -> str:
    if claim.at_least is not None:
        return f"≥ {_figure(claim.at_least)}"
    return "" if claim.at_most is None else f"≤ {_figure(claim.at_most)}"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.3g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
