"""What ``openenv init`` makes is good as it is: clean, tested, found by name, served and played."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.e2e.living import DEADLINE_S
from tests.e2e.packages import NAME, PLAYS, Installed, environment, install, run

from openenv import SyncEnvClient
from openenv.scaffold import Template

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]  # the first test of each template installs it


@pytest.fixture(scope="module", params=[template.value for template in Template])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(request.param, tmp_path_factory.mktemp(request.param))


def test_it_is_clean(package: Installed) -> None:
    package.run("ruff", "check", ".")
    package.run("ruff", "format", "--check", ".")
    assert "no issues found" in package.run("mypy")


def test_its_tests_pass(package: Installed) -> None:
    last = package.run("pytest", "-q").splitlines()[-1]
    passed = re.match(r"(\d+) passed, 3 skipped in", last)
    assert passed, last  # it is not deterministic, takes no snapshots and has no step_batch
    assert int(passed[1]) > 20


def test_its_wheel_has_all_that_it_is_found_by(package: Installed, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=package.directory)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert names >= {"my_env/openenv.yaml", "my_env/py.typed", "my_env/server/app.py"}
    assert not any(name.startswith("tests/") for name in names)


def test_it_keeps_the_rules(package: Installed) -> None:
    code = (
        "from openenv.testing import check_env\nfrom my_env.server.environment import MyEnvironment\n"
        "print(check_env(MyEnvironment))"
    )
    assert "keeps all rules" in package.run("python", "-c", code)


def test_the_snippet_of_its_readme_finds_it_by_name(package: Installed) -> None:
    readme = (package.directory / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert snippets
    for snippet in snippets:
        assert 'openenv.make("my_env")' in snippet
        assert re.search(r"return: \d", package.run("python", "-c", snippet))


@pytest.mark.parametrize("command", [("openenv", "serve"), ("server",)], ids=" ".join)
def test_it_is_served_and_played(package: Installed, command: tuple[str, ...]) -> None:
    program = [str(package.scripts / command[0]), *command[1:], "--port", "0"]
    with subprocess.Popen(
        program, cwd=package.directory, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            with SyncEnvClient(url) as client:
                PLAYS[package.template](client)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_its_server_says_in_one_line_what_is_wrong(package: Installed) -> None:
    done = subprocess.run(
        [str(package.scripts / "server"), "--host", "nowhere.invalid"],
        cwd=package.directory, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: cannot listen on 'nowhere\.invalid': .*\n", done.stderr)


def test_a_second_one_in_the_same_place_is_refused(package: Installed) -> None:
    done = subprocess.run(
        [str(package.scripts / "openenv"), "init", NAME],
        cwd=package.directory.parent, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{NAME} is not empty" in done.stderr
