"""Promise: entries come out in order, rows wait for company, jobs do not, and full is full."""

import threading
import time

import pytest

from ocpd.store import inbox
from ocpd.store.inbox import BATCH, GATHER_S, Inbox, Posted
from ocpd.store.ticket import Job
from tests.unit.store.stage import run

ROW = Posted("INSERT", (), counted=True)


def _job(*, alone=False):
    return Job(lambda _: None, alone=alone)


def test_rows_wait_for_company_and_a_job_ends_the_wait():
    async def main():
        box = Inbox()
        box.put(ROW)
        began = time.monotonic()
        assert box.take() == [ROW]
        # A lower bound only: nobody promises how soon a machine comes back.
        assert time.monotonic() - began > GATHER_S / 2
        box.put(ROW)
        job = _job()
        box.put(job)
        assert box.take() == [ROW, job]

    run(main())


def test_a_full_batch_does_not_wait():
    box = Inbox()
    for _ in range(BATCH + 1):
        box.put(ROW)
    assert box._is_due()
    assert len(box.take()) == BATCH
    assert len(box) == 1


def test_a_job_that_wants_to_be_alone_is_alone():
    async def main():
        box = Inbox()
        first, alone, last = _job(), _job(alone=True), _job()
        for entry in (first, alone, last):
            box.put(entry)
        assert [box.take() for _ in range(3)] == [[first], [alone], [last]]

    run(main())


def test_each_kind_has_its_own_bound(monkeypatch):
    monkeypatch.setattr(inbox, "_POSTED_LIMIT", 2)
    monkeypatch.setattr(inbox, "_JOBS_LIMIT", 1)

    async def main():
        box = Inbox()
        assert [box.put(ROW) for _ in range(3)] == [True, True, False]
        assert [box.put(_job()) for _ in range(2)] == [True, False]
        assert len(box.take()) == 3
        assert box.put(ROW)
        assert box.put(_job())

    run(main())


def test_closed_means_nothing_new_but_what_is_there_comes_out():
    box = Inbox()
    box.put(ROW)
    box.close()
    assert not box.put(ROW)
    assert box.take() == [ROW]
    assert box.take() == []


def test_closing_wakes_whoever_waits():
    box = Inbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(box.take()))
    thread.start()
    box.close()
    thread.join(10)
    assert taken == [[]]


def test_abandoning_returns_what_is_left():
    async def main():
        box = Inbox()
        job = _job()
        box.put(ROW)
        box.put(job)
        assert box.abandon() == [ROW, job]
        assert box.take() == []
        assert not box.put(ROW)

    run(main())


def test_idle_is_when_all_that_came_was_dealt_with():
    async def main():
        box = Inbox()
        assert box.is_idle()
        box.put(_job())
        assert not box.is_idle()
        box.take()
        assert not box.is_idle()
        box.close()
        box.take()
        assert box.is_idle()

    run(main())


@pytest.mark.parametrize("rows", [1, 7, BATCH * 2 + 3])
def test_order_is_kept_across_batches(rows):
    box = Inbox()
    entries = [Posted("INSERT", (number,), counted=False) for number in range(rows)]
    for entry in entries:
        box.put(entry)
    box.close()
    came = []
    while batch := box.take():
        came += batch
    assert came == entries
