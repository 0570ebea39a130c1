"""Why an AMQP connection isn't there, or a broker won't have what we ask, as sentences that say what to do now."""

from .reasons import describe_error

_REPLIES = {
    "ACCESS_REFUSED": "the user may not do that there; an administrator gives rights with rabbitmqctl set_permissions",
    "CONNECTION_FORCED": "an operator, or the broker's end, closed the connection",
    "RESOURCE_LOCKED": "another connection has it for itself",
}
"""What to make of the word with which RabbitMQ's replies begin (AMQP 0.9.1, 1.5.2.1: reply codes)."""


def describe_login(address: str) -> str:
    """Return the sentence for a user or password that the broker doesn't know."""
    return (
        f"{address} refused the user or password; check both, and know that RabbitMQ takes its user guest"
        " from the broker's own machine only"
    )


def describe_vhost(address: str, vhost: str) -> str:
    """Return the sentence for a virtual host that isn't there, or that the user may not enter: one can't tell which."""
    return (
        f"{address} has no virtual host {vhost}, or this user may not enter it: rabbitmqctl list_permissions -p {vhost}"
    )


def describe_difference(address: str, exchange: str, said: str) -> str:
    """Return the sentence for an exchange that somebody else declared otherwise (reply 406)."""
    return (
        f"somebody declared the exchange {exchange} on {address} otherwise than as topic, durable=false,"
        f" auto_delete=true, which shuts out every peer: delete it there ({_shorten(said)})"
    )


def describe_reply(address: str, said: str) -> str:
    """Return the sentence for what a broker said when it closed a channel or connection."""
    advice = _REPLIES.get(said.split(" ", 1)[0], "")
    return f"{address} says {_shorten(said)}{f': {advice}' if advice else ''}"


def describe_end(address: str, *, silent: bool) -> str:
    """Return the sentence for a connection that stood, and ended without a word from the broker."""
    return f"{address} has been silent for too long" if silent else f"the connection to {address} was cut"


def describe_loss(address: str, error: BaseException) -> str:
    """Return the sentence for a connection that couldn't be made."""
    match error:
        case ConnectionRefusedError() | TimeoutError():
            return describe_error(address, error)
        case ConnectionError() | EOFError():
            return f"{address} ended the connection; is it an AMQP 0.9.1 broker, and is TLS wanted on that port?"
        case OSError():
            return describe_error(address, error)
    return f"{address} doesn't answer as an AMQP 0.9.1 broker does ({type(error).__name__})"


def _shorten(said: str) -> str:
    """One line of what the broker said."""
    return " ".join(said.split())[:300]
