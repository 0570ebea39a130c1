"""A summary says up to which record it goes, so it shows that a live record was lost."""

from samesky.core.columns import Kind
from samesky.station.description import Description
from samesky.station.messages import DescriptionAnswer, PageAnswer, SummaryMessage
from samesky.station.requester import Action, Ask, Asking, PutSummary, Requester
from samesky.station.requests import Request, decode_request
from samesky.station.schema import Column

STREAM, REPLY, NOW = "home/wx_binding", "replicate/response/copy", 1_700_000_000.0
TAKEN = 1_699_999_800
COLUMNS = tuple(Column(name, Kind.INTEGER) for name in ("dateTime", "usUnits", "interval"))
DESCRIPTION = Description(COLUMNS, (), 1, 300, (), 10, 1_699_000_000, TAKEN, "origin", ("application/x",))


def asked(actions: list[Action]) -> Request | None:
    """The request among the actions."""
    for action in actions:
        if isinstance(action, Ask):
            return decode_request(action.message)
    return None


def live_requester() -> Requester:
    """A requester that has all that its primary has."""
    requester = Requester(STREAM, 0, asking=Asking(REPLY, ("replicate/request/home",)), random=lambda: 0.5)
    request = asked(requester.on_connected(NOW))
    assert request is not None
    requester.on_message(DescriptionAnswer(STREAM, request.correlation or b"", DESCRIPTION), NOW)
    prepared = requester.on_prepared(DESCRIPTION, position=TAKEN, accepts=("application/x",), summaries=True, now=NOW)
    answer_nothing(requester, prepared)
    assert requester.phase == "live"
    return requester


def answer_nothing(requester: Requester, actions: list[Action]) -> None:
    """Answer the request among the actions: there is nothing more."""
    request = asked(actions)
    assert request is not None
    page = PageAnswer(
        stream=STREAM,
        correlation=request.correlation or b"",
        after=request.after,
        count=0,
        last=request.after,
        newest=request.after,
        origin="origin",
        content_type="application/x",
        body=b"",
    )
    requester.on_message(page, NOW)


def summary(through: int, origin: str = "origin") -> SummaryMessage:
    """A summary message that includes the record ``through``."""
    return SummaryMessage(STREAM, through, origin, b"")


def test_a_summary_of_a_record_that_never_came_has_a_page_asked_for_at_once() -> None:
    requester = live_requester()
    actions = requester.on_message(summary(TAKEN + 300), NOW)
    request = asked(actions)
    assert request is not None
    assert (request.op, request.after) == ("page", TAKEN)
    assert any(isinstance(action, PutSummary) for action in actions)


def test_a_summary_of_the_record_that_came_last_asks_for_nothing() -> None:
    requester = live_requester()
    assert [type(action) for action in requester.on_message(summary(TAKEN), NOW)] == [PutSummary]


def test_a_summary_of_another_database_asks_for_nothing() -> None:
    assert live_requester().on_message(summary(TAKEN + 300, "another"), NOW) == []


def test_a_summary_that_promises_what_the_primary_hasnt_costs_two_pages_and_no_more() -> None:
    requester = live_requester()
    actions = requester.on_message(summary(TAKEN + 300), NOW)
    for _ in range(2):
        answer_nothing(requester, actions)
        if requester.phase == "live":
            break
        actions = requester.on_tick(NOW + 1000)
    assert requester.phase == "live"
