"""The commands and the ways in which they end, as the code says them."""

import re
from collections.abc import Iterator

import click

from samesky.cli import main as program


def render_commands() -> Iterator[str]:
    """A section for each command, groups first: usage, what it does, options, an example."""
    yield from _render(program.samesky, click.Context(program.samesky, info_name="samesky"))


def render_statuses() -> Iterator[str]:
    """The table of exit statuses."""
    yield "| exit status | means |"
    yield "|---|---|"
    for status, words in read_statuses().items():
        yield f"| {status} | {words} |"


def read_statuses() -> dict[int, str]:
    """Exit status -> what it means, as the command's own documentation has them."""
    table = (program.__doc__ or "").partition("\n\n")[2]
    told = re.findall(r"(?<!\S)(\d+) +(\D.*?)(?=\s{2,}\d|$)", table, re.MULTILINE)
    return {int(status): words.strip() for status, words in sorted(told, key=lambda each: int(each[0]))}


def _render(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"### {context.command_path}"
    yield ""
    yield f"`{' '.join([context.command_path, *command.collect_usage_pieces(context)])}`"
    yield ""
    yield _escape(_prose(command.help or ""))
    yield ""
    yield from _render_options(command, context)
    if command.epilog:
        yield f"Example: `{command.epilog.removeprefix('Example: ')}`"
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _render(below, click.Context(below, parent=context, info_name=name))


def _render_options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [each.get_help_record(context) for each in command.get_params(context) if isinstance(each, click.Option)]
    told = [record for record in records if record is not None and "--help" not in record[0]]
    if not told:
        return
    yield "| option | what it does |"
    yield "|---|---|"
    for names, words in told:
        yield f"| `{_cell(names)}` | {_cell(_escape(words))} |"
    yield ""


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", text.replace("\b", "")))


def _escape(text: str) -> str:
    """What Markdown would take for a tag."""
    return re.sub(r"<(?=\w)", "&lt;", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
