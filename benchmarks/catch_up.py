"""Catch-up and live: the claims of docs/performance.md about them, measured here.

    scripts/bench catch_up              everything, about seven minutes
    scripts/bench catch_up --quick      smaller and shorter: is anything far off?
    scripts/bench catch_up --only live  one part

References are measured in the same run on the same machine. Ends with status 1 when a bar doesn't hold.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from .station import columns, crowd, files, live, weewxd
from .station.claims import Claim, print_json, print_table
from .station.others import Others

QUICK_RECORDS, RECORDS = 100_000, 1_000_000

Part = Callable[[Path], list[Claim]]


def _parts(records: int, quick: bool) -> dict[str, Part]:
    return {
        "files": lambda folder: files.measure(folder, records=records),
        "columns": lambda folder: columns.measure(folder, records=20_000 if quick else 100_000),
        "weewxd": lambda folder: weewxd.measure(folder, records=20_000 if quick else 100_000),
        "live": lambda folder: live.measure(folder, slow_s=15 if quick else 60, fast_s=10 if quick else 60),
        "crowd": lambda folder: crowd.measure(folder, copies=200),
    }


@click.command(epilog="Example: scripts/bench catch_up --quick --only files")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Smaller and shorter.")
@click.option("--records", type=click.IntRange(min=1000), help="Records to catch up on, SQLite to SQLite.")
@click.option("--only", type=click.Choice(list(_parts(1, True))), multiple=True, help="This part; may be repeated.")
def main(as_json: bool, quick: bool, records: int | None, only: tuple[str, ...]) -> None:
    """Measure catch-up and live replication."""
    claims: list[Claim] = []
    for name, part in _parts(records or (QUICK_RECORDS if quick else RECORDS), quick).items():
        if not only or name in only:
            start, others = time.monotonic(), Others()
            with tempfile.TemporaryDirectory(prefix=f"samesky-bench-{name}-") as folder:
                claims += part(Path(folder))
            took_s = time.monotonic() - start
            print(f"{name}: {took_s:.0f} s, other programs used {others.share():.0%} of the CPUs", file=sys.stderr)
    (print_json if as_json else print_table)(claims)
    sys.exit(0 if all(claim.holds for claim in claims) else 1)


if __name__ == "__main__":
    main()
