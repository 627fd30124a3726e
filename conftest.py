"""For all tests."""

import signal


def pytest_configure() -> None:
    # A shell that starts a command in the background has it ignore SIGINT, and its children inherit that. Programs of
    # these tests are to be interrupted, as they are in a terminal.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
