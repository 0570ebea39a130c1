"""The push: the claims of docs/performance.md about it, measured here.

    scripts/bench push                   everything
    scripts/bench push --quick           a fifth of the rows: is anything far off?
    scripts/bench push --only transfer   one part

A site's readings lie in MariaDB; `samesky push run` sends them over HTTP to `samesky push serve`, whose centre is in
MariaDB or PostgreSQL, each a process of its own on this machine; both databases flush to the disk at each commit.
`mariadb-dump | mariadb` and COPY of the same rows are measured in the same run. Ends with status 1 when a bar doesn't
hold.
"""

import click

from .parts import Part, run_parts
from .push_parts import crowd, slow_link, transfer


def _parts(quick: bool) -> dict[str, Part]:
    return {
        "transfer": lambda folder: transfer.measure(folder, rows=200_000 if quick else 1_000_000),
        "slow_link": lambda folder: slow_link.measure(folder, rows=50_000 if quick else 200_000),
        "crowd": lambda folder: crowd.measure(folder, sites=20 if quick else 100),
    }


@click.command(epilog="Example: scripts/bench push --quick --only transfer")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Fewer rows and sites.")
@click.option("--only", type=click.Choice(list(_parts(True))), multiple=True, help="This part; may be repeated.")
def main(as_json: bool, quick: bool, only: tuple[str, ...]) -> None:
    """Measure the push."""
    run_parts(_parts(quick), only=only, as_json=as_json)


if __name__ == "__main__":
    main()
