"""Which URLs are fetched, and which addresses are connected to (row 41)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.link.urls import Origin, Url, UrlRules, check_host

ANY = UrlRules()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.org", Url(Origin("http", "example.org", 80), "/")),
        ("https://example.org/a/b%20c?d=e", Url(Origin("https", "example.org", 443), "/a/b%20c?d=e")),
        ("HTTP://Example.ORG.:8080/a", Url(Origin("http", "example.org", 8080), "/a")),
        ("http://example.org?x=1", Url(Origin("http", "example.org", 80), "/?x=1")),
        ("http://[2A00:DB8::0001]:81/", Url(Origin("http", "2a00:db8::1", 81), "/")),
        ("http://193.0.6.139/", Url(Origin("http", "193.0.6.139", 80), "/")),
        ("http://xn--bcher-kva.example/%2e%2e/x", Url(Origin("http", "xn--bcher-kva.example", 80), "/%2e%2e/x")),
    ],
)
def test_a_plain_url_is_taken_apart(text: str, url: Url) -> None:
    assert ANY.check_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org/a",
        "//example.org/a",
        "file:///etc/passwd",
        "ftp://example.org/a",
        "gopher://example.org/a",
        "http:///a",
        "http://",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:/",
        "http://example.org:80:80/",
        "http://example.org/a#b",
        "http://example.org/a b",
        "http://example.org/a\r\nX: y",
        "http://example.org/\0",
        "http://example.org/a\\b",
        "http://example.org\\@evil.example/",
        "http://example.org/ü",
        "http://bücher.example/",
        "http://example.org/%zz",
        "http://example.org/%2",
        "http://exa mple.org/",
        "http://example..org/",
        "http://-example.org/",
        "http://example.org%00.evil.example/",
        f"http://{'a' * 64}.org/",
        f"http://{'a.' * 130}org/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://[example.org]/",
        f"http://example.org/{'a' * 9000}",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.5/",
        "http://127.0.0.256/",
        "http://1.2.3.0x/",
        "http://１２７.0.0.1/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/",
    ],
)
def test_what_is_no_plain_url_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        ANY.check_url(text)
    assert refused.value.reason is Reason.URL
    assert "secret" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for start in ("", "http://", "http://example.org/"):
        try:
            url = ANY.check_url(start + text)
        except Refused:
            continue
        assert url.target.isascii()
        assert url.target.isprintable()
        assert " " not in url.target


def test_only_the_schemes_that_are_allowed_are_taken() -> None:
    rules = UrlRules(schemes=("https",))
    assert rules.check_url("https://example.org/").origin.port == 443
    with pytest.raises(Refused, match="must be https"):
        rules.check_url("http://example.org/")


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1"),
        *("172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1"),
        *("100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1"),
        *("fe80::1%eth0", "fec0::1", "ff02::1", "not an address", "", "127.1"),
    ],
)
def test_an_address_that_isnt_public_is_refused(address: str) -> None:
    with pytest.raises(Refused) as refused:
        ANY.check_address("example.org", address)
    assert refused.value.reason is Reason.URL


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "193.0.6.139", "2a00:1450:4001::1", "2001:4860:4860::8888"]
)
def test_a_public_address_is_taken(address: str) -> None:
    ANY.check_address("example.org", address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.168.1.1", "169.254.1.1", "fe80::1", "198.51.100.1"])
def test_a_host_that_is_named_may_have_any_address_of_one_machine(address: str) -> None:
    rules = UrlRules(hosts=("peer.local",))
    rules.check_address("peer.local", address)
    with pytest.raises(Refused):
        rules.check_address("other.local", address)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"])
def test_no_rule_allows_what_isnt_one_machine(address: str) -> None:
    with pytest.raises(Refused):
        UrlRules(hosts=("peer.local",), allow_private=True).check_address("peer.local", address)


def test_private_addresses_can_be_allowed_for_all_but_not_the_link_local_ones() -> None:
    rules = UrlRules(allow_private=True)
    for address in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1"):
        rules.check_address("example.org", address)
    for address in ("169.254.169.254", "fe80::1", "2002:7f00:1::", "::ffff:10.0.0.1"):
        with pytest.raises(Refused):
            rules.check_address("example.org", address)


def test_with_a_list_of_hosts_no_other_is_asked() -> None:
    rules = UrlRules(hosts=("a.example", "*.b.example", "[::1]"))
    for host in ("a.example", "A.Example", "x.b.example", "y.x.b.example", "[0::1]"):
        rules.check_url(f"http://{host}/")
    for host in ("c.example", "b.example", "xb.example", "x.a.example", "a.example.org", "[::2]"):
        with pytest.raises(Refused, match="among the allowed"):
            rules.check_url(f"http://{host}/")


def test_a_pattern_of_hosts_stands_for_public_addresses_only() -> None:
    rules = UrlRules(hosts=("*", "named.example"))
    rules.check_url("http://any.example/")
    rules.check_address("any.example", "8.8.8.8")
    rules.check_address("named.example", "127.0.0.1")
    with pytest.raises(Refused):
        rules.check_address("any.example", "127.0.0.1")
    with pytest.raises(Refused):
        UrlRules(hosts=("*.example",)).check_address("any.example", "127.0.0.1")


def test_a_host_has_one_form() -> None:
    assert check_host("Example.ORG.") == "example.org"
    assert check_host("[2001:DB8:0:0::1]") == "2001:db8::1"
    assert str(Origin("http", "2001:db8::1", 8080)) == "http://[2001:db8::1]:8080"


def test_thousands_of_hosts_dont_stay_in_memory() -> None:
    rules = UrlRules()
    for number in range(3000):
        rules.check_url(f"http://host-{number}.example/")
    assert len(rules._origins) <= 1024
