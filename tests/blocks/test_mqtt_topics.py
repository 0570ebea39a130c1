"""Keys as MQTT topics (blocks/mqtt_topics.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.mqtt_topics import parse_topic, spell_topic
from samesky.core.strict import Refused

KEYS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(".%/+#2F5$\0"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("key", "topic"),
    [
        ("spark-master.master-sensor", "syncast/spark-master/master-sensor"),
        ("spark.beer sensor", "syncast/spark/beer sensor"),
        ("spark.a/b", "syncast/spark/a%2Fb"),
        ("a.*.#", "syncast/a/*/%23"),
        ("100%", "syncast/100%25"),
        (".a..b.", "syncast//a//b/"),
        ("ü", "syncast/ü"),
    ],
)
def test_a_key_has_a_topic_that_people_can_read(key: str, topic: str) -> None:
    assert spell_topic("syncast", key) == topic
    assert parse_topic("syncast", topic) == key


@given(KEYS)
def test_every_key_comes_back_from_its_topic_which_has_no_wildcards(key: str) -> None:
    topic = spell_topic("a/b", key)
    assert parse_topic("a/b", topic) == key
    assert not set("+#\0") & set(topic)


@given(st.text(st.sampled_from("ab/%.2F35"), max_size=8))
def test_no_two_topics_are_of_one_key(words: str) -> None:
    try:
        key = parse_topic("syncast", f"syncast/{words}")
    except Refused:
        return
    assert spell_topic("syncast", key) == f"syncast/{words}"


@pytest.mark.parametrize("topic", ["other/a", "syncast", "syncastle/a", "syncast/a.b", "syncast/a%2fb", "syncast/a%41"])
def test_what_is_no_topic_of_a_key_is_refused(topic: str) -> None:
    with pytest.raises(Refused):
        parse_topic("syncast", topic)
