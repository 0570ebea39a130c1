"""Digests of what the centre has of a site: those that the site itself would compute, in the site's own ids."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import event

from samesky.push.central_database import CentralDatabase
from samesky.push.digest_question import WHOLE, By, DigestQuestion
from samesky.push.digests import DAY_S, GroupDigest, Key, combine, combine_days, combine_months, digest_groups
from stands.push_centre import DAY, DIALECTS, SMALL_SITE, PushedSite, make_catalogue, make_empty, make_page, open_centre

pytestmark = pytest.mark.slow
ROWS = [(DAY + hour * 3600, 69 + hour % 2, type_, 1, hour / 7) for hour in range(100) for type_ in (0, 2)]


@pytest.fixture(scope="module", params=DIALECTS)
def central(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralDatabase]:
    """One centre of each kind for all tests, which have sites of their own."""
    with open_centre(make_empty(request, request.param, tmp_path_factory.mktemp("centre"))) as opened:
        yield opened


def ask(site: PushedSite, by: By, *, to_s: int = DAY + 40 * DAY_S, **more: object) -> Mapping[Key, GroupDigest]:
    question = DigestQuestion(from_s=DAY, to_s=to_s, by=by, **more)  # type: ignore[arg-type]
    return site.central.read_digests(site.id, site.central.model.table("Reading"), question)


def test_digests_of_every_level_are_those_of_the_rows(central: CentralDatabase) -> None:
    site = PushedSite(central)
    site.push(ROWS)
    groups = digest_groups(central.model.table("Reading"), make_page(ROWS))
    days = combine_days(groups)
    months = combine_months(days)
    for _ in range(2):  # the second time they are known
        assert ask(site, By.GROUP) == groups
        assert ask(site, By.DAY) == days
        assert ask(site, By.MONTH) == months
        assert ask(site, By.ALL) == {WHOLE: combine(months)}
    assert ask(site, By.GROUP, deep=True) == groups
    assert ask(site, By.GROUP, within=(DAY // DAY_S,)) == {g: d for g, d in groups.items() if g[0] == DAY // DAY_S}


def test_only_rows_before_the_end_are_counted(central: CentralDatabase) -> None:
    site = PushedSite(central)
    site.push(ROWS)
    part = [row for row in ROWS if row[0] < DAY + 7200]
    groups = digest_groups(central.model.table("Reading"), make_page(part))
    assert ask(site, By.GROUP, to_s=DAY + 7200) == groups
    assert ask(site, By.ALL)[WHOLE].count == len(ROWS)


def test_a_site_with_other_ids_for_the_types_gets_its_own_digests(central: CentralDatabase) -> None:
    PushedSite(central).push(ROWS)
    swapped = [dict(row, id=2 - int(str(row["id"]))) for row in SMALL_SITE["SensorType"]]
    sensor = [dict(SMALL_SITE["Sensor"][0], sensorTypeId=2)]
    site = PushedSite(central, rows={**SMALL_SITE, "SensorType": swapped, "Sensor": sensor})
    site.push(ROWS)
    assert ask(site, By.GROUP) == digest_groups(central.model.table("Reading"), make_page(ROWS))


def test_a_changed_value_and_a_late_row_change_the_digest_of_their_group_alone(central: CentralDatabase) -> None:
    site = PushedSite(central)
    site.push(ROWS)
    before = ask(site, By.GROUP)
    site.push([(DAY + 3600, 70, 0, 1, 99.0), (DAY + 86_400 + 5, 69, 0, None, None)])
    after = ask(site, By.GROUP)
    assert {group for group in after if after[group] != before[group]} == {(DAY // DAY_S, 70), (DAY // DAY_S + 1, 69)}


def test_more_rows_than_the_server_writes_into_one_text_are_read_all_the_same(central: CentralDatabase) -> None:
    site = PushedSite(central)
    rows = [(DAY + 3 * i, 69, 0, None, i / 7) for i in range(5000)]
    site.push(rows)

    def shorten(connection: Any, _record: object, _proxy: object) -> None:
        if central.database.dialect == "mysql":
            connection.cursor().execute("SET SESSION group_concat_max_len = 10000")

    event.listen(central.database.engine, "checkout", shorten)
    try:
        assert site.rows() == rows
    finally:
        event.remove(central.database.engine, "checkout", shorten)
        central.database.close()


def test_as_many_groups_as_a_year_of_a_few_nodes_has_are_kept_in_no_time(central: CentralDatabase) -> None:
    nodes = [*SMALL_SITE["Node"], *({"id": 100 + i, "locationId": 1, "nodeTypeId": 0} for i in range(20))]
    site = PushedSite(central, rows={**SMALL_SITE, "Node": nodes})
    rows = [(DAY + day * DAY_S, 100 + i, 0, 1, float(i)) for day in range(300) for i in range(20)]
    site.push(rows)
    groups = digest_groups(central.model.table("Reading"), make_page(rows))
    for _ in range(2):
        assert ask(site, By.GROUP, to_s=DAY + 300 * DAY_S) == groups
    site.push([(DAY, 100, 0, 1, -1.0)])
    changed = ask(site, By.GROUP, to_s=DAY + 300 * DAY_S)
    assert {group for group in groups if groups[group] != changed[group]} == {(DAY // DAY_S, 100)}


def test_nothing_was_pushed_and_nothing_is_told(central: CentralDatabase) -> None:
    assert ask(PushedSite(central), By.ALL) == {}


def test_digests_are_made_anew_when_a_type_has_another_id_at_the_site(central: CentralDatabase) -> None:
    site = PushedSite(central)
    site.push([(DAY, 69, 0, 1, 1.0)])
    ask(site, By.GROUP)
    renumbered = [dict(row, id=10 + int(str(row["id"]))) for row in SMALL_SITE["SensorType"]]
    sensor = [dict(SMALL_SITE["Sensor"][0], sensorTypeId=10)]
    rows = {**SMALL_SITE, "SensorType": renumbered, "Sensor": sensor}
    plan = central.apply_catalogue(site.id, make_catalogue(rows), accept_renames=True)
    assert plan.taken_wholly, plan.describe()
    assert site.rows() == [(DAY, 69, 10, 1, 1.0)]
    assert ask(site, By.GROUP) == digest_groups(central.model.table("Reading"), make_page([(DAY, 69, 10, 1, 1.0)]))
