"""Tasks: what is asked for, the files it begins with, and the script that decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openenv import ActionInvalid

__all__ = ["TASKS", "Task", "task_of"]


class Task(BaseModel):
    """One task.

    Attributes:
        name: Its name.
        instruction: What the agent is asked for.
        setup: Shell script that makes the files to begin with, run in the empty working directory.
        check: Shell script, run in a copy of the working directory at the end; exit status 0 means solved.
        check_limit_s: Seconds that ``setup`` and ``check`` may take each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(default="custom", max_length=200)
    instruction: str = Field(max_length=100_000)
    setup: str = Field(default="", max_length=30_000)
    check: str = Field(min_length=1, max_length=30_000)
    check_limit_s: float = Field(default=30.0, gt=0, le=600)


TASKS: Final[tuple[Task, ...]] = (
    Task(
        name="count-words",
        instruction="Count the words of all .txt files in texts, including its subdirectories, and write the number, "
        "and nothing else, to the file count.",
        setup="""
            mkdir -p texts/old
            printf 'the quick brown fox\\njumps over the lazy dog\\n' > texts/fox.txt
            printf 'one two  three\\n\\n   four\\n' > texts/old/numbers.txt
            printf 'not to be counted\\n' > texts/notes.md
            seq 1 250 > 'texts/with space.txt'
        """,
        check="""test "$(tr -d '[:space:]' < count)" = 263""",
    ),
    Task(
        name="fix-script",
        instruction="./total.sh FILE is to print the sum of the integers in FILE, one in a line, and 0 for an empty "
        "file. It is broken. Mend it.",
        setup="""
            cat > total.sh <<'END'
#!/bin/sh
sum=1
while read -r number; do
    sum=$((sum - number))
done < $1
echo "sum"
END
            printf '3\\n4\\n5\\n' > numbers
        """,
        check="""
            set -e
            test -x total.sh
            place=$(mktemp -d "$HOME/XXXXXX")
            printf '3\\n4\\n5\\n' > "$place/a"
            printf -- '-7\\n100000\\n' > "$place/b c"
            : > "$place/empty"
            test "$(./total.sh "$place/a")" = 12
            test "$(./total.sh "$place/b c")" = 99993
            test "$(./total.sh "$place/empty")" = 0
        """,
    ),
    Task(
        name="largest-file",
        instruction="Find the largest regular file below data, hidden ones included, and write its path as seen from "
        "here, such as data/a/b, to the file answer.",
        setup="""
            mkdir -p data/a/deep data/b data/.cache
            for n in 1 2 3 4 5; do head -c $((n * 1000)) /dev/zero > data/a/part$n; done
            head -c 7000 /dev/zero > data/a/deep/core
            head -c 9000 /dev/zero > data/.cache/.blob
            head -c 8999 /dev/zero > data/b/image
            ln -s /usr/bin/env data/b/link
        """,
        check="""test "$(cat answer)" = data/.cache/.blob || test "$(cat answer)" = ./data/.cache/.blob""",
    ),
)
"""The tasks that come with this package, to be chosen by name or by their place here."""


def task_of(wanted: str | int | Mapping[str, Any] | None) -> Task | None:
    """The task that is meant.

    Args:
        wanted: Name or number of one of ``TASKS``, fields of a ``Task``, or ``None``.

    Raises:
        ActionInvalid: There is none such.
    """
    if wanted is None:
        return None
    if isinstance(wanted, Mapping):
        try:
            return Task.model_validate(dict(wanted))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(["task", *map(str, first["loc"])])
            raise _refused(f"{field}: {first['msg']}") from error
    for number, task in enumerate(TASKS):
        if not isinstance(wanted, bool) and wanted in (task.name, number):
            return task
    names = ", ".join(f"{number} {task.name}" for number, task in enumerate(TASKS))
    raise _refused(f"there is no task {wanted!r}; there are {names}, or give one with instruction, setup and check")


def _refused(message: str) -> ActionInvalid:
    return ActionInvalid(message, details={"errors": [{"loc": ["task"], "msg": message, "type": "value_error"}]})
