"""What Python code calls tools by."""

from __future__ import annotations

import keyword

from openenv.tools.identifiers import function_names


def test_a_name_that_python_can_have_stays() -> None:
    assert function_names(["a", "A1", "_b"]) == {"a": "a", "A1": "A1", "_b": "_b"}


def test_other_names_become_some() -> None:
    found = function_names(["a-b", "1a", "class", "größe", "x/y.z"])
    assert found == {"a-b": "a_b", "1a": "_1a", "class": "class_", "größe": "gr__e", "x/y.z": "x_y_z"}


def test_no_name_is_given_twice() -> None:
    names = ["a-b", "a.b", "a_b", "a_b_2", "class", "class_", "list_tools", "list-tools", "list_tools_"]
    found = function_names(names, taken={"list_tools"})
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(one.isidentifier() and not keyword.iskeyword(one) for one in found.values())
    assert "list_tools" not in found.values()
    kept = ("a_b", "a_b_2", "class_", "list_tools_")
    assert all(found[name] == name for name in kept), "whoever has a name keeps it, wherever it comes in the list"
