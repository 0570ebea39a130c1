"""`samesky mesh`: a tree of files, the same on every peer. Each subcommand is the file ``mesh_<name>.py``."""

import click

from .command_files import CommandFiles


@click.command(
    "mesh",
    cls=CommandFiles,
    names=("peer", "pub", "watch", "serve", "workers", "prune", "lag"),
    prefix="mesh_",
    epilog="Example: samesky mesh peer --broker mqtt://guest@peer.example --post-broker mqtt://owner@localhost",
)
def command() -> None:
    """Keep a tree of files the same on many peers."""
