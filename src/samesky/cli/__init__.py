"""The command `samesky`: main.py finds the subcommand; every subcommand has a file of its name."""
