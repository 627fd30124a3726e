"""Commands, keys, tasks and faults, in a real sandbox; every fault is followed by a step that works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openenv import ActionInvalid
from openenv.sandbox import Level, probe
from openenv_terminal import TerminalAction, TerminalObservation
from openenv_terminal.server.environment import TerminalEnvironment
from openenv_terminal.server.tasks import TASKS

CONTAINED = [found.level.value for found in probe() if found.available and found.level is not Level.RLIMITS]
FAST = [level for level in CONTAINED if level != "gvisor"][-1:]

# Nothing here may ever run outside of a sandbox that holds its processes and files.
pytestmark = pytest.mark.skipif(not FAST, reason="no sandbox holds here; apt-get install bubblewrap")


@pytest.fixture
def make() -> Iterator[Callable[..., TerminalEnvironment]]:
    made: list[TerminalEnvironment] = []

    def new(**options: Any) -> TerminalEnvironment:
        made.append(TerminalEnvironment(**{"sandbox": FAST[0], "step_limit_s": 20, **options}))
        assert made[-1].state.guarantees.count("no_host_files") == 1
        return made[-1]

    yield new
    for environment in made:
        environment.close()


@pytest.fixture
def env(make: Callable[..., TerminalEnvironment]) -> TerminalEnvironment:
    environment = make()
    environment.reset()
    return environment


def run(env: TerminalEnvironment, text: str, wait_s: float | None = None) -> TerminalObservation:
    return env.step(TerminalAction(text=text, wait_s=wait_s))


def keys(env: TerminalEnvironment, text: str, wait_s: float | None = None) -> TerminalObservation:
    return env.step(TerminalAction(operation="keys", text=text, wait_s=wait_s))


def works(env: TerminalEnvironment) -> None:
    """A command runs and tells its status."""
    seen = run(env, "echo wor''ks; (exit 42)")
    assert "works" in seen.output
    assert (seen.exit_status, seen.running) == (42, False)


@pytest.mark.parametrize("level", CONTAINED)
def test_an_episode_at_every_level(level: str, make: Callable[..., TerminalEnvironment]) -> None:
    env = make(sandbox=level)
    begun = env.reset(episode_id="mine")
    assert begun.screen == "~$"
    assert (begun.exit_status, begun.running, begun.shell) == (None, False, "same")
    assert begun.metadata["sandbox"] == level == env.state.sandbox
    assert level in env.get_metadata().description
    seen = run(env, "mkdir d; cd d; false")
    assert (seen.exit_status, seen.cwd) == (1, f"{begun.cwd}/d")
    assert keys(env, "sleep 1000<Enter>").running
    seen = keys(env, "<C-c>", 10)
    assert (seen.running, seen.exit_status) == (False, 130)
    works(env)
    seen = run(env, "kill -9 $$")
    assert (seen.shell, seen.exit_status) == ("ended", 137)
    assert run(env, "test -d d").exit_status == 0
    keys(env, "sleep 1000<Enter>")
    assert env.step(TerminalAction(operation="restart")).shell == "new"
    works(env)
    for task, solution in SOLUTIONS.items():
        env.reset(task=task)
        assert run(env, solution).exit_status == 0
        ended = env.step(TerminalAction(operation="submit"))
        assert (ended.reward, ended.done, ended.terminated) == (1.0, True, True), (task, ended.metadata)


SOLUTIONS = {
    "count-words": "find texts -name '*.txt' -exec cat {} + | wc -w > count",
    "fix-script": "cat > total.sh <<'END'\n#!/bin/sh\nsum=0\nwhile read -r number; do\n    sum=$((sum + number))\n"
    'done < "$1"\necho $sum\nEND\nchmod +x total.sh',
    "largest-file": "find data -type f -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2- > answer",
}


def test_every_task_has_a_solution_here() -> None:
    assert set(SOLUTIONS) == {task.name for task in TASKS}


@pytest.mark.parametrize("number", range(3))
def test_a_task_that_was_not_done_gives_nothing(number: int, env: TerminalEnvironment) -> None:
    begun = env.reset(task=number)
    assert begun.instruction == TASKS[number].instruction
    run(env, "touch count answer")
    ended = env.step(TerminalAction(operation="submit"))
    assert (ended.reward, ended.done) == (0.0, True)
    assert "exit status" in ended.metadata["check"]


def test_the_check_sees_the_files_as_they_are_and_nothing_else(env: TerminalEnvironment) -> None:
    check = """
        test "$(cat 'a b')" = hello && test -x 'a b' && test "$(readlink link)" = /nowhere && test -d empty &&
        test "$(pwd)" = "$HOME" && test -z "$SECRET" && test ! -e /tmp/left && ! pgrep sleep && test ! -p pipe
    """
    env.reset(task={"instruction": "anything", "check": check, "setup": "printf hello > 'a b'"})
    run(env, "chmod 700 'a b'; ln -s /nowhere link; mkdir empty; mkfifo pipe; touch /tmp/left; SECRET=x; export SECRET")
    run(env, "sleep 1000 & touch closed; chmod 0 closed")
    ended = env.step(TerminalAction(operation="submit"))
    assert ended.reward == 1.0, ended.metadata


def test_the_shell_cannot_read_a_check(env: TerminalEnvironment) -> None:
    env.reset(task={"instruction": "x", "check": "test word = se''cret-word"})
    seen = run(env, "cat /proc/*/cmdline /proc/*/environ > all 2>/dev/null; wc -c < all; grep -ac 'cret-w[o]rd' all")
    size, found = seen.output.splitlines()[-3:-1]
    assert int(size) > 100
    assert found == "0"
    seen = run(env, "grep -rl 'not to be count''ed' / --include=tasks.py 2>/dev/null")
    assert "tasks.py\n" not in seen.output.partition("/dev/null\n")[2]


def test_more_files_than_fit_are_no_answer(env: TerminalEnvironment) -> None:
    env.reset(task={"instruction": "x", "check": "true"})
    run(env, "truncate -s 1T sparse")
    ended = env.step(TerminalAction(operation="submit"))
    assert (ended.reward, ended.metadata["check"]) == (0.0, "there is too much in the working directory")


def test_a_check_that_hangs_is_ended(env: TerminalEnvironment) -> None:
    env.reset(task={"instruction": "x", "check": "sleep 1000", "check_limit_s": 0.3})
    ended = env.step(TerminalAction(operation="submit"))
    assert (ended.reward, ended.metadata["check"]) == (0.0, "the check takes longer than 0.3 s")


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("poker", r"there is no task 'poker'; there are 0 count-words"),
        (99, "there is no task 99"),
        (True, "there is no task True"),
        ({"instruction": "x"}, r"task\.check: Field required"),
        ({"instruction": "x", "check": "true", "setup": "exit 9"}, "ended with exit status 9"),
        ({"instruction": "x", "check": "true", "setup": "sleep 99", "check_limit_s": 0.2}, "takes too long"),
    ],
)
def test_a_task_that_is_none_is_refused(task: Any, says: str, env: TerminalEnvironment) -> None:
    with pytest.raises(ActionInvalid, match=says):
        env.reset(task=task)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (TerminalAction(operation="keys", text="<Entr>"), "<Entr> is no key"),
        (TerminalAction(text="a\x03"), r"control character '\\x03'; type it"),
        (TerminalAction(text="x" * 70000), "longer than 65536 bytes"),
        (TerminalAction(operation="wait", text="x"), "takes no text"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    action: TerminalAction, says: str, env: TerminalEnvironment
) -> None:
    with pytest.raises(ActionInvalid, match=says):
        env.step(action)
    assert env.state.step_count == 0
    works(env)


def test_a_command_while_another_runs_is_refused(env: TerminalEnvironment) -> None:
    assert run(env, "sleep 1000", 0.1).running
    with pytest.raises(ActionInvalid, match="still running"):
        run(env, "ls")
    keys(env, "<C-c>", 10)
    works(env)


def test_a_command_that_waits_for_input_gets_it_by_keys(env: TerminalEnvironment) -> None:
    seen = run(env, "read -p 'name? ' name; echo hi $name", 0.5)
    assert seen.running
    assert seen.screen.endswith("name?")
    seen = keys(env, "Ada<Enter>", 10)
    assert "hi Ada" in seen.output
    assert run(env, "cat", 0.2).running
    assert not keys(env, "x<Enter><C-d>", 10).running
    works(env)


def test_an_unfinished_command_waits_for_its_rest(env: TerminalEnvironment) -> None:
    assert run(env, "echo 'a", 0.3).running
    seen = keys(env, "b'<Enter>", 10)
    assert (seen.running, seen.exit_status) == (False, 0)
    works(env)


@pytest.mark.parametrize("text", ["if true; then\nexit 3; }", "echo 'a\nb"])
def test_several_lines_are_one_command_even_if_they_are_none(text: str, env: TerminalEnvironment) -> None:
    seen = run(env, text)
    assert not seen.running
    assert seen.exit_status not in (0, None)
    works(env)


def test_a_long_command_arrives_whole(env: TerminalEnvironment) -> None:
    assert run(env, f"x='{'y' * 60000}'; test ${{#x}} = 60000").exit_status == 0
    lines = "line\n" * 2000
    assert run(env, f"test $(wc -c <<'END'\n{lines}END\n) = 10000").exit_status == 0


def test_what_stands_behind_the_prompt_is_not_part_of_a_command(env: TerminalEnvironment) -> None:
    keys(env, "rm -rf <Left><Left>")
    works(env)


@pytest.mark.parametrize(
    "text",
    [
        "PS1=; PS2=; unset PS1",
        "PS1='> \\n\\u '",
        "set -x",
        "set -u; set +m",
        "trap '' INT TERM",
        "exec >&-",
        "exec 2>/dev/null",
    ],
)
def test_a_shell_set_up_otherwise_still_tells_its_status(text: str, env: TerminalEnvironment) -> None:
    assert run(env, text).exit_status == 0
    seen = run(env, "(exit 42)")
    assert (seen.exit_status, seen.running, seen.shell) == (42, False, "same")


@pytest.mark.parametrize("program", ["vi", "less /usr/share/common-licenses/GPL-3", "top"])
def test_full_screen_programs(program: str, env: TerminalEnvironment) -> None:
    if run(env, f"command -v {program.split(maxsplit=1)[0]}").exit_status:
        pytest.skip(f"{program.split(maxsplit=1)[0]} is not installed")
    assert run(env, program, 1.0).running
    if program == "vi":
        seen = keys(env, "ihello<Esc>:w note<Enter>", 1.0)
        assert "hello" in seen.screen
        keys(env, ":q!<Enter>", 10)
        assert run(env, "cat note").output.splitlines()[-2] == "hello"
    else:
        assert len(env.step(TerminalAction(operation="wait")).screen) > 100
        keys(env, "q", 10)
    works(env)


@pytest.mark.parametrize(
    "text", ["yes", "yes $'\\e]0;'", "while :; do printf '\\e[999;999H\\e[6n\\e[2J'; done", "cat /dev/urandom"]
)
def test_floods_end_with_the_step_and_with_a_key(text: str, env: TerminalEnvironment) -> None:
    seen = run(env, text, 0.5)
    assert seen.running
    assert len(seen.output) < 40000
    for _ in range(20):
        if not keys(env, "<C-c>", 2).running:
            break
    env.step(TerminalAction(operation="restart"))
    works(env)


def test_the_end_of_much_output_is_shown(env: TerminalEnvironment) -> None:
    seen = run(env, "seq 300000; (exit 3)")
    assert seen.exit_status == 3
    assert seen.dropped_bytes > 1000000
    assert "\n299999\n300000\n" in seen.output
    works(env)


FAULTS = {
    "fork bomb": ":(){ :|:& };:",
    "kill everything": "kill -9 -1",
    "stop the shell": "kill -STOP $$",
    "exec": "exec cat",
    "exec another shell": "exec bash --norc",
    "exit": "exit 7",
    "raw": "stty raw -echo -isig",
    "kill the parent": "kill -9 $PPID",
    "stop the parent": "kill -STOP $PPID",
    "close everything": "exec 0>&- 1>&- 2>&-",
    "close every descriptor": 'for n in {0..255}; do eval "exec $n>&-"; done',
    "binary": "head -c 100000 /dev/urandom",
    "delete the directory": "mkdir x; cd x; rmdir ../x; rm -rf ~ ~/.* 2>/dev/null; pwd",
    "background": "sleep 1000 & (setsid sleep 1000 &) ; nohup sleep 1000 >/dev/null 2>&1 &",
    "no hook": "PROMPT_COMMAND=",
    "memory": "x=$(yes | head -c 900000000)",
}


def do(fault: str, env: TerminalEnvironment, wait_s: float | None = None) -> TerminalObservation:
    """Do it where process numbers are the sandbox's own, and nowhere else."""
    assert run(env, "test $PPID -lt 32 && test $(ls -d /proc/[0-9]* | wc -l) -lt 32").exit_status == 0
    return run(env, FAULTS[fault], wait_s)


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_a_restart_works(fault: str, make: Callable[..., TerminalEnvironment]) -> None:
    env = make(step_limit_s=4, memory_mib=256)
    env.reset()
    do(fault, env, 1.0)
    env.step(TerminalAction(operation="restart"))
    works(env)


@pytest.mark.parametrize(
    "fault", ["kill everything", "exit", "raw", "kill the parent", "binary", "background", "delete the directory"]
)
def test_after_a_fault_the_next_step_works(fault: str, env: TerminalEnvironment) -> None:
    do(fault, env)
    works(env)
    works(env)


def test_a_full_disk_is_an_error_of_the_command_alone(make: Callable[..., TerminalEnvironment]) -> None:
    env = make(disk_mib=2)
    env.reset()
    assert "No space left" in run(env, "cat /dev/zero > full").output
    works(env)
    assert run(env, "rm full && echo ok > file").exit_status == 0


def test_a_lost_sandbox_begins_the_task_anew(env: TerminalEnvironment) -> None:
    env.reset(task="count-words")
    run(env, "touch mine")
    assert do("kill the parent", env).shell == "lost"
    seen = run(env, "ls")
    assert "texts" in seen.output
    assert "mine" not in seen.output


def test_descriptors_and_processes_are_given_back(make: Callable[..., TerminalEnvironment]) -> None:
    import os

    env = make()
    env.reset()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        env.reset(task=0)
        do("kill everything", env)
    env.reset()
    assert len(os.listdir("/proc/self/fd")) <= before
