"""`samesky check`: every mistake of a weewx.conf or a samesky.toml at once, and with ``online`` what others let us do.

report.py          what was found, and the exit status of it
roles.py           which roles the file configures, and how
weewx_conf.py      what is special to weewx.conf: engine, driver, services at a copy
toml_file.py       what is special to samesky.toml
other_systems.py   the tables of samesky.toml that aren't a station's, each by the settings of its system:
push_tables.py     [push], a synchronise.conf, [push.central]
blocks_table.py    [blocks]
web_table.py       [web]
listening.py       addresses to serve at
databases.py       the stations' databases, and the disk below them
installation.py    the libraries
raised.py          what was raised, as a finding
probe.py           a connection that tries things out without hurting anybody
online_copy.py     a copy's rights, and what its primary says of itself
online_primary.py  a primary's rights
comparison.py      what a copy makes of its primary's description
"""

from .report import Report, check_file

__all__ = ["Report", "check_file"]
