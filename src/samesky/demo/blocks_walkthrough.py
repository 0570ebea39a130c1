"""The walkthrough of the document that blocks come from (seed 004), word for word: two calls, and one translation."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ..blocks.paths import Value
from ..errors import Unreachable

PORT = 5000
CALL_TIMEOUT_S = 30.0
SENSOR, DUMMY = "master-sensor", "dummy-sensor"
KEY = "spark-master.master-sensor"

FIRST_CALL = r"""curl \
    -X POST \
    --header 'Content-Type: application/json' \
    --header 'Accept: application/json' \
    -d '{ \
            "id": "master-sensor", \
            "interval": 5 \
        }' \
    'http://localhost:5000/spark-master/remote/master'
"""
SECOND_CALL = r"""curl \
    -X POST \
    --header 'Content-Type: application/json' \
    --header 'Accept: application/json' \
    -d '{ \
            "id": "dummy-sensor", \
            "key": "spark-master.master-sensor", \
            "translations": {} \
        }' \
    'http://localhost:5000/spark-slave/remote/slave'
"""
FIRST_ANSWER: Value = {"key": KEY}
SECOND_ANSWER: Value = None

TRANSLATIONS = {"value": "targetvalue", "nested/value": "nested/target/value"}
MASTER_DATA: Mapping[str, Value] = {"value": 123, "other_value": 567, "nested": {"value": 456, "other_value": 890}}
SLAVE_BEFORE: Mapping[str, Value] = {"targetvalue": 0, "value": 0, "nested": {"target": {"thing": 0}, "thang": 0}}
SLAVE_AFTER: Mapping[str, Value] = {
    "targetvalue": 123,
    "value": 0,
    "nested": {"target": {"value": 456, "thing": 0}, "thang": 0},
}


def use_port(call: str, port: int) -> str:
    """Return ``call`` to another port than the document's."""
    return call.replace(f"localhost:{PORT}/", f"localhost:{port}/")


def run_call(call: str) -> Value:
    """Make a call as it is printed, by the shell and curl where there is one; returns what is answered.

    Raises `Unreachable` when that is no success, or no JSON.
    """
    answer = _run_in_shell(call) if shutil.which("curl") and shutil.which("sh") else _post(call)
    try:
        told: Value = json.loads(answer)
    except ValueError:
        raise Unreachable(f"the service answered with no JSON: {answer[:200]!r}") from None
    return told


def _run_in_shell(call: str) -> str:
    """Nothing but how curl reports is added: a proxy of this machine isn't for calls to this machine."""
    options = f"--silent --show-error --fail-with-body --noproxy localhost --max-time {CALL_TIMEOUT_S:.0f}"
    script = call.replace("curl ", f"curl {options} ", 1)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode:
        raise Unreachable(f"curl ended with status {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout


def _post(call: str) -> str:
    """The same request without curl: its body and its address are the call's own words."""
    words = shlex.split(call)
    body, url = words[words.index("-d") + 1], words[-1]
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "--header")
    try:
        with urlopen(Request(url, body.encode(), headers, method="POST"), timeout=CALL_TIMEOUT_S) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        words_of_it = error.read().decode(errors="replace").strip()
        raise Unreachable(f"the service answered with the status {error.code}: {words_of_it}") from error
    except OSError as error:
        raise Unreachable(f"the service doesn't answer: {error}") from error
