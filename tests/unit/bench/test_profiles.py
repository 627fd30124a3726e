"""From stacks to the functions that take most."""

from __future__ import annotations

from bench.profiles import Profile, as_text

RAW = """\
<module> (play.py:9);step (/venv/lib/site-packages/openenv/client/sync_client.py:90);send (libc.so.6) 6
<module> (play.py:9);step (/venv/lib/site-packages/openenv/client/sync_client.py:95);step (openenv/a.py:1) 2
<module> (play.py:9);0x7f3e74c4524a (libc.so.6);0x7f3e74c45000 (libc.so.6) 2
<module> (play.py:9);epoll_pwait (libc.so.6) 90
"""


def test_stacks_are_counted_by_function_wherever_in_it() -> None:
    found = Profile.of(RAW)
    assert (found.samples, found.waits) == (10, 90)
    assert found.own == {"send  libc.so.6": 6, "step  openenv/a.py": 2, "(no symbol)  libc.so.6": 2}
    assert found.total["step  openenv/client/sync_client.py"] == 8
    assert found.total["(no symbol)  libc.so.6"] == 2  # twice in one stack is once in it
    assert found.total["<module>  play.py"] == 10


def test_the_text_has_shares_of_what_was_not_spent_waiting() -> None:
    text = as_text("a client", Profile.of(RAW))
    assert "    60.0%   60.0%  send  libc.so.6" in text
    assert "    80.0%  step  openenv/client/sync_client.py" in text
    assert "10 samples" in text
    assert "90 more" in text
