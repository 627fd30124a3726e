"""Busy waits that stop where they do not help, and the thread that answers pings."""

from __future__ import annotations

import threading

from tests.unit.client.servers import WAIT_S

from openenv.client.attendant import Attendant
from openenv.client.spinning import SPIN_S, Spin


def waits(spin: Spin, *, helped: bool) -> bool:
    """One wait; whether it was a busy one."""
    if not spin.begins():
        return False
    assert spin.goes_on(is_over=False)
    if not helped:
        now[0] += SPIN_S
    assert not spin.goes_on(is_over=helped)
    return True


now = [0.0]


def test_a_busy_wait_that_helps_is_tried_each_time_and_others_ever_less() -> None:
    spin = Spin(lambda: now[0])
    assert all(waits(spin, helped=True) for _ in range(10))
    busy = [waits(spin, helped=False) for _ in range(6000)]
    assert sum(busy[:32]) == 5  # the 1st, 3rd, 7th, 15th and 31st
    assert sum(busy[2000:]) == 4  # one in 1024
    while not spin.begins():
        pass
    assert not spin.goes_on(is_over=True)


def test_one_in_vain_costs_little_after_many_that_helped_and_much_after_few() -> None:
    spin = Spin(lambda: now[0])
    waits(spin, helped=False)
    assert not spin.begins()
    assert all(waits(spin, helped=True) for _ in range(31))
    waits(spin, helped=False)
    assert [waits(spin, helped=True) for _ in range(70)] == [False] * 3 + [True] * 67
    waits(spin, helped=False)
    assert [waits(spin, helped=True) for _ in range(2)] == [False, True]


def test_one_at_a_time() -> None:
    one, other = Spin(lambda: now[0]), Spin(lambda: now[0])
    assert one.begins()
    assert not other.begins()
    assert not one.goes_on(is_over=True)
    assert other.begins()
    now[0] += SPIN_S  # it never came to its end, and stands in nobody's way
    assert one.begins()
    assert not one.goes_on(is_over=True)


class Attended:
    def __init__(self) -> None:
        self.looked = threading.Event()

    def look(self, *, only_if_idle: bool) -> None:
        assert only_if_idle
        self.looked.set()


def attendants() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "openenv-pings"}


def test_one_thread_looks_after_all_and_ends_with_the_last() -> None:
    attendant, connections = Attendant(period_s=0.001), [Attended() for _ in range(3)]
    before = attendants()
    for one in connections:
        attendant.attend(one)
    (thread,) = attendants() - before
    for one in connections:
        assert one.looked.wait(WAIT_S)
        attendant.leave(one)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    again = Attended()
    attendant.attend(again)
    assert again.looked.wait(WAIT_S)
    (thread,) = attendants() - before
    del again, one, connections  # nobody holds them any more
    thread.join(WAIT_S)
    assert not thread.is_alive()
