"""Everything that ``openenv.make`` can be given, each played for real."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.living import children
from tests.e2e.worlds import COUNTER, manifest, write

import openenv
from openenv import EnvClient, MCPToolClient, SyncEnvClient, SyncMCPToolClient
from openenv.client import GenericEnvClient
from openenv.errors import (
    CapacityReached,
    ConfigurationError,
    EnvironmentNotFound,
    FactoryFailed,
    OpenEnvError,
    RuntimeFailure,
)

pytestmark = pytest.mark.e2e

APP = "from openenv import create_app\nfrom {models} import Counter\napp = create_app(Counter)\n"
CLIENT = (
    "from openenv import EnvClient, State\nfrom {0}.models import Add, Sum\nclass C(EnvClient[Add, Sum, State]): ...\n"
)


def played(target: str) -> int:
    """Play a little; the total that was reached."""
    with openenv.make(target) as env:
        env.reset(seed=1)
        env.step({"amount": 2})
        return int(env.step({"amount": 3}).observation["total"])


def in_a_file(directory: Path) -> str:
    return str(write(directory / "counter.py", COUNTER))


def in_a_directory_like_a_pyenv(directory: Path) -> str:
    return str(write(directory / ".pyenv" / "my-counter.py", COUNTER))


def in_a_file_with_two(directory: Path) -> str:
    return f"{write(directory / 'two.py', COUNTER + chr(10) + 'class Other(Counter): ...' + chr(10))}:Other"


def a_factory_in_a_file(directory: Path) -> str:
    return f"{write(directory / 'made.py', COUNTER + chr(10) + 'def build(): return Counter()' + chr(10))}:build"


def an_app_factory_in_a_file(directory: Path) -> str:
    code = COUNTER + "\n\ndef build():\n    from openenv import create_app\n    return create_app(Counter)\n"
    return f"{write(directory / 'made.py', code)}:build"


def old_style(directory: Path) -> str:
    write(directory / "models.py", COUNTER)
    write(directory / "server" / "app.py", APP.format(models="models"))
    manifest(directory, "server.app:app")
    return str(directory)


def old_style_that_imports_itself_by_name(directory: Path) -> str:
    root = directory / "counter_env"
    write(root / "__init__.py", "")
    write(root / "models.py", COUNTER)
    write(root / "server" / "app.py", APP.format(models="counter_env.models"))
    return str(manifest(root, "server.app:app").parent)


def src_layout(directory: Path) -> str:
    package = directory / "src" / "openenv_counter"
    write(package / "__init__.py", "")
    write(package / "models.py", COUNTER)
    write(package / "app.py", APP.format(models="openenv_counter.models"))
    manifest(package, "openenv_counter.app:app")
    return str(directory)


def the_package_of_a_src_layout(directory: Path) -> str:
    return str(Path(src_layout(directory)) / "src" / "openenv_counter")


@pytest.mark.parametrize(
    "lay_out",
    [
        in_a_file,
        in_a_directory_like_a_pyenv,
        in_a_file_with_two,
        a_factory_in_a_file,
        an_app_factory_in_a_file,
        old_style,
        old_style_that_imports_itself_by_name,
        src_layout,
        the_package_of_a_src_layout,
    ],
)
def test_a_path_is_played(lay_out: Callable[[Path], str], tmp_path: Path) -> None:
    assert played(lay_out(tmp_path)) == 5


def test_a_relative_path_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert played("counter.py") == 5


@pytest.mark.parametrize("attribute", ["app", "Counter", "build"])
def test_something_importable_is_played(attribute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from openenv import create_app\n" + COUNTER + "\napp = create_app(Counter)\ndef build() -> Counter:\n"
    write(tmp_path / "importable_counter.py", code + "    return Counter()\n")
    monkeypatch.syspath_prepend(tmp_path)  # the child imports what this process would
    assert played(f"importable_counter:{attribute}") == 5


def test_a_url_is_connected_to(tmp_path: Path) -> None:
    with openenv.make(in_a_file(tmp_path)) as owner:
        url = f"http://{owner.options.address.http.removeprefix('http://')}"
        before = children()
        with openenv.make(url) as env:
            assert env.reset().observation["total"] == 0
            assert children() == before
        assert owner.reset().observation["total"] == 0  # leaving ended the session, not the server


def install(site: Path, monkeypatch: pytest.MonkeyPatch, value: str, app: str = "installed_counter.app:app") -> None:
    """What installing a package leaves behind."""
    package = site / "installed_counter"
    write(package / "__init__.py", "")
    write(package / "models.py", COUNTER)
    write(package / "client.py", CLIENT.format("installed_counter"))
    write(package / "app.py", APP.format(models="installed_counter.models"))
    manifest(package, app)
    about = site / "openenv_counter-1.0.0.dist-info"
    write(about / "METADATA", "Metadata-Version: 2.1\nName: openenv-counter\nVersion: 1.0.0\n")
    write(about / "entry_points.txt", f"[openenv.environments]\ncounter = {value}\n")
    monkeypatch.syspath_prepend(site)
    for name in [name for name in sys.modules if name.startswith("installed_counter")]:
        monkeypatch.delitem(sys.modules, name)  # that of another test


def test_an_installed_name_gives_its_typed_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_counter.client:C")
    with openenv.make("counter") as env:
        assert isinstance(env, SyncEnvClient)
        observation = env.reset().observation
        assert type(observation).__module__ == "installed_counter.models"


def test_an_installed_module_without_client_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_counter", app="app:app")  # named from the package's own directory
    assert played("Counter") == 5


async def test_an_asynchronous_client(tmp_path: Path) -> None:
    client = openenv.make(in_a_file(tmp_path), asynchronous=True, connect_timeout_s=5.0)
    assert isinstance(client, GenericEnvClient)
    assert client.options.connect_timeout_s == 5.0
    async with client as env:
        assert (await env.reset()).observation["total"] == 0


TOOLS = """
from openenv import Observation, ToolEnvironment, tool


