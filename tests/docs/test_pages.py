"""Every page does what it says, links to what is there, and names what exists."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from tests.docs.generator import load_generator
from tests.docs.snippets import PAGES, README, ROOT, SHOWN_ONLY, Reader, anchors, prose, snippets_of

from openenv.errors import ERRORS, ConfigurationError
from openenv.sandbox import choose
from openenv.settings import variables

DOCS = ROOT / "docs"
FOLLOWED = [page for page in PAGES if page not in (README, DOCS / "tutorial.md")]  # these have tests of their own
KINDS = SHOWN_ONLY | {
    ("console", "curl"),
    ("console", "docker"),
    ("console", "fails"),
    ("console", "run"),
    ("console", "serve"),
    ("json", "golden"),
    ("python", ""),
    ("python", "file"),
    ("python", "notebook"),
    ("text", "output"),
    ("yaml", "file"),
}
OPTIONS_OF_OTHERS = {
    "--build-arg", "--detach", "--name", "--retry", "--retry-all-errors", "--retry-delay", "--rm", "--strict",
    "--transport", "--ws-ping-timeout", "--help",
}  # fmt: skip
BUILTINS = {
    "ConnectionError", "ImportError", "LookupError", "OSError", "PermissionError", "RuntimeError", "TimeoutError",
    "ToolError", "ValueError",
}  # fmt: skip


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_followed(page: Path) -> bool:
    return any(snippet.kind not in SHOWN_ONLY and snippet.kind != ("json", "golden") for snippet in snippets_of(page))


def missing(page: Path) -> str:
    """What a page says in a comment that it needs, and that is not on this machine."""
    found = re.search(r"<!-- needs: (.*?) -->", prose(page))
    for need in found[1].split() if found else ():
        if need == "sandbox":
            try:
                choose()
            except ConfigurationError as error:
                return str(error)
        elif importlib.util.find_spec(need) is None:
            return f"{need} is not installed; make venv installs what is in envs"
    return ""


def spans(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in FOLLOWED if is_followed(page)], ids=name_of)
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    if reason := missing(page):
        pytest.skip(reason)
    with Reader(tmp_path) as reader:
        reader.follow(page)
    assert reader.printed


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_kind_of_snippet_is_known(page: Path) -> None:
    assert {snippet.kind for snippet in snippets_of(page)} <= KINDS
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(snippets_of(page)), "a fence that does not begin its line, or has no language"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)} links to {target}; there are {sorted(anchors(found))}"


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)\)", prose(DOCS / "index.md"))}
    assert {page for page in PAGES if page.parent != ROOT} - linked == {DOCS / "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_names_exist(page: Path) -> None:
    code = " ".join(snippet.text for snippet in snippets_of(page) if snippet.language == "python")
    for dotted in set(re.findall(r"\bopenenv(?:\.[A-Za-z_]\w*)+", " ".join(spans(page)) + " " + code)):
        if dotted == "openenv.yaml" or dotted.startswith(("openenv.environments", "openenv.v2")):
            continue  # a file, the group of entry points, the subprotocol
        assert resolves(dotted), f"{name_of(page)} names {dotted}"


def resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_exist(page: Path) -> None:
    commands = load_generator().commands()
    known = {name for one in commands for p in one.parameters if p.is_option for name in p.names} | OPTIONS_OF_OTHERS
    said = "\n".join([*spans(page), *(s.text for s in snippets_of(page) if s.language == "console")])
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", said)):
        assert option in known, f"{name_of(page)} names the option {option}"
    lines = {one.line for one in commands}
    for command in set(re.findall(r"^openenv ([a-z]+)\b", said, flags=re.MULTILINE)):
        assert f"openenv {command}" in lines, f"{name_of(page)} names the command openenv {command}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_and_errors_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\bOPENENV_[A-Z_]+\b", text)) <= {one.name for one in variables()}
    classes = {cls.__name__ for cls in ERRORS.values()} | BUILTINS
    for name in spans(page):
        if re.fullmatch(
            r"[A-Z]\w+(Error|Lost|Failed|Invalid|Needed|Done|Reached|Failure|Timeout|NotFound|InUse)", name
        ):
            assert name in classes, f"{name_of(page)} names the error {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_short_enough_to_edit(page: Path) -> None:
    if "reference" in page.parts:
        return  # tables of generated pages
    inside = prose(page).splitlines()
    long = [line for line in inside if len(line) > 120 and not line.startswith("|")]
    assert not long, f"{name_of(page)}: {long[0]}"


def test_the_architecture_places_every_package() -> None:
    text = prose(DOCS / "architecture.md")
    packages = {path.stem for path in (ROOT / "src" / "openenv").iterdir() if path.suffix in ("", ".py")}
    for package in packages - {"__init__", "__main__", "__pycache__", "py"}:
        assert f"| `{package}` |" in text, f"architecture.md has no row for {package}"
