"""What templates become."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from openenv.environment import Manifest
from openenv.scaffold import MAX_NAME_LENGTH, PackageName, Template, create_package, render

ALL = pytest.mark.parametrize("template", Template, ids=lambda template: template.value)
NAMES = pytest.mark.parametrize("name", ["a", "my-env", "customer-support-triages"])

EXPECTED = {
    ".dockerignore",
    ".github/workflows/ci.yml",
    ".gitignore",
    "Dockerfile",
    "README.md",
    "pyproject.toml",
    "src/my_env/__init__.py",
    "src/my_env/client.py",
    "src/my_env/models.py",
    "src/my_env/openenv.yaml",
    "src/my_env/py.typed",
    "src/my_env/server/__init__.py",
    "src/my_env/server/app.py",
    "src/my_env/server/environment.py",
    "tests/test_contract.py",
    "tests/test_environment.py",
}


@ALL
def test_a_package_has_every_file(template: Template) -> None:
    files = render(template, PackageName.parse("my-env"))
    assert set(files) >= EXPECTED
    assert all(not path.endswith((".tmpl", ".part")) for path in files)


@ALL
@NAMES
def test_nothing_is_left_to_fill_in(template: Template, name: str) -> None:
    for path, text in render(template, PackageName.parse(name)).items():
        assert "@@" not in path + text, path
        assert not any(word in text for word in ("TODO", "FIXME", "NotImplementedError")), path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path


@ALL
@NAMES
def test_files_can_be_read(template: Template, name: str) -> None:
    named = PackageName.parse(name)
    files = render(template, named)
    for path, text in files.items():
        if path.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), path
        elif path.endswith((".yml", ".yaml")):
            yaml.safe_load(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == named.distribution
    assert project["scripts"] == {"server": f"{named.module}.server.app:main"}
    assert project["entry-points"]["openenv.environments"] == {named.module: f"{named.module}:{named.prefix}Client"}
    assert "openenv>=1.0,<2" in project["dependencies"]
    manifest = Manifest.model_validate(yaml.safe_load(files[f"src/{named.module}/openenv.yaml"]))
    assert (manifest.spec_version, manifest.name, manifest.type) == (1, named.module, "space")
    assert (manifest.runtime, manifest.app, manifest.port) == ("fastapi", f"{named.module}.server.app:app", 8000)
    assert manifest.description == project["description"]
    assert manifest.version == project["version"]


@ALL
@pytest.mark.parametrize("name", ["a", "customer-support-triages"])
def test_style_does_not_depend_on_the_length_of_the_name(template: Template, name: str, tmp_path: Path) -> None:
    assert len(name) in (1, MAX_NAME_LENGTH)
    create_package(name, template=template, directory=tmp_path / name)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=tmp_path / name, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@ALL
def test_a_space_can_read_the_readme(template: Template) -> None:
    readme = render(template, PackageName.parse("my-env"))["README.md"]
    _, front, _ = readme.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "title": "My Env",
        "sdk": "docker",
        "app_port": 8000,
        "base_path": "/web",
        "tags": ["openenv"],
    }


def test_templates_differ() -> None:
    named = PackageName.parse("my-env")
    environments = {render(template, named)["src/my_env/server/environment.py"] for template in Template}
    assert len(environments) == len(Template)
