"""What a step gives: variables, output, values, errors, figures, time."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from openenv import ActionInvalid, ConfigurationError
from openenv_coding import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

Run = Callable[..., CodingObservation]
Make = Callable[..., CodingEnvironment]


def test_variables_output_and_value(run: Run) -> None:
    first = run("import sys\nx = 20\nprint('out')\nprint('err', file=sys.stderr)\nx + 1")
    assert (first.stdout, first.stderr, first.value, first.exit_code) == ("out\n", "err\n", "21", 0)
    assert (first.stdout_bytes, first.stderr_bytes, first.value_chars, first.done, first.reward) == (
        4,
        4,
        2,
        False,
        None,
    )
    assert run("x *= 2").value is None
    assert run("x").value == "40"
    assert run("None").value is None
    assert run("def f(): return x\n'a' 'b'").value == "'ab'"


def test_a_reset_begins_anew(env: CodingEnvironment) -> None:
    env.step(CodingAction(code="x = 1\nopen('file', 'w').write('here')\nopen('/tmp/other', 'w').write('here')"))
    pid = env.step(CodingAction(code="import os, threading\nthreading.Thread(target=lambda: None)\nos.listdir()"))
    assert pid.value == "['file']"
    env.reset()
    assert "NameError" in env.step(CodingAction(code="x")).stderr
    assert env.step(CodingAction(code="import os\nos.listdir(), os.path.exists('/tmp/other')")).value == "([], False)"


def test_a_seed_fixes_what_is_random(env: CodingEnvironment) -> None:
    def drawn(seed: int | None) -> list[str | None]:
        env.reset(seed=seed)
        return [
            env.step(CodingAction(code=code)).value for code in ("import random\nrandom.random()", "{'a', 'b', 'c'}")
        ]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
    assert drawn(None) != drawn(None)


ERRORS = [
    "1 / 0",
    "def f(x):\n    return x / 0\n\nprint('before')\nf(1)\n",
    "x = (1 +\n",
    "if True:\nx = 1",
    "for",
    "undefined_name",
    "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('second') from error",
    "try:\n    {}['a']\nfinally:\n    [][1]",
    "raise ExceptionGroup('several', [ValueError(1), KeyError(2)])",
    "def f():\n    return f()\nf()",
    "import json\njson.loads('{')",
    "class Odd(Exception):\n    def __str__(self):\n        raise TypeError\nraise Odd",
    "'\\ud800'.encode()",
    "int('x')",
    "exec('1 /' + ' 0')",
    "raise KeyboardInterrupt",
    "print(1)\ra = 1 / 0\r\n",
]


@pytest.mark.parametrize("code", ERRORS)
def test_errors_read_like_pythons_own(run: Run, code: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_bytes(code.encode())
    theirs = subprocess.run([sys.executable, "-P", "-s", script], capture_output=True, text=True)
    ours = run(code)
    # the interpreter's own few frames count against the limit of recursion
    ours_said, theirs_said = (re.sub(r"repeated \d+ more", "repeated", said) for said in (ours.stderr, theirs.stderr))
    assert ours_said == theirs_said.replace(str(script), "<step 1>")
    assert ours.stdout == theirs.stdout
    assert ours.exit_code == 1


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit(-1)", 255, ""),
        ("sys.exit('why')", 1, "why\n"),
        ("exit()", 0, ""),
        ("raise SystemExit(True)", 1, ""),
    ],
)
def test_exit_codes(run: Run, code: str, exit_code: int, stderr: str) -> None:
    run("x = 1")
    left = run(f"import sys\nprint('said')\n{code}")
    assert (left.exit_code, left.stderr, left.stdout, left.restarted) == (exit_code, stderr, "said\n", False)
    assert run("x").value == "1"


def test_future_imports_last(run: Run) -> None:
    run("from __future__ import annotations")
    assert run("def f(x: missing): ...\nf.__annotations__").value == "{'x': 'missing'}"


def test_the_namespace_is_main(run: Run) -> None:
    assert (
        run("import pickle\nclass A: ...\n__name__, pickle.loads(pickle.dumps(A)) is A").value == "('__main__', True)"
    )
    assert run("open('mine.py', 'w').write('y = 3')\nimport mine\nmine.y").value == "3"


def test_time_is_up_and_variables_are_kept(run: Run) -> None:
    late = run("x = 1\nwhile True:\n    x += 1", timeout_s=0.2)
    assert (late.timed_out, late.exit_code, late.restarted) == (True, 1, False)
    assert late.stderr.endswith("KeyboardInterrupt\n")
    assert 'File "<step 1>"' in late.stderr
    assert "interpreter" not in late.stderr
    assert run("x > 1").value == "True"
    slept = run(
        "import time\ntry:\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    print('caught')", timeout_s=0.2
    )
    assert (slept.timed_out, slept.exit_code, slept.stdout) == (True, 0, "caught\n")
    child = run("import subprocess\nsubprocess.run(['sleep', '1000'])", timeout_s=0.2)
    assert child.timed_out
    assert not child.restarted


def test_the_limits_of_time_are_the_least_of_three(make: Make) -> None:
    env = make(step_timeout_s=0.2, max_step_timeout_s=0.3)
    for action, timeout_s in ((None, None), (1000, None), (1000, 0.1)):
        assert env.step(CodingAction(code="while True: pass", timeout_s=action), timeout_s=timeout_s).timed_out


def test_code_goes_on_when_told_so(env: CodingEnvironment) -> None:
    code = "import time, os\nprint('begun')\nwhile not os.path.exists('go'): time.sleep(0.01)\n'done'"
    left = env.step(CodingAction(code=code, timeout_s=0.3, keep_running=True))
    assert (left.running, left.timed_out, left.exit_code, left.stdout) == (True, True, None, "begun\n")
    assert env.state.running
    refused = env.step(CodingAction(code="1"))
    assert refused.running
    assert "wait for it" in refused.metadata["refused"]
    waited = env.step(CodingAction(operation="wait", timeout_s=0.1, keep_running=True))
    assert waited.running
    stopped = env.step(CodingAction(operation="interrupt"))
    assert (stopped.running, stopped.exit_code, stopped.timed_out) == (False, 1, False)
    assert stopped.stderr.endswith("KeyboardInterrupt\n")
    assert not env.state.running
    env.step(CodingAction(code=code, timeout_s=0.3, keep_running=True))
    env.step(CodingAction(operation="restart"))
    left = env.step(CodingAction(code="import time; time.sleep(0.3); 5", timeout_s=0.1, keep_running=True))
    assert left.running
    assert env.step(CodingAction(operation="wait")).value == "5"


@pytest.mark.parametrize("operation", ["wait", "interrupt"])
def test_nothing_to_wait_for(env: CodingEnvironment, operation: Any) -> None:
    env.step(CodingAction(code="x = 1"))
    idle = env.step(CodingAction(operation=operation))
    assert (idle.exit_code, idle.stdout, idle.stderr) == (0, "", "")
    assert env.step(CodingAction(code="x")).value == "1"


def test_restart(env: CodingEnvironment) -> None:
    env.step(CodingAction(code="x = 1\nopen('file', 'w')"))
    restarted = env.step(CodingAction(operation="restart"))
    assert restarted.restarted
    assert "asked for" in restarted.restart_reason
    assert env.step(CodingAction(code="import os\n'x' in dir(), os.listdir()")).value == "(False, [])"
    assert (env.state.restarts, env.state.step_count) == (1, 3)


def test_output_is_cut_in_the_middle(make: Make) -> None:
    env = make(max_output_bytes=1000, max_value_chars=100)
    seen = env.step(CodingAction(code="print('a' * 5000 + 'z')\n'v' * 300"))
    assert seen.stdout_truncated
    assert seen.stdout_bytes == 5002
    assert seen.stdout.startswith("a" * 500)
    assert seen.stdout.endswith("az\n")
    assert "4002 bytes left out" in seen.stdout
    assert (seen.value, seen.value_truncated, seen.value_chars) == ("'" + "v" * 99, True, 302)
    exact = env.step(CodingAction(code="print('a' * 999)"))
    assert (exact.stdout, exact.stdout_truncated) == ("a" * 999 + "\n", False)


def test_output_of_children_is_seen_in_order(run: Run) -> None:
    assert run("import os\nprint(1)\nos.system('echo 2')\nprint(3)").stdout == "1\n2\n3\n"


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="pip install matplotlib")
def test_figures(make: Make) -> None:
    env = make(max_images=2, memory_bytes=2**30, step_timeout_s=120)
    code = "import matplotlib.pyplot as plt\nfor n in range({}): plt.figure(figsize=(2, 1)).gca().plot([n])\nplt.show()"
    shown = env.step(CodingAction(code=code.format(1)))
    assert (shown.stderr, shown.exit_code) == ("", 0)
    (image,) = shown.images
    assert image.media_type == "image/png"
    assert base64.b64decode(image.data)[:8] == b"\x89PNG\r\n\x1a\n"
    assert env.step(CodingAction(code="plt.get_fignums()")).value == "[]"
    many = env.step(CodingAction(code=code.format(3)))
    assert (len(many.images), many.images_dropped) == (2, 1)
    after_an_error = env.step(CodingAction(code="plt.figure()\n1 / 0"))
    assert (len(after_an_error.images), after_an_error.exit_code) == (1, 1)


def test_tests_pay(env: CodingEnvironment) -> None:
    env.reset(tests="assert double(4) == 8\ndouble = None\nprint('hidden')")
    wrong = env.step(CodingAction(code="def double(x): return x"))
    assert (wrong.reward, wrong.done, wrong.tests_passed, wrong.stdout) == (0.0, False, False, "")
    killed = env.step(CodingAction(code="import os\nos._exit(0)"))
    assert (killed.reward, killed.done) == (0.0, False)
    for cheat in ("raise SystemExit", "import os\n    os._exit(0)"):
        cheated = env.step(CodingAction(code=f"def double(x):\n    {cheat}"))
        assert (cheated.reward, cheated.done, cheated.tests_passed) == (0.0, False, False)
    right = env.step(CodingAction(code="def double(x): return 2 * x"))
    assert (right.reward, right.done, right.tests_passed) == (1.0, True, True)
    env.reset()
    assert env.step(CodingAction(code="1")).reward is None


@pytest.mark.parametrize("tests", ["x = (", 5, "a\0b"])
def test_tests_that_cannot_be_run_are_refused(env: CodingEnvironment, tests: Any) -> None:
    with pytest.raises(ActionInvalid, match="tests"):
        env.reset(tests=tests)
    assert env.step(CodingAction(code="1")).value == "1"


def test_the_level_in_force_is_told(env: CodingEnvironment, level: str) -> None:
    observation = env.reset()
    assert observation.metadata["sandbox"] == env.state.sandbox == level
    assert observation.metadata["guarantees"] == env.state.guarantees
    assert f"level {level}" in env.get_metadata().description


def test_unusable_arguments() -> None:
    with pytest.raises(ConfigurationError, match="no sandbox level 'tin'"):
        CodingEnvironment("tin")
    with pytest.raises(ConfigurationError, match="step_timeout_s"):
        CodingEnvironment(step_timeout_s=0)
    with pytest.raises(ConfigurationError, match="max_images"):
        CodingEnvironment(max_images=0)


def test_rlimits_is_an_explicit_yes_to_less() -> None:
    environment = CodingEnvironment("rlimits", warm_spare=False)
    environment.reset()
    assert environment.step(CodingAction(code="1 + 1")).value == "2"
    assert "no_host_files" not in environment.state.guarantees
    environment.close()
