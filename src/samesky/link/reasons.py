"""Why there is no connection, as sentences that say what to do now."""

import re
import socket
import ssl

_ADVICE = {
    0x84: "; samesky needs MQTT version 5 (mosquitto 1.6 or newer)",
    0x85: "; choose another client_id",
    0x86: "; check username and password",
    0x87: "; check username and password, and what the broker's ACL allows this user",
    0x8E: "; another program connects with the same client_id",
    0x95: "; a message was larger than the broker takes",
}
"""What to do about an MQTT v5 reason code (2.4)."""


_PUBACK = {
    0x80: "Unspecified error",
    0x83: "Implementation specific error",
    0x87: "Not authorized",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x97: "Quota exceeded",
    0x99: "Payload format invalid",
}
"""The reason codes that a PUBACK may have (3.4.2.1)."""


def describe_puback(code: int) -> str:
    """Return why the broker refused what was published."""
    return f"the broker refused it: {_PUBACK.get(code, f'reason code {code}')}"


def describe_refusal(address: str, reason: object, code: int) -> str:
    """Return the sentence for a CONNACK with a ``reason`` other than success."""
    return f"{address} refused the connection: {reason}{_ADVICE.get(code, '')}"


def describe_end(address: str, reason: object, code: int) -> str:
    """Return the sentence for a DISCONNECT that came from the broker."""
    return f"{address} ended the connection: {reason}{_ADVICE.get(code, '')}"


def describe_silence(address: str) -> str:
    """Return the sentence for a connection that ended before CONNACK: usually something that isn't MQTT v5."""
    return (
        f"{address} ended the connection before answering; "
        "is it an MQTT broker, does it speak version 5, and is TLS wanted on that port?"
    )


def describe_error(address: str, error: Exception) -> str:
    """Return the sentence for what connecting, reading or writing raised."""
    match error:
        case ConnectionRefusedError():
            return f"{address} refused the connection; is the broker running there?"
        case ConnectionResetError() | BrokenPipeError():
            return describe_silence(address)
        case socket.gaierror():
            return f"the host of {address} can't be found: {error.strerror}"
        case TimeoutError():
            return f"{address} doesn't answer"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {address} isn't trusted: {error.verify_message}; check ca_file and host"
        case ssl.SSLError():
            return f"TLS with {address} failed: {error.reason}; is that the broker's TLS port?"
        case OSError():
            return f"no connection to {address}: {error.strerror or error}"
        case _:
            return f"the connection to {address} failed: {type(error).__name__} {error}"


def is_ours_to_mend(reason: str) -> bool:
    """Whether a connection was refused for what is configured here; who can't be reached may come back by itself."""
    return "; check " in reason


_BROKER_GONE = re.compile(
    r"refused the connection|ended the connection|doesn't answer|no connection to|can't be found|the connection to"
)
_FORBIDDEN = re.compile(r"[Nn]ot authorized|not allowed to|doesn't let us|the broker refused it|username and password")
_DISK_FULL = re.compile(r"disk is full|No space left|[Dd]isk quota|File too large")


def find_remedy(words: str) -> str:
    """Return what to do, or to type, about the trouble that ``words`` tell of; empty when it's nothing that is known.

    Nothing of it has to be done so that nothing is lost: what comes meanwhile comes later.
    """
    if _DISK_FULL.search(words):
        return "Make room on that disk (to see what is full: `df -h`). It goes on by itself."
    if _FORBIDDEN.search(words):
        return "Correct the broker's password file and ACL for this user. It goes on by itself."
    if _BROKER_GONE.search(words):
        return "Start the broker there, or mend what is in its way (mosquitto: `sudo systemctl restart mosquitto`)."
    return ""
