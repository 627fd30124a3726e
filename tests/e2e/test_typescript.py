"""The TypeScript client: built strictly, held to the golden frames, and run against the real server."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest
from tests.docs.snippets import ROOT, snippets_of
from tests.e2e.cutting_proxy import cutting
from tests.e2e.typescript_package import DEADLINE_S, SOURCE, Package, build
from tests.e2e.typescript_values import VALUES, Mirror
from tests.unit.client.tool_worlds import Guessing

from openenv import Action, Environment, Observation, State
from openenv.app import create_app
from openenv.errors import ERRORS
from openenv.server.access import AccessOptions, Role
from openenv.testing import serving

PAGE = ROOT / "docs" / "how-to" / "typescript-client.md"
ENCODINGS = ["msgpack", "json"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("typescript"))


# The package --------------------------------------------------------------------------------------


def test_it_compiles_strictly_and_its_own_tests_pass(package: Package) -> None:
    package.compile(package.folder)
    tests = sorted((package.folder / "test").glob("*.test.ts"))
    said = package.run("--test", "--test-reporter=tap", "--test-timeout=30000", *tests)
    passed = re.search(r"^# pass (\d+)$", said, flags=re.MULTILINE)
    assert passed is not None, said[-2000:]
    assert int(passed[1]) > 150


def test_the_lock_names_no_registry() -> None:
    for name in ("package-lock.json", ".npmrc", "package.json"):
        text = (SOURCE / name).read_text(encoding="utf-8")
        assert '"resolved"' not in text
        assert not re.findall(r"https?://[^\s\"]*(?:registry|npm)[^\s\"]*", text), name


def test_it_knows_the_errors_of_the_wire(package: Package) -> None:
    """By code, with the same names and whether a retry can help where this side raises them."""
    program = (
        "import {ERRORS} from './dist/index.js'; for (const [c, e] of Object.entries(ERRORS)) console.log(c, e.name)"
    )
    said = package.run("--input-type=module", "-e", program)
    theirs = dict(line.split() for line in said.splitlines())
    ours = {code: cls.__name__ for code, cls in ERRORS.items()}
    assert {code: ours.get(code) for code in theirs} == theirs
    only_here = {"RUNTIME_ERROR", "RECORD_ERROR", "MISSING_EXTRA", "PORT_IN_USE", "ENVIRONMENT_NOT_FOUND"}
    assert set(ours) - set(theirs) - only_here == set()


# On the real server -------------------------------------------------------------------------------


class Add(Action):
    amount: int


class Total(Observation):
    total: int


class Counter(Environment[Add, Total, State]):
    """Counts, and keeps a ledger of every step that it took."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    ledger: ClassVar[list[str | None]] = []

    def reset(self, seed: int | None = None, episode_id: str | None = None, start: int = 0) -> Total:
        self._total, self._state = start, State(episode_id=episode_id)
        return Total(total=start)

    def step(self, action: Add) -> Total:
        self._total += action.amount
        self._state.step_count += 1
        self.ledger.append(self._state.episode_id)
        return Total(total=self._total, reward=float(action.amount))

    @property
    def state(self) -> State:
        return self._state


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_it_plays(package: Package, encoding: str) -> None:
    with serving(create_app(Counter, max_concurrent_envs=8)) as url:
        assert package.run("test/live/play.ts", url, encoding) == "played\n"


def test_it_is_told_why_an_episode_is_lost(package: Package) -> None:
    with serving(create_app(Counter, idle_timeout_s=1)) as url:
        assert package.run("test/live/lost.ts", url) == "running\nidle\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_value_comes_back_as_it_went(package: Package, encoding: str) -> None:
    with serving(create_app(Mirror)) as url:
        assert package.run("test/live/values.ts", url, encoding) == f"{len(VALUES)}\n"


def test_it_calls_tools_where_a_token_is_asked_for(package: Package) -> None:
    token = "the-token-of-a-trainer"
    with serving(create_app(Guessing, auth=AccessOptions(tokens={Role.ORCHESTRATOR: token}))) as url:
        assert package.run("test/live/tools.ts", url, token) == "played\n"


# Cuts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_cut_costs_nothing_wherever_it_falls(package: Package, encoding: str) -> None:
    cuts = [(True, after) for after in range(1, 450, 7)] + [(False, after) for after in range(0, 900, 19)]
    Counter.ledger.clear()
    with serving(create_app(Counter, max_concurrent_envs=8)) as url, cutting(url, cuts) as proxies:
        assert package.run("test/live/cut.ts", encoding, *(proxy.url for proxy in proxies)) == "played\n"
        counts = {proxy.url: Counter.ledger.count(proxy.url) for proxy in proxies}
    assert set(counts.values()) == {3}
    assert sum(proxy.connections > 1 for proxy in proxies) > len(cuts) / 2  # the others ended before the cut