class Adding(ToolEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self) -> Observation:
        return self.begin_with("Add.")

    @tool
    def add(self, a: int, b: int) -> int:
        return a + b
"""


async def test_the_class_of_the_client_can_be_named(tmp_path: Path) -> None:
    path = str(write(tmp_path / "adding.py", TOOLS))
    with openenv.make(path, client_class=MCPToolClient) as env:
        assert type(env) is SyncMCPToolClient
        env.reset()
        assert env.call_tool("add", a=1, b=2) == 3
        url = env.options.address.http
        async with openenv.make(url, client_class=MCPToolClient, asynchronous=True) as other:
            assert [one.name for one in await other.list_tools()] == ["add"]


def test_a_class_that_is_named_goes_before_that_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_counter.client:C")
    with openenv.make("counter", client_class=GenericEnvClient) as env:
        assert env.reset().observation["total"] == 0


@pytest.mark.parametrize("wrong", [SyncEnvClient, "MCPToolClient", dict])
def test_what_is_no_class_of_a_client(wrong: Any) -> None:
    before = children()
    with pytest.raises(ConfigurationError, match="client_class must be a subclass of EnvClient"):
        openenv.make("http://127.0.0.1:1", client_class=wrong)
    assert children() == before


def test_the_number_of_sessions_can_be_set(tmp_path: Path) -> None:
    with openenv.make(in_a_file(tmp_path), max_sessions=2) as first:
        url = first.options.address.http
        with openenv.make(url), pytest.raises(CapacityReached) as refused, openenv.make(url):
            pytest.fail("a third session was opened")
        assert refused.value.details["max_sessions"] == 2


@pytest.mark.parametrize(
    ("text", "attribute", "error", "says"),
    [
        ("import nothing_of_that_name\n", "", ConfigurationError, "nothing_of_that_name"),
        ("raise SystemExit(3)\n", "", ConfigurationError, "SystemExit: 3"),
        ("def broken(:\n", "", ConfigurationError, "SyntaxError"),
        ("from openenv import create_app\ncreate_app(3)\n", "", ConfigurationError, "must be an Environment class"),
        ("x = 1\n", "", EnvironmentNotFound, "defines no Environment class"),
        (COUNTER + "\nclass Other(Counter): ...\n", "", EnvironmentNotFound, "env.py:Other"),
        (COUNTER, ":Countr", EnvironmentNotFound, "its Environment classes: /"),
        (COUNTER + "\nit = Counter()\n", ":it", ConfigurationError, "got an instance of Counter"),
        ("def build():\n    raise KeyError('k')\n", ":build", FactoryFailed, "KeyError"),
        ("def build():\n    return 3\n", ":build", ConfigurationError, "made neither"),
        ("import os\nos._exit(7)\n", "", RuntimeFailure, "ended with exit code 7"),
        ("import os\nos.kill(os.getpid(), 9)\n", "", RuntimeFailure, "was killed by SIGKILL"),
    ],
)
def test_what_cannot_start_says_why(
    text: str, attribute: str, error: type[OpenEnvError], says: str, tmp_path: Path
) -> None:
    before = children()
    with pytest.raises(error) as raised:
        openenv.make(f"{write(tmp_path / 'env.py', text)}{attribute}")
    assert type(raised.value) is error
    assert says in raised.value.message
    assert "\n" not in raised.value.message
    assert children() == before


def test_a_missing_module_says_where_it_was_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "env.py", "x = 1\nimport nothing_of_that_name\n")
    with pytest.raises(ConfigurationError) as raised:
        openenv.make(str(path))
    assert f"{path}, line 2" in raised.value.message
    assert "Traceback" in raised.value.details["traceback"]


def test_sessions_of_an_app_that_is_not_ours_cannot_be_set(tmp_path: Path) -> None:
    path = write(tmp_path / "other.py", "async def app(scope, receive, send): ...\n")
    with pytest.raises(ConfigurationError, match="not made by create_app"):
        openenv.make(f"{path}:app", max_sessions=2)


def test_sessions_beyond_what_the_class_supports_are_refused(tmp_path: Path) -> None:
    alone = COUNTER.replace(
        "SUPPORTS_CONCURRENT_SESSIONS = True", "SUPPORTS_CONCURRENT_SESSIONS = False\n    isolation = 'thread'"
    )
    path = write(tmp_path / "alone.py", alone)
    with pytest.raises(ConfigurationError, match="cannot serve 2 sessions"):
        openenv.make(str(path), max_sessions=2)


def test_sessions_of_a_url_cannot_be_set() -> None:
    with pytest.raises(ConfigurationError, match="runs already"):
        openenv.make("http://127.0.0.1:1", max_sessions=2)


def test_a_client_that_cannot_be_imported_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_counter.client:C")
    write(tmp_path / "installed_counter" / "client.py", "import nothing_of_that_name\n")
    before = children()
    with pytest.raises(ConfigurationError, match=r"client installed_counter\.client:C.*nothing_of_that_name"):
        openenv.make("counter")
    assert children() == before


def test_a_client_that_is_none_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_counter.models:Add")
    with pytest.raises(ConfigurationError, match="is no EnvClient class"):
        openenv.make("counter")


def test_unknown_options_of_the_client_leave_no_server(tmp_path: Path) -> None:
    before = children()
    with pytest.raises(TypeError, match="colour"):
        openenv.make(in_a_file(tmp_path), colour="red")  # type: ignore[call-overload]
    assert children() == before


def test_asked_types_are_used(tmp_path: Path) -> None:
    class Total(openenv.Observation):
        total: int
        pid: int

    with openenv.make(in_a_file(tmp_path), observation_type=Total) as env:
        assert isinstance(env.reset().observation, Total)
    assert type(env) is SyncEnvClient
    assert issubclass(GenericEnvClient, EnvClient)
