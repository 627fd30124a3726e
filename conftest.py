"""For all tests."""

import signal

import pytest

pytest.register_assert_rewrite("tests")  # helpers beside the tests say what they found, too


def pytest_configure() -> None:
    # A shell that starts a command in the background has it ignore SIGINT, and its children inherit that. Programs of
    # these tests are to be interrupted, as they are in a terminal.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