# Types --------------------------------------------------------------------------------------------

TSCONFIG = """{
  "compilerOptions": {"target": "es2022", "module": "nodenext", "strict": true, "noEmit": true, "types": ["node"],
                      "lib": ["es2024", "dom"], "skipLibCheck": false, "noUncheckedIndexedAccess": true},
  "include": ["*.ts"]
}"""
PROGRAMS = {
    "echo": """
        const result = await session.step({ message: "hello" });
        const message: string = result.observation.message;
        // @ts-expect-error it is no text
        await session.step({ message: 5 }).catch(() => {});
        // @ts-expect-error there is no such field
        result.observation.shout;
        console.log(message, result.observation.length, (await session.state()).characters);
    """,
    "blackjack": """
        let result = await session.reset({ seed: 7 });
        // @ts-expect-error no such move
        await session.step({ move: "double" }).catch(() => {});
        while (!result.done) result = await session.step({ move: "stick" });
        const usable: boolean = result.observation.usable_ace;
        console.log(typeof usable, result.terminated);
    """,
    "coding": """
        const play = async () => (await session.step({ code: "1", operation: "run", timeout_s: null })).observation;
        const images: () => Promise<{ images: readonly { data: string; media_type: string }[] }> = play;
        const first = (await session.state()).guarantees;
        console.log(typeof images, Array.isArray(first));
    """,
}
PRINTED = {"echo": "hello 5 5\n", "blackjack": "boolean true\n", "coding": "function true\n"}


def new_project(package: Package, folder: Path) -> None:
    """A project that uses the package."""
    (folder / "node_modules" / "@types").mkdir(parents=True)
    (folder / "node_modules" / "openenv-client").symlink_to(package.folder)
    (folder / "node_modules" / "@types" / "node").symlink_to(package.folder / "node_modules" / "@types" / "node")
    (folder / "tsconfig.json").write_text(TSCONFIG)
    (folder / "package.json").write_text('{"type": "module"}')


@pytest.mark.parametrize("name", PROGRAMS)
def test_types_come_from_the_schema(package: Package, tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(f"openenv_{name}") is None:
        pytest.skip(f"openenv_{name} is not installed; make venv installs what is in envs")
    new_project(package, tmp_path)
    own = name.capitalize()
    (tmp_path / "play.ts").write_text(
        f'import {{ connect }} from "openenv-client";\nimport type {{ {own} }} from "./env.js";\n'
        f"const connection = await connect<{own}>(process.argv[2]!);\nconst session = await connection.open();\n"
        f"await session.reset();\n{PROGRAMS[name]}\nawait connection.close();\n"
    )
    with serving(import_module(f"openenv_{name}.server.app").app) as url:
        types = package.run(package.folder / "dist" / "types-command.js", url)
        (tmp_path / "env.d.ts").write_text(types)
        package.compile(tmp_path)
        assert package.run(tmp_path / "play.ts", url, cwd=tmp_path) == PRINTED[name]


def test_the_page_does_what_it_says(package: Package, tmp_path: Path) -> None:
    """Its programs compile strictly, and print what stands behind them."""
    new_project(package, tmp_path)
    texts = [one.text for one in snippets_of(PAGE) if one.kind == ("text", "")]
    programs, shown = texts[::2], texts[1::2]
    assert len(programs) == len(shown) == 4
    with serving(import_module("openenv_echo.server.app").app) as url:
        (tmp_path / "echo.d.ts").write_text(package.run(package.folder / "dist" / "types-command.js", url))
        for number, program in enumerate(programs):
            (tmp_path / f"program{number}.ts").write_text(program.replace("http://localhost:8000", url))
        package.compile(tmp_path)
        printed = [package.run(tmp_path / f"program{number}.ts") for number in range(len(programs))]
    assert printed == shown


def test_the_command_says_what_is_wrong(package: Package, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    for arguments, message in [
        ([], "give one URL or file"),
        (["none.json"], "no such file"),
        (["other.json"], "has no schemas of action, observation and state"),
        (["--bogus"], "Unknown option '--bogus'"),
    ]:
        command = [package.node, package.folder / "dist" / "types-command.js", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
        assert done.stderr.startswith("error: ")
