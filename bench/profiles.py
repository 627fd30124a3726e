"""``python -m bench.profiles [NAME ...]``: where ours spends its time, as text in ``bench/profiles``."""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import connected
from bench.load_v2 import muxed
from bench.servers import SERVE, Server, Way, serving
from bench.sides import APPS, SetUpFailed, Sides, beside, set_up
from bench.stepping import settle

__all__ = ["Profile", "as_text"]

_FOLDER = Path(__file__).resolve().parent / "profiles"
_RATE = 250  # samples a second
_SECONDS = 5
_TOP = 25
_FRAME = re.compile(r"(?P<name>.*) \((?P<file>[^():]+)(:\d+)?\)$")

_MANY = Way(serve=("--max-sessions", "300"))
_WAITING = {"epoll_pwait", "epoll_wait", "poll", "ppoll", "select"}


@dataclass(frozen=True)
class Profile:
    """How often each function was seen while something was done.

    Attributes:
        samples: Stacks that were taken while it did not wait.
        waits: Stacks that were taken while it waited for something to come, or slept.
        own: By function: stacks at whose top it was.
        total: By function: stacks that it was in.
    """

    samples: int
    waits: int
    own: Counter[str]
    total: Counter[str]

    @staticmethod
    def of(raw: str) -> Profile:
        """The profile in what py-spy writes as ``raw``: a line for each stack, frames from the root, and a count."""
        own, total, samples, waits = Counter[str](), Counter[str](), 0, 0
        for line in raw.splitlines():
            stack, _, count = line.rpartition(" ")
            functions = [_named(frame) for frame in stack.split(";")]
            if functions[-1].partition(" ")[0] in _WAITING:
                waits += int(count)
                continue
            samples += int(count)
            own[functions[-1]] += int(count)
            for function in set(functions):
                total[function] += int(count)
        return Profile(samples, waits, own, total)


def as_text(what: str, found: Profile) -> str:
    """The functions that take most, by themselves and with all they call."""
    lines = [
        f"{what}",
        f"{found.samples} samples of py-spy with native frames, {_RATE} a second, Python {platform.python_version()};",
        f"{found.waits} more were taken while it waited, which do not count",
        "",
        f"{'by itself':>9} {'in all':>7}  function",
    ]
    for function, count in found.own.most_common(_TOP):
        lines.append(f"{count / found.samples:9.1%} {found.total[function] / found.samples:7.1%}  {function}")
    lines += ["", f"{'in all':>9}  of openenv and the environment, whatever they call"]
    ours = [(function, count) for function, count in found.total.most_common() if _is_ours(function)]
    lines += [f"{count / found.samples:9.1%}  {function}" for function, count in ours[:_TOP]]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Profile what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profiles", description="Where ours spends its time, as text in bench/profiles."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *_CASES], help=", ".join(_CASES))
    asked = parser.parse_args()
    try:
        sides = set_up(print)
        spy = beside("py-spy") / "bin" / "py-spy"
    except (OSError, SetUpFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _FOLDER.mkdir(exist_ok=True)
    for name in asked.names or _CASES:
        what, record = _CASES[name]
        path = _FOLDER / f"{name}.txt"
        path.write_text(as_text(what, Profile.of(record(sides, spy))))
        print(f"{what}: {path}")
    return 0


def _server(
    way: Callable[[], Way], play: Callable[[Server], Iterator[Callable[[], object]]]
) -> Callable[[Sides, Path], str]:
    """Profiles a server while a load client plays on it."""
    playing = contextmanager(play)

    def record(sides: Sides, spy: Path) -> str:
        with serving(sides.ours, way()) as server, playing(server) as go_on, _raw() as file:
            command = [*_spy(spy, file), "--duration", str(_SECONDS), "--pid", str(server.pid)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                while process.poll() is None:
                    go_on()
                return _read(process, file)

    return record


def _client(program: str, steps: int, *arguments: str) -> Callable[[Sides, Path], str]:
    """Profiles a program that plays with our client on ``openenv serve``."""

    def record(sides: Sides, spy: Path) -> str:
        with serving(sides.ours, SERVE) as server, _raw() as file:
            settle(server)
            played: list[str | Path] = [sides.ours.python, APPS / program, server.url, str(steps), *arguments]
            command = [*_spy(spy, file), "--", *played]
            with subprocess.Popen(
                command, cwd=APPS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                return _read(process, file)

    return record


def _spy(spy: Path, file: Path) -> list[str | Path]:
    return [spy, "record", "--native", "--function", "--format", "raw", "--rate", str(_RATE), "--output", file]


@contextmanager
def _raw() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "raw")


def _read(process: subprocess.Popen[str], file: Path) -> str:
    said = process.communicate()[0]
    if process.returncode or not file.is_file():
        raise SystemExit(f"error: py-spy failed: {said[-1000:]}")
    return file.read_text()


def _one(server: Server) -> Iterator[Callable[[], object]]:
    settle(server)
    with connected(server.port, 1) as load:
        yield lambda: load.steps(200)


def _crowd(server: Server) -> Iterator[Callable[[], object]]:
    settle(server)
    with connected(server.port, 64) as load:
        yield lambda: load.steps(640)


def _batches(server: Server) -> Iterator[Callable[[], object]]:
    settle(server)
    with muxed(server.port, 64, "msgpack") as load:
        yield lambda: load.batches(10)


def _pixels_v1(server: Server) -> Iterator[Callable[[], object]]:
    settle(server)
    with connected(server.port, 1) as load:
        yield lambda: load.steps(10)


def _pixels_msgpack(server: Server) -> Iterator[Callable[[], object]]:
    settle(server)
    with muxed(server.port, 1, "msgpack") as load:
        yield lambda: load.steps(100)


def _pixels(*options: str) -> Way:
    return Way("arrays_app:pixels", options or None, beside("numpy"))


def _named(frame: str) -> str:
    """A frame of py-spy without its line; what has no symbol is named by its library."""
    found = _FRAME.match(frame)
    if found is None:
        return frame
    name, file = found["name"], found["file"]
    return f"{'(no symbol)' if name.startswith('0x') else name}  {file.rpartition('site-packages/')[2]}"


def _is_ours(function: str) -> bool:
    return "openenv/" in function or function.endswith("_app.py")


_CASES: dict[str, tuple[str, Callable[[Sides, Path], str]]] = {
    "server_1": ("openenv serve, 1 session", _server(lambda: SERVE, _one)),
    "server_64": ("openenv serve, 64 sessions with a connection each", _server(lambda: SERVE, _crowd)),
    "server_create_app": ("uvicorn serving create_app, 1 session", _server(Way, _one)),
    "server_batch_64": ("openenv serve, batches of 64 on one connection, msgpack", _server(lambda: _MANY, _batches)),
    "client_sync": ("synchronous client, 1 session", _client("play.py", 60_000, "sync")),
    "client_async": ("asynchronous client, 1 session", _client("play.py", 40_000, "async")),
    "client_async_16": ("asynchronous client, 16 sessions", _client("play.py", 60_000, "async16")),
    "client_pool_64": ("EnvPool of 64 sessions", _client("play_pool.py", 64 * 3_000, "64")),
    "pixels_v1": ("uvicorn serving create_app, 84x84x4 uint8 in protocol v1", _server(_pixels, _pixels_v1)),
    "pixels_msgpack": (
        "openenv serve without a journal, 84x84x4 uint8 in msgpack",
        _server(lambda: _pixels("--journal-mode", "off"), _pixels_msgpack),
    ),
}


if __name__ == "__main__":
    raise SystemExit(main())
