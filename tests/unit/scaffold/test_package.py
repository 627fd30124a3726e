"""A package is written whole or not at all, and never over anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openenv.errors import ConfigurationError
from openenv.scaffold import PackageName, Template, create_package, render

FILES = render(Template.GYM, PackageName.parse("my-env"))


def everything(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_it_is_written_below_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    created = create_package("my-env")
    assert created.directory == Path("my-env")
    assert set(created.files) == set(FILES)
    assert {path: (tmp_path / "my-env" / path).read_text(encoding="utf-8") for path in created.files} == FILES
    assert (tmp_path / "my-env").stat().st_mode == tmp_path.joinpath("my-env", "src").stat().st_mode


def test_missing_directories_are_made(tmp_path: Path) -> None:
    create_package("my-env", directory=tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "pyproject.toml").is_file()


@pytest.mark.parametrize("inside", [set(), {".git"}])
def test_an_empty_directory_or_a_new_repository_is_filled(inside: set[str], tmp_path: Path) -> None:
    for name in inside:
        (tmp_path / name).mkdir()
    create_package("my-env", directory=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.split("/")[0] for path in FILES} | inside


def test_a_second_time_is_refused(tmp_path: Path) -> None:
    create_package("my-env", directory=tmp_path / "my-env")
    (tmp_path / "my-env" / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"is not empty \(it holds .*, …\); choose another name, or .* --dir"):
        create_package("my-env", directory=tmp_path / "my-env")
    assert (tmp_path / "my-env" / "README.md").read_text(encoding="utf-8") == "mine"


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"it holds notes\.txt\)"):
        create_package("my-env", directory=tmp_path)
    assert everything(tmp_path) == {"notes.txt"}


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-env").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is a file; choose another directory with --dir"):
        create_package("my-env", directory=tmp_path / "my-env")


def test_below_a_file_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"cannot write .*: Not a directory; choose another directory"):
        create_package("my-env", directory=tmp_path / "file" / "my-env")
    assert everything(tmp_path) == {"file"}


def test_a_name_that_cannot_be_used_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        create_package("class")
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("target", ["new", "a/b/new", "empty"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failure_half_way_leaves_nothing(
    target: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    before = everything(tmp_path)
    written: list[Path] = []

    really_open = Path.open

    def full_disk(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "x":
            if len(written) == len(FILES) // 2:
                assert everything(tmp_path) > before, "nothing was written before the disk was full"
                raise error
            written.append(path)
        return really_open(path, mode, **options)

    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises((ConfigurationError, KeyboardInterrupt)) as raised:
        create_package("my-env", directory=tmp_path / target)
    assert written
    assert everything(tmp_path) == before
    if isinstance(error, OSError):
        assert "No space left on device" in str(raised.value)


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "README.md"
    really_open = Path.open

    def beside_another(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "x":
            theirs.touch()
        return really_open(path, mode, **options)

    monkeypatch.setattr(Path, "open", beside_another)
    with pytest.raises(ConfigurationError, match=r"README\.md: File exists"):
        create_package("my-env", directory=tmp_path)
    assert everything(tmp_path) == {"README.md"}
