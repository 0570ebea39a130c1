"""Workers share the work under names that stay, are started again when they end, and end with whoever runs them."""

import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.mesh import workers as workers_module
from samesky.mesh.workers import Supervisor, Worker, plan_shared, plan_split
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


def test_each_worker_has_a_name_of_its_own_and_all_share_one_subscription() -> None:
    workers = plan_shared(3, "cwao", ["--broker", "mqtt://b"], group="g", first=["--serve", ":8000"])
    assert [each.name for each in workers] == ["cwao-00", "cwao-01", "cwao-02"]
    for each in workers:
        assert each.arguments[:4] == ("--client-id", each.name, "--share", "g")
        assert each.arguments[-2:] == ("--broker", "mqtt://b")
    assert [each.arguments[4:-2] for each in workers] == [("--serve", ":8000"), ("--no-compare",), ("--no-compare",)]


def test_a_dispatcher_spreads_the_announcements_over_the_topics_of_its_workers() -> None:
    dispatcher, *workers = plan_split(
        2,
        "cwao",
        ["--inline"],
        brokers=["mqtt://a", "mqtt://b"],
        post_broker="mqtt://here",
        exchange="xpublic",
        post_exchange="xpublic",
        first=["--serve", ":1"],
    )
    text = " ".join(dispatcher.arguments)
    assert "--no-download" in text
    assert "--broker mqtt://a --broker mqtt://b --exchange xpublic" in text
    assert "--post-broker mqtt://here --post-exchange cwao --post-exchange-split 2" in text
    for number, each in enumerate(workers):
        text = " ".join(each.arguments)
        assert f"--client-id cwao-0{number} --broker mqtt://here --exchange cwao0{number} " in text
        assert "--post-broker mqtt://here --post-exchange xpublic" in text
        assert ("--serve" in text) == (number == 0)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the interpreter that runs a worker: notes its start in a file, and does what its name says."""
    script = tmp_path / "worker"
    code = f"""\
        #!{sys.executable}
        import os, socket, sys, time
        def tell(text):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.sendto(text, os.environ["NOTIFY_SOCKET"])
        name = sys.argv[sys.argv.index("--client-id") + 1]
        with open({str(tmp_path / "starts")!r}, "a") as starts:
            print(name, os.getpid(), file=starts)
        print("words of", name)
        if name in ("hangs", "lives"):
            tell(b"READY=1\\nSTATUS=well")
            open({str(tmp_path / "ready")!r}, "w").close()
        while name == "lives":
            tell(b"WATCHDOG=1")
            time.sleep(0.05)
        if name == "wrong":
            sys.exit(2)
        time.sleep(0 if name == "brief" else 600)
        """
    script.write_text(textwrap.dedent(code))
    script.chmod(0o755)
    monkeypatch.setattr(workers_module.sys, "executable", str(script))
    monkeypatch.setattr(workers_module, "FIRST_DELAY_S", 0.05)
    return tmp_path / "starts"


def starts(file: Path) -> list[str]:
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def worker(name: str) -> Worker:
    return Worker(name, ("--client-id", name))


def test_workers_run_while_the_block_lasts_and_each_has_its_log(program: Path, tmp_path: Path) -> None:
    with Supervisor([worker("a"), worker("b")], log_folder=tmp_path / "log") as supervisor:
        pids = supervisor.pids
        assert set(pids) == {"a", "b"}
        wait_for(lambda: sorted(starts(program)) == ["a", "b"], 60)
    assert not any(map(alive, pids.values()))
    assert {each.name for each in (tmp_path / "log").iterdir()} == {"a.log", "b.log"}


def test_a_worker_that_ends_is_started_again_under_its_name_and_the_others_go_on(program: Path) -> None:
    with Supervisor([worker("a"), worker("b")]) as supervisor:
        before = supervisor.pids
        wait_for(lambda: len(starts(program)) == 2, 60)
        os.kill(before["a"], signal.SIGKILL)
        supervisor.run(lambda: len(starts(program)) < 3)
        assert starts(program)[-1] == "a"
        assert supervisor.pids["b"] == before["b"]
        assert supervisor.pids["a"] != before["a"]


def test_one_that_ends_at_once_is_started_ever_more_rarely(program: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Supervisor([worker("brief")]) as supervisor:
        supervisor.run(lambda: len(starts(program)) < 4)
    delays = [
        float(record.getMessage().split("restart_s=")[1])
        for record in caplog.records
        if "worker_ended" in record.getMessage()
    ]
    assert len(delays) >= 3
    assert delays[2] > delays[0]


def test_one_that_gives_no_sign_any_more_is_ended_and_started_again(
    program: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "HUNG_AFTER_S", 5.0)
    with Supervisor([worker("hangs"), worker("lives"), worker("starting")]) as supervisor:
        before = supervisor.pids
        supervisor.run(lambda: len(starts(program)) < 4)
        after = supervisor.pids
        assert starts(program)[3:] == ["hangs"]
        assert not alive(before.pop("hangs"))
        assert before == {name: after[name] for name in before}
    assert [each.getMessage() for each in caplog.records if "hung" in each.getMessage()] == [
        "worker_hung name=hangs silent_s=5"
    ]


def test_a_stopped_process_that_cannot_even_abort_is_killed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "HUNG_AFTER_S", 3.0)
    monkeypatch.setattr(workers_module, "ABORT_S", 0.1)
    with Supervisor([worker("lives")]) as supervisor:
        pid = supervisor.pids["lives"]
        wait_for((tmp_path / "ready").exists, 60)
        os.kill(pid, signal.SIGSTOP)
        supervisor.run(lambda: len(starts(program)) < 2)
        assert not alive(pid)


def test_a_configuration_that_is_wrong_ends_them_all(program: Path) -> None:
    with Supervisor([worker("a"), worker("wrong")]) as supervisor:
        pids = supervisor.pids
        with pytest.raises(ConfigError, match="worker wrong"):
            supervisor.run()
    assert not any(map(alive, pids.values()))
