"""The page: `make_page`, and ``python -m docs.generator.page`` to write it."""

from collections.abc import Iterator
from pathlib import Path

from .commands import render_commands, render_statuses
from .metrics import render_all_metrics
from .options import render_options

PAGE = Path(__file__).parents[1] / "reference.md"


def make_page() -> str:
    """The text of docs/reference.md."""
    return "\n".join(_render()).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _render() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield (
        "Made of the code by `scripts/reference`; don't change it by hand. The guides say what it is all for: "
        "[stations](station.md), [files](mesh.md), [databases](push.md), [blocks](blocks.md), [the page](web.md)."
    )
    yield ""
    yield "* [Commands](#commands)\n* [How a command ends](#how-a-command-ends)\n* [Configuration](#configuration)"
    yield "* [Metrics](#metrics)"
    yield ""
    yield "## Commands"
    yield ""
    yield from render_commands()
    yield "## How a command ends"
    yield ""
    yield from render_statuses()
    yield ""
    yield "## Configuration"
    yield ""
    yield (
        "Tables of samesky.toml. What stands in `[broker]` holds for both roles of a station; weewx.conf has the same "
        'options in `[MQTTReplicate]`. Where a file is named for a secret, `"credential:NAME"` is one that systemd '
        "passes to the service."
    )
    yield ""
    yield from render_options()
    yield "## Metrics"
    yield ""
    yield from render_all_metrics()


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
