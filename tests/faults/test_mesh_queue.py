"""A peer that is away while far more is announced than its neighbour's broker keeps for it.

``SAMESKY_MESH_AWAY_FILES`` sets how much.
"""

import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from stands.mesh_cluster import running_nodes, wait_until_same, wait_until_there, write_files
from stands.mesh_web import ScriptedWeb, answering, target_of, whole

pytestmark = pytest.mark.slow

FILES = int(os.environ.get("SAMESKY_MESH_AWAY_FILES", "100000"))
KEPT_MESSAGES = 1000
DEADLINE_S = 400.0


def test_who_was_away_while_the_broker_lost_nearly_all_announcements_gets_every_file_once(tmp_path: Path) -> None:
    fetched: Counter[str] = Counter()
    queues = (f"max_queued_messages {KEPT_MESSAGES}", "set_tcp_nodelay true")
    with running_nodes(tmp_path, ("home", "away"), web="other", broker_options=queues) as (home, away):

        def answer(request: str) -> bytes:
            fetched[target_of(request)] += 1
            return whole((home.tree / target_of(request).lstrip("/")).read_bytes())

        with ScriptedWeb(answering(answer)) as web:
            home.web_port = web.port
            home.join(home.broker_url)
            away.join(home.broker_url)
            home.start()
            away.start()
            (probe,) = write_files(home, Random(0), 1, prefix="probe")
            home.publish([probe])
            wait_until_there(away, [probe], 60)

            away.peer.kill()
            paths = write_files(home, Random(1), FILES, size_bytes=100)
            home.publish(paths)
            assert not (away.tree / paths[0]).exists()

            away.start()
            wait_until_there(away, paths, DEADLINE_S)
            wait_until_same([home, away], FILES + 1, 120)
            twice = {path: count for path, count in fetched.items() if count > 1}
            assert twice == {}
            assert len(fetched) == FILES + 1
