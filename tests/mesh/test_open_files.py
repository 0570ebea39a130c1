"""A file that somebody has open for writing is known to be so, without holding anybody up."""

import os
import subprocess
import sys
from pathlib import Path

from samesky.mesh.open_files import read_open_for_writing


def is_open(file: Path) -> bool | None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return read_open_for_writing(descriptor)
    finally:
        os.close(descriptor)


def test_a_file_is_open_until_its_last_writer_has_closed_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    with open(file, "wb") as first:
        assert is_open(file)
        with open(file, "ab"):
            first.close()
            assert is_open(file)
    assert is_open(file) is False
    with open(file, "rb"):
        assert is_open(file) is False


def test_another_process_that_writes_is_seen_and_never_waits_for_us(tmp_path: Path) -> None:
    file = tmp_path / "a"
    program = "import sys; f = open(sys.argv[1], 'wb'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        assert is_open(file)
        writer.communicate(b"")
    assert is_open(file) is False
    with open(file, "ab") as again:  # would wait for 45 s if we had kept a lease
        again.write(b"x")


def test_where_the_system_does_not_tell_it_is_not_known(tmp_path: Path) -> None:
    assert is_open(tmp_path) is None  # leases are of files alone
