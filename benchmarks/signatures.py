"""Signatures: what docs/performance.md says of their cost, measured here.

    scripts/bench signatures              a minute and a half
    scripts/bench signatures --quick      smaller

Ends with status 1 when a bar doesn't hold.
"""

import click

from .parts import run_parts
from .station import signed


@click.command(epilog="Example: scripts/bench signatures --quick")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Smaller.")
def main(as_json: bool, quick: bool) -> None:
    """Measure what signing and checking costs."""
    records = 50_000 if quick else 500_000
    run_parts({"signed": lambda folder: signed.measure(folder, records=records)}, only=(), as_json=as_json)


if __name__ == "__main__":
    main()
