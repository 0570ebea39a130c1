"""Private RabbitMQ nodes: started, joined to clusters, killed, frozen, out of memory, asked what they hold.

`RabbitmqNode` is samesky's own `RabbitmqBroker` with what only tests do to it. Whatever is asked goes by Erlang's
`erl_call`, which answers in milliseconds, where `rabbitmqctl` needs one or two seconds each time; `control` is the
latter, for what an operator would type and read.
"""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samesky.link.rabbitmq_broker import Epmd, RabbitmqBroker

from .ports import free_port
from .waiting import wait_for

_CONTROL_DEADLINE_S = 120
_DEADLINE_S = 60
_NO_MEMORY = "0.000001"
_MEMORY = "{absolute, 1000000000}"
# A resource is a record of four; what isn't text is written as Erlang writes it.
_AS_TEXT = (
    "fun({resource, _, _, Name}) -> Name; (Text) when is_binary(Text) -> Text;"
    ' (Other) -> iolist_to_binary(io_lib:format("~w", [Other])) end'
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange as the broker knows it."""

    name: str
    type: str
    durable: bool
    auto_delete: bool


class RabbitmqNode(RabbitmqBroker):
    """A RabbitMQ node that tests may ill-treat; a context manager like its parent."""

    frozen = False
    out_of_memory = False

    def launch(self) -> None:
        """Start the node, if it isn't running; it is neither frozen nor short of memory then."""
        if self.pid is None:
            self.frozen = self.out_of_memory = False
        super().launch()

    async def start_meanwhile(self) -> None:
        """As `start`, while the loop goes on.

        The process is made here, in the main thread: one that another thread makes would outlive a run that is killed.
        """
        self.launch()
        await asyncio.to_thread(self.start)

    def restart(self) -> None:
        """Stop the node in good order and start it again, on the same ports."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the process as it stands: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let the process go on; harmless when it isn't frozen."""
        if self.pid is not None:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def raise_memory_alarm(self) -> None:
        """Have the node believe that it has no memory left: it reads no more from those who publish."""
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({_NO_MEMORY})")
        self.out_of_memory = True
        wait_for(self._has_alarm, _DEADLINE_S, what="the memory alarm")
        wait_for(self._is_told, _DEADLINE_S, what="every connection's knowing of it")

    def clear_memory_alarm(self) -> None:
        """End the memory alarm; harmless when there is none."""
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({_MEMORY})")
        self.out_of_memory = False
        wait_for(lambda: not self._has_alarm(), _DEADLINE_S, what="the end of the memory alarm")

    def heal(self) -> None:
        """Have the node run, thawed and with memory, whatever was done to it."""
        self.thaw()
        self.start()
        if self.out_of_memory:
            self.clear_memory_alarm()

    def close_all_connections(self, reason: str = "closed by the test") -> None:
        """Close every client's connection by force, as an operator would with `rabbitmqctl`."""
        text = f'"{reason}"'
        self.evaluate(f"[rabbit_networking:close_connection(Each, {text}) || Each <- rabbit_networking:connections()]")

    def count_connections(self) -> int:
        """How many clients are connected to this node."""
        return int(self.evaluate("length(rabbit_networking:connections_local())"))

    def forget(self) -> bool:
        """Delete all exchanges but RabbitMQ's own, and all queues; whether there were none any more.

        An exchange that goes with its last queue stays when it never had one, and queues go a moment after the
        connection that they belong to.
        """
        self.evaluate('[catch rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list()]')
        for exchange in (left := self.list_exchanges()):
            resource = f'rabbit_misc:r(<<"/">>, exchange, <<"{exchange.name}">>)'
            self.evaluate(f'rabbit_exchange:delete({resource}, false, <<"test">>)')
        return not left and self.evaluate("length(rabbit_amqqueue:list())") == "0"

    def list_exchanges(self) -> list[Exchange]:
        """The exchanges of the vhost ``/`` but RabbitMQ's own, by name."""
        rows = self._list("exchange", "name", "type", "durable", "auto_delete")
        found = [Exchange(name, kind, durable == "true", gone == "true") for name, kind, durable, gone in rows]
        return sorted((each for each in found if each.name and not each.name.startswith("amq.")), key=_name)

    def find_exchange(self, name: str) -> Exchange | None:
        """The exchange of that name in the vhost ``/``, or None."""
        return next((each for each in self.list_exchanges() if each.name == name), None)

    def list_bindings(self, exchange: str) -> list[str]:
        """The keys by which queues are bound to ``exchange``, in order."""
        rows = self._list("binding", "source_name", "routing_key")
        return sorted(key for source, key in rows if source == exchange)

    def count_messages(self) -> int:
        """How many messages wait in queues, or are with a consumer who hasn't acknowledged them."""
        return sum(int(count) for (count,) in self._list("amqqueue", "messages"))

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl -q`` with ``arguments``; returns what it prints. It takes a second or two."""
        command = [f"{self.programs}/rabbitmqctl", "-q", *arguments]
        return _run(command, self.environment, _CONTROL_DEADLINE_S)

    def evaluate(self, expression: str) -> str:
        """Have the node evaluate one Erlang expression; returns its value as Erlang prints it."""
        command = ["erl_call", "-n", self.node, "-c", self.cookie, "-e"]
        said = _run(command, self.environment, _DEADLINE_S, text=f"{expression}.\n")
        value = said.removeprefix("{ok, ").rstrip()
        assert said.startswith("{ok, "), f"the node couldn't evaluate {expression}: {said}"
        return value[:-1].strip()

    def listen_tls(self, certificates: Path) -> int:
        """Have the node listen for TLS with the files ca.pem, server.pem and server.key; returns the port."""
        port = free_port()
        names = {"cacertfile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
        options = ",".join(f'{{{option}, "{certificates / file}"}}' for option, file in names.items())
        self.evaluate(f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}, inet}}, [{options}], 2)')
        return port

    def _has_alarm(self) -> bool:
        return self.evaluate("rabbit_alarm:get_alarms()") != "[]"

    def _is_told(self) -> bool:
        """Whether no connection takes messages any more: each is told by itself, a moment after the alarm."""
        return "running" not in self.evaluate("rabbit_networking:connection_info_all([state])")

    def _list(self, what: str, *items: str) -> list[list[str]]:
        """Rows with the ``items`` of all exchanges, queues or bindings in the vhost ``/``, as text."""
        rows = f'rabbit_{what}:info_all(<<"/">>, [{", ".join(items)}])'
        as_json = f"rabbit_json:encode([[({_AS_TEXT})(Value) || {{_, Value}} <- Row] || Row <- {rows}])"
        printed = self.evaluate(f"binary_to_list(binary:encode_hex({as_json}))")
        return list(json.loads(bytes.fromhex(printed.strip('"'))))

    def _signal(self, how: signal.Signals) -> None:
        assert self.pid is not None, "the node doesn't run"
        os.kill(self.pid, how)


class RabbitmqCluster:
    """Nodes of one cluster, on one machine; the others join the first when they start. A context manager."""

    def __init__(self, folder: Path, *, size: int = 3) -> None:
        self.epmd = Epmd()
        first = RabbitmqNode(dir=folder / "node1", name="samesky1", epmd=self.epmd)
        where = ["cluster_formation.peer_discovery_backend = classic_config"]
        where += [f"cluster_formation.classic_config.nodes.1 = {first.node}"]
        self.nodes = [first]
        for number in range(2, size + 1):
            place, name = folder / f"node{number}", f"samesky{number}"
            self.nodes.append(RabbitmqNode(dir=place, name=name, epmd=self.epmd, cookie=first.cookie, options=where))

    def __enter__(self) -> "RabbitmqCluster":
        try:
            self.nodes[0].start()
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        self.epmd.stop()

    def count_running(self) -> int:
        """How many nodes are in the cluster and run, as the first that runs sees it."""
        node = next(each for each in self.nodes if each.pid)
        return int(node.evaluate("length(rabbit_mnesia:cluster_nodes(running))"))


@contextmanager
def healed(node: RabbitmqNode) -> Iterator[RabbitmqNode]:
    """The node, in health before and after, and before with nothing on it of tests that it had before."""
    node.heal()
    wait_for(lambda: node.count_connections() == 0, _DEADLINE_S, what="the end of connections of tests before")
    wait_for(node.forget, _DEADLINE_S, what="the end of what tests before have left")
    try:
        yield node
    finally:
        node.heal()


def _name(exchange: Exchange) -> str:
    return exchange.name


def _run(command: Sequence[str], environment: dict[str, str], deadline_s: float, *, text: str = "") -> str:
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, timeout=deadline_s)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout
