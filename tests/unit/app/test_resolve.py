"""What a target is taken for, and what is said of one that is nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openenv.app.resolve import Local, Remote, installed, resolve, split_file
from openenv.errors import ConfigurationError, EnvironmentNotFound, OpenEnvError


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def manifest(directory: Path, app: str = "app: server.app:app") -> Path:
    return write(directory / "openenv.yaml", f"name: thing\n{app}\nunheard_of: 3\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed packages."""
    site = tmp_path / "site"
    about = site / "openenv_things-1.0.0.dist-info"
    write(about / "METADATA", "Metadata-Version: 2.1\nName: openenv-things\nVersion: 1.0.0\n")
    points = {
        "my-thing": "a_thing.clients.sync:Client",
        "plain": "a_plain_thing",
        "gone": "a_thing_that_is_gone:Client",
        "bare": "a_bare_thing",
    }
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    write(about / "entry_points.txt", f"[openenv.environments]\n{lines}")
    explosive = "raise AssertionError('imported')\n"
    write(site / "a_thing" / "__init__.py", explosive)
    write(site / "a_thing" / "clients" / "__init__.py", explosive)
    manifest(site / "a_thing", "app: a_thing.server:app")
    write(site / "a_plain_thing" / "__init__.py", explosive)
    write(site / "a_plain_thing" / "server" / "app.py", explosive)
    manifest(site / "a_plain_thing")
    write(site / "a_bare_thing" / "__init__.py", explosive)
    monkeypatch.syspath_prepend(site)
    return site


@pytest.mark.parametrize("url", ["http://h", "https://h:1/x", "ws://h", "wss://h/ws"])
def test_urls_are_servers(url: str) -> None:
    assert resolve(url) == Remote(url)


def test_an_installed_name_is_found_without_importing_it(site: Path) -> None:
    directory = str(site / "a_thing")
    assert resolve("my-thing") == Local("my-thing", "a_thing.server:app", (), "a_thing.clients.sync:Client", directory)
    assert resolve("My_Thing") == resolve("my-thing")
    assert {"my-thing", "plain"} <= installed().keys()


def test_an_app_named_from_the_package_directory_is_imported_from_there(site: Path) -> None:
    directory = str(site / "a_plain_thing")
    assert resolve("plain") == Local("plain", "server.app:app", (directory,), None, directory)


@pytest.mark.parametrize(("name", "says"), [("gone", "install its package again"), ("bare", "has no openenv.yaml in")])
def test_a_broken_installation_says_so(site: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        resolve(name)


def test_an_unknown_name_gives_the_nearest_and_no_line_that_installs_the_typo(site: Path) -> None:
    with pytest.raises(EnvironmentNotFound) as raised:
        resolve("my_thin")
    assert "did you mean 'my-thing'?" in raised.value.message
    assert "pip install" not in raised.value.message


def test_a_name_near_to_none_gives_all(site: Path) -> None:
    with pytest.raises(EnvironmentNotFound) as raised:
        resolve("zzzzzzzz")
    assert "bare, " in raised.value.message
    assert "did you mean" not in raised.value.message
    assert "pip install openenv-zzzzzzzz" in raised.value.message


@pytest.mark.parametrize("target", ["ftp:", "two words", "", "-x"])
def test_what_could_be_no_package_has_no_install_line(target: str) -> None:
    with pytest.raises(EnvironmentNotFound) as raised:
        resolve(target)
    assert "pip install" not in raised.value.message


def test_something_importable_is_taken_at_its_word() -> None:
    assert resolve("package.module:attribute.inner") == Local(
        "package.module:attribute.inner", "package.module:attribute.inner"
    )


def test_a_directory_that_holds_its_app_is_the_import_root(tmp_path: Path) -> None:
    write(tmp_path / "server" / "app.py")
    manifest(tmp_path)
    assert resolve(str(tmp_path)) == Local("thing", "server.app:app", (str(tmp_path),), None, str(tmp_path))
    assert resolve(str(tmp_path / "openenv.yaml")) == resolve(str(tmp_path))


def test_a_package_can_be_imported_by_its_own_name_too(tmp_path: Path) -> None:
    write(tmp_path / "thing" / "__init__.py")
    write(tmp_path / "thing" / "server.py")
    manifest(tmp_path / "thing", "app: server:app")
    found = resolve(str(tmp_path / "thing"))
    assert isinstance(found, Local)
    assert found.import_roots == (str(tmp_path / "thing"), str(tmp_path))


def test_a_src_layout_is_imported_from_src(tmp_path: Path) -> None:
    write(tmp_path / "src" / "thing" / "server.py")
    manifest(tmp_path / "src" / "thing", "app: thing.server:app")
    found = resolve(f"{tmp_path}/")
    assert isinstance(found, Local)
    assert found.import_roots == (str(tmp_path / "src"),)


def test_a_manifest_above_src_is_imported_from_src(tmp_path: Path) -> None:
    write(tmp_path / "src" / "thing" / "server.py")
    manifest(tmp_path, "app: thing.server:app")
    found = resolve(str(tmp_path))
    assert isinstance(found, Local)
    assert found.import_roots == (str(tmp_path / "src"),)


def test_a_bare_directory_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(tmp_path / "thing")
    monkeypatch.chdir(tmp_path)
    assert resolve("thing") == resolve("./thing")


@pytest.mark.parametrize(
    ("lay_out", "error", "says"),
    [
        (lambda at: at / "nothing", EnvironmentNotFound, "no file or directory"),
        (lambda at: at / "nothing.py", EnvironmentNotFound, "there is no file"),
        (lambda at: write(at / "thing.txt"), EnvironmentNotFound, "is no environment"),
        (lambda at: at, EnvironmentNotFound, r"neither openenv.yaml nor src/\*/openenv.yaml"),
        (lambda at: manifest(at, "").parent, ConfigurationError, "does not say what to serve"),
        (lambda at: manifest(at, "app: 3 apps").parent, ConfigurationError, "must look like module:attribute"),
        (lambda at: write(at / "openenv.yaml", "- a\n").parent, ConfigurationError, "keys and values"),
        (lambda at: write(at / "openenv.yaml", "a: b: c\n").parent, ConfigurationError, "not valid YAML"),
        (
            lambda at: (manifest(at / "src" / "a"), manifest(at / "src" / "b"))[0].parents[2],
            EnvironmentNotFound,
            "several environments",
        ),
    ],
)
def test_a_path_that_is_no_environment_says_what_was_looked_for(
    lay_out: object, error: type[OpenEnvError], says: str, tmp_path: Path
) -> None:
    assert callable(lay_out)
    with pytest.raises(error, match=says) as raised:
        resolve(str(lay_out(tmp_path)))
    assert type(raised.value) is error


def test_files_and_their_attributes() -> None:
    assert split_file("a/.pyenv/b.py") == (Path("a/.pyenv/b.py"), "")
    assert split_file("a.py:B.c") == (Path("a.py"), "B.c")
    assert split_file("package.pyramid:app") is None
    assert split_file("a.py:") is None


def test_finding_an_environment_loads_no_web_framework() -> None:
    code = (
        "import sys, openenv.app.making; print(sorted({'fastapi', 'starlette', 'uvicorn', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
