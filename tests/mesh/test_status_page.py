"""The status page shows each neighbour, what is lacking, and no text of others as markup."""

from samesky.mesh.status import Lag, MeshStatus, NeighbourStatus
from samesky.mesh.status_page import render_status_page

LIVE = NeighbourStatus(
    name="mqtt://guest@blacklab",
    state="live",
    fetched=1200,
    inlined=34,
    size_bytes=2_500_000,
    failed=3,
    refused={"path": 1, "checksum": 20},
    lag=Lag(9, 0.012, 0.05, 61.0),
    queue=40,
    late=7,
    same=True,
    proven_at=990.0,
)


def page(*neighbours: NeighbourStatus, **more: object) -> str:
    status = MeshStatus(node="a", tree="/srv/<data>", at=1000.0, started_at=0.0, neighbours=neighbours, **more)
    return render_status_page(status).decode()


def test_a_neighbour_that_is_well_is_one_row() -> None:
    shown = page(LIVE, files=1234, newest=999.0)
    for words in (
        "1,234 files, the newest of 1970-01-01 00:16:39Z",
        "mqtt://guest@blacklab",
        '<span class="good">the same, proven 10 s ago</span>',
        '<td data-of="to fetch">40, 7 of them late</td>',
        '<td data-of="files">1,234</td><td data-of="MB">2.5</td>',
        "checksum 20, failed 3, path 1",
        "mean 12 ms, 95 % 50 ms, most 61.0 s",
    ):
        assert words in shown


def test_what_is_lacking_is_marked_and_what_is_not_known_is_told() -> None:
    shown = page(
        NeighbourStatus(name="one", state="disconnected", same=False, lacking=5000, last_error="refused"),
        NeighbourStatus(name="two"),
        to_announce=3,
        post_state="disconnected",
    )
    assert '<span class="bad">5,000 lacking here</span>' in shown
    assert '<span class="bad">disconnected</span>' in shown
    assert "not yet compared" in shown
    assert "3 still to be announced (disconnected)" in shown


def test_what_others_wrote_is_text_and_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    shown = page(NeighbourStatus(name=evil, last_error=evil, refused={evil: 1}), last_error=evil)
    assert "<script" not in shown
    assert "/srv/<data>" not in shown
    assert shown.count("&lt;script&gt;") == 4
