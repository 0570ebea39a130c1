"""`samesky check`: every mistake of a weewx.conf or a samesky.toml at once, and with ``online`` the broker's rights.

report.py          what was found, and the exit status of it
source.py          reading the file
roles.py           which roles the file configures, and how
weewx_conf.py      what is special to weewx.conf: engine, driver, services at a copy
toml_file.py       what is special to samesky.toml
databases.py       the databases, and the disk below them
installation.py    the libraries
probe.py           a connection that tries things out without hurting anybody
online_copy.py     a copy's rights, and what its primary says of itself
online_primary.py  a primary's rights
comparison.py      what a copy makes of its primary's description
"""

from .report import Report, check_file

__all__ = ["Report", "check_file"]
