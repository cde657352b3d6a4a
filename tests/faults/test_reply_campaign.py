"""Replies survive what befalls workers, provider and server (long: support.reply_campaign)."""

from __future__ import annotations

import pytest

from support.replica_sets import ReplicaSet
from support.reply_campaign import Campaign

pytestmark = pytest.mark.faults

SEED = 20261129


async def test_each_reply_is_one_message_that_all_followers_saw_or_none_and_a_reason(
    three: ReplicaSet,
) -> None:
    campaign = Campaign(three, 40, 3, SEED, elections=1, most_faults=8)
    try:
        ends = await campaign.run(240)
    except BaseException as error:
        error.add_note(f"seed {SEED}")
        raise
    figures = campaign.figures()
    assert ends["completed stop"] > 12, ends
    assert figures["kills"], figures
    assert figures["freezes"], figures
    assert figures["elections"] == 1
    assert figures["restarts_seen"], figures
