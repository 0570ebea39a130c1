"""Check and repair: the claims of docs/performance.md about them, measured here.

    scripts/bench repair                   everything, about five minutes
    scripts/bench repair --quick           smaller and shorter: is anything far off?
    scripts/bench repair --records 200000  of so many records
    scripts/bench repair --only mariadb    one part

Differences are made by hand in both databases, where the opt-in triggers note them. A thousand bring more deletions
than a copy does unasked, so a person's permission is given for those. Ends with status 1 when a bar doesn't hold.
"""

import click

from .parts import Part, run_parts
from .station import repairs

QUICK_RECORDS, RECORDS = 100_000, 1_000_000
QUICK_MARIADB_RECORDS, MARIADB_RECORDS = 20_000, 100_000


def _parts(records: int | None, quick: bool) -> dict[str, Part]:
    files, mariadb = (QUICK_RECORDS, QUICK_MARIADB_RECORDS) if quick else (RECORDS, MARIADB_RECORDS)
    return {
        "files": lambda folder: repairs.measure(folder, records=records or files),
        "mariadb": lambda folder: repairs.measure_mariadb(folder, records=min(records or mariadb, mariadb)),
    }


@click.command(epilog="Example: scripts/bench repair --quick --only files")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Smaller and shorter.")
@click.option("--records", type=click.IntRange(min=10_000), help="Records of the primary.")
@click.option("--only", type=click.Choice(list(_parts(None, True))), multiple=True, help="This part; may be repeated.")
def main(as_json: bool, quick: bool, records: int | None, only: tuple[str, ...]) -> None:
    """Measure checks and repairs."""
    run_parts(_parts(records, quick), only=only, as_json=as_json)


if __name__ == "__main__":
    main()
