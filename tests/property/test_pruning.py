"""Whatever backups there are and whatever the policy: pruning takes nothing that is promised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from message_service.backup.pruning import KeepPolicy, removal
from message_service.backup.recovery import BackupContents
from message_service.backup.repository import SegmentName
from message_service.database.point import OplogPoint
from support.backups import full_taken

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def point(days_ago: float) -> OplogPoint:
    return OplogPoint(int((NOW - timedelta(days=days_ago)).timestamp()), 1, 1)


@st.composite
def histories(draw: st.DrawFn) -> BackupContents:
    ages = sorted(draw(st.lists(st.integers(0, 200), max_size=12, unique=True)), reverse=True)
    cuts = sorted(draw(st.lists(st.integers(0, 200), max_size=30, unique=True)), reverse=True)
    kept = draw(st.lists(st.booleans(), min_size=len(cuts), max_size=len(cuts)))
    segments = [
        SegmentName(point(after), point(through))
        for after, through, there in zip(cuts, cuts[1:], kept, strict=False)
        if there
    ]
    fulls = [full_taken(NOW - timedelta(days=age)) for age in ages]
    return BackupContents(fulls=fulls, segments=segments)


def leads_to(contents: BackupContents, wanted: OplogPoint) -> bool:
    """Return whether a state can be restored: a full backup before it, and segments up to it."""
    for full in contents.fulls:
        start = full.taken_at
        assert start is not None
        if start <= wanted:
            chain = contents.chain(start, wanted)
            if start == wanted or (chain and chain[-1].through >= wanted):
                return True
    return False


@given(
    histories(),
    st.builds(KeepPolicy, st.integers(1, 90), st.integers(0, 20), st.integers(0, 12)),
    st.lists(st.integers(0, 200), min_size=5, max_size=5),
)
def test_what_is_promised_stays(
    contents: BackupContents, policy: KeepPolicy, ages: list[int]
) -> None:
    gone = removal(contents, policy, NOW)
    left = BackupContents(
        fulls=[each for each in contents.fulls if each not in gone.fulls],
        segments=[each for each in contents.segments if each not in gone.segments],
    )
    assert gone.kept == len(left.fulls)
    assert contents.fulls[-1:] == left.fulls[-1:]
    for age in ages:
        if age <= policy.days and leads_to(contents, point(age)):
            assert leads_to(left, point(age))
    for full in left.fulls:
        taken = full.taken_at
        assert taken is not None
        assert leads_to(left, taken)
    assert removal(left, policy, NOW).empty
