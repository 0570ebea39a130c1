"""Catch-up and live: the claims of docs/performance.md about them, measured here.

    scripts/bench catch_up              everything, about seven minutes
    scripts/bench catch_up --quick      smaller and shorter: is anything far off?
    scripts/bench catch_up --only live  one part

References are measured in the same run on the same machine. Ends with status 1 when a bar doesn't hold.
"""

import click

from .parts import Part, run_parts
from .station import columns, crowd, files, live, weewxd

QUICK_RECORDS, RECORDS = 100_000, 1_000_000


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
    run_parts(_parts(records or (QUICK_RECORDS if quick else RECORDS), quick), only=only, as_json=as_json)


if __name__ == "__main__":
    main()
