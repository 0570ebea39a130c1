"""A copy that answers for its primary: pages and checks, as far as it was proven the same, over a link of its own.

Its requests come through a shared subscription, so that of all copies that answer one gets each; a primary with
``share = true`` is in the same group. It publishes no records, and says with every answer that it is a copy.
"""

from collections.abc import Callable
from dataclasses import replace

from ..link.message import Link, OnEvent, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from .follow_settings import FollowSettings
from .following import Following
from .serve_settings import ServedBinding, ServeSettings
from .serving import Authority, Serving
from .state import State
from .tree_store import TreeStore


def make_stand_ins(
    settings: FollowSettings, mqtt: MqttSettings, following: Following, *, state: State, sums: TreeStore
) -> list[Serving]:
    """A responder for each primary that ``following`` follows, not started."""
    authority = Authority(settings.reply_to, following.authority)
    return [
        Serving(each, _linking(mqtt, each.instance), state=state, sums=sums, authority=authority)
        for each in stand_in_settings(settings)
    ]


def stand_in_settings(settings: FollowSettings) -> list[ServeSettings]:
    """What a copy of these primaries answers, and on which topics."""
    instances = sorted({each.stream.partition("/")[0] for each in settings.copies})
    found = []
    for instance in instances:
        copies = [each for each in settings.copies if each.stream.startswith(f"{instance}/")]
        found.append(
            ServeSettings(
                instance=instance,
                bindings=tuple(
                    ServedBinding(each.stream.partition("/")[2], each.location, each.main) for each in copies
                ),
                request_topics=settings.asking[copies[0].stream].request_topics[:1],
                shared=True,
                sign_key=settings.answer_keys.get(instance),
                loop_packets=False,
            )
        )
    return found


def _linking(mqtt: MqttSettings, instance: str) -> Callable[[tuple[Subscription, ...], OnEvent], Link]:
    # A broker hands an absent member of the group its share too, as long as it remembers it.
    own = replace(mqtt, client_id=f"{mqtt.client_id}-answers-{instance}", session_expiry_s=0)
    return lambda subscriptions, on_event: MqttLink(own, subscriptions, on_event)
