"""docs/mesh.md, followed to the letter on two machines: folders here, with this machine's ports put in."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stands.children import die_with_parent
from stands.ports import free_port
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "mesh.md"
MOSQUITTO = "/usr/sbin/mosquitto"
DEADLINE_S = 120


def read_blocks(section: str, language: str) -> list[str]:
    """The code blocks of ``language`` in the section of the guide whose heading begins so."""
    (body,) = re.findall(rf"^## {re.escape(section)}.*?$(.*?)(?=^## |\Z)", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


@dataclass
class Machine:
    """One of the two: a folder, a broker's port, a web server's port, and what its neighbour is called."""

    name: str
    folder: Path
    broker: int
    web: int
    others: "dict[str, Machine]"

    def localize(self, text: str) -> str:
        """The guide's text as this machine would have it if it shared its address with the other."""
        text = text.replace("/etc/mosquitto/pwfile", str(self.folder / "pwfile"))
        text = text.replace("listener 1883", f"listener {self.broker}").replace(
            "@localhost", f"@127.0.0.1:{self.broker}"
        )
        for name, other in self.others.items():
            text = text.replace(f"@{name}", f"@127.0.0.1:{other.broker}").replace(
                f"http://{name}:8000", f"http://127.0.0.1:{other.web}"
            )
        return text.replace("--serve 8000", f"--serve 127.0.0.1:{self.web}").replace(
            "samesky mesh", f'"{sys.executable}" -P -m samesky mesh'
        )

    def run(self, commands: str) -> None:
        """Run commands of the guide, which have to succeed."""
        command = ["bash", "-euc", self.localize(commands)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(self, name: str, command: str) -> Iterator[Path]:
        """A command of the guide that goes on, and its log."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {self.localize(command)}"],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(),
            )
        try:
            yield log
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(params=[False, True], ids=["without an ACL", "with the ACL of the guide"])
def machines(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Machine, Machine]]:
    """blacklab and awzz, with their brokers and peers as the guide starts them."""
    named: dict[str, Machine] = {}
    for name in ("blacklab", "awzz"):
        named[name] = Machine(name, tmp_path / name, free_port(), free_port(), named)
        named[name].folder.mkdir()
    section = "Two machines, in five minutes"
    passwords, peer, _ = read_blocks(section, "sh")
    (conf,) = read_blocks(section, "conf")
    (acl,) = read_blocks("Is it the same everywhere?", "conf")
    with ExitStack() as stack:
        for name, machine in named.items():
            machine.run(passwords)
            extra = f"persistence_location {machine.folder}/\nuser root\n"
            if request.param:
                (machine.folder / "acl").write_text(acl)
                extra += f"acl_file {machine.folder}/acl\n"
            (machine.folder / "mesh.conf").write_text(machine.localize(conf) + extra)
            log = stack.enter_context(machine.running("broker", f"{MOSQUITTO} -c {machine.folder}/mesh.conf"))
            wait_for(lambda log=log: "running" in log.read_text(), DEADLINE_S, what=f"the broker of {name}")
        for name, machine in named.items():
            turned = peer if name == "blacklab" else peer.replace("awzz", "blacklab")
            log = stack.enter_context(machine.running("peer", turned))
            wait_for(lambda log=log: "keeping in" in log.read_text(), DEADLINE_S, what=f"the peer of {name}")
        yield named["blacklab"], named["awzz"]


def test_the_guide_leads_to_the_same_files_on_two_machines(machines: tuple[Machine, Machine]) -> None:
    blacklab, awzz = machines
    announce = read_blocks("Two machines, in five minutes", "sh")[2]
    blacklab.run(announce)
    there = awzz.folder / "data" / "hello.txt"
    wait_for(there.exists, DEADLINE_S, what="the file", explain=(awzz.folder / "peer.log").read_text)
    assert there.read_text() == "hello\n"
    proof = "nothing lacking"
    wait_for(
        lambda: proof in (awzz.folder / "peer.log").read_text(),
        DEADLINE_S,
        what="a comparison of the trees",
        explain=(awzz.folder / "peer.log").read_text,
    )
