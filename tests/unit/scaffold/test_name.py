"""Which names a package can have, and what follows from one."""

from __future__ import annotations

import re

import pytest

from openenv.errors import ConfigurationError
from openenv.scaffold import MAX_NAME_LENGTH, PackageName


@pytest.mark.parametrize(
    ("name", "module", "distribution", "title", "prefix"),
    [
        ("maze", "maze", "openenv-maze", "Maze", "Maze"),
        ("my-env", "my_env", "openenv-my-env", "My Env", "My"),
        ("my_env", "my_env", "openenv-my-env", "My Env", "My"),
        ("web_environment", "web_environment", "openenv-web-environment", "Web Environment", "Web"),
        ("grid-world-2d", "grid_world_2d", "openenv-grid-world-2d", "Grid World 2d", "GridWorld2d"),
        ("a", "a", "openenv-a", "A", "A"),
        ("envelope", "envelope", "openenv-envelope", "Envelope", "Envelope"),
    ],
)
def test_all_names_follow_from_one(name: str, module: str, distribution: str, title: str, prefix: str) -> None:
    assert PackageName.parse(name) == PackageName(module, distribution, name, title, prefix)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is no name"),
        ("MyEnv", "for instance my_env"),
        ("my env", "for instance my_env"),
        ("2048", "for instance maze_env"),
        ("2048-game", "for instance game"),
        ("my.env", "for instance my_env"),
        ("../up", "for instance up"),
        ("a--b", "for instance a_b"),
        ("-a", "for instance a"),
        ("a_", "for instance a"),
        ("_a", "for instance a"),
        ("a\n", "for instance a"),
        ("größe", "for instance gr_e"),
        ("If", "for instance maze_env"),
        ("a" * (MAX_NAME_LENGTH + 1), f"at most {MAX_NAME_LENGTH}"),
        ("class", "a word of Python itself and cannot be imported; try class_env"),
        ("random", "standard library; try random_env"),
        ("json", "standard library; try json_env"),
        ("openenv", "environments need; try openenv_env"),
        ("pydantic-core", "environments need; try pydantic_core_env"),
        ("env", "after its world"),
    ],
)
def test_what_is_no_name_is_refused_with_another(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        PackageName.parse(name)
    assert says in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    "name", ["MyEnv", "class", "random", "openenv", "2048-game", "my.env", "größe", "Env", "x" * 60]
)
def test_the_name_that_is_suggested_can_be_used(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        PackageName.parse(name)
    suggested = re.search(r"(?:instance|try) (\w+)$", raised.value.message)
    if suggested is None:
        assert "at most" in raised.value.message
    else:
        PackageName.parse(suggested[1])


def test_the_longest_name_can_be_used() -> None:
    assert PackageName.parse("a" * MAX_NAME_LENGTH).module == "a" * MAX_NAME_LENGTH
