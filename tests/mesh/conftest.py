"""What the tests of whole peers share: brokers, and a stack for all that is to end with the test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def brokers(tmp_path: Path, stack: ExitStack) -> list[MosquittoBroker]:
    return [stack.enter_context(MosquittoBroker(dir=tmp_path / f"broker-{number}")) for number in range(3)]
