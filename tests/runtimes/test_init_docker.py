"""What ``openenv init`` makes becomes an image without an edit, and its container is healthy, played and stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.packages import NAME, PLAYS, build_wheels

from openenv import SyncEnvClient
from openenv.scaffold import Template, create_package

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

BASE_IMAGES = ("openenv-base", "python:3.11-slim")


def docker(*arguments: str | Path, timeout_s: float = 600.0) -> str:
    """What docker prints on standard output; fails with all it says if it fails."""
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def succeeds(*arguments: str) -> bool:
    try:
        return not subprocess.run(["docker", *arguments], capture_output=True, timeout=120).returncode
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope="module")
def base_image() -> str:
    """A base image that is here or can be fetched; ``OPENENV_TEST_BASE_IMAGE`` names another one."""
    if shutil.which("docker") is None or not succeeds("info"):
        pytest.skip("no Docker engine answers; install one with: sudo apt install docker.io, or set DOCKER_HOST")
    asked = os.environ.get("OPENENV_TEST_BASE_IMAGE")
    images = (asked,) if asked else BASE_IMAGES
    for image in images:
        if succeeds("image", "inspect", image):
            return image
    if succeeds("pull", images[-1]):
        return images[-1]
    pytest.skip(f"none of these base images is here or can be fetched: {', '.join(images)}")


@dataclass(frozen=True)
class Image:
    """An image that was built from what ``openenv init`` wrote.

    Attributes:
        template: What the package began as.
        tag: Its name.
        options: What its README says to give to ``docker run``.
    """

    template: str
    tag: str
    options: tuple[str, ...]


@pytest.fixture(scope="module", params=[template.value for template in Template])
def image(request: pytest.FixtureRequest, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    directory = tmp_path_factory.mktemp(request.param) / NAME
    create_package(NAME, template=Template(request.param), directory=directory)
    build_wheels(request.param, directory / "wheels")
    tag = f"openenv-test-{request.param}-{os.getpid()}"
    readme = (directory / "README.md").read_text(encoding="utf-8")
    (options,) = re.findall(r"docker run --rm -p \S+ (.*?) ?openenv-my-env\n", readme)
    docker("build", "--build-arg", f"BASE_IMAGE={base_image}", "-t", tag, directory)
    try:
        yield Image(request.param, tag, tuple(options.split()))
    finally:
        docker("rmi", "--force", tag)


class Container:
    """A container of an image, which is removed at the end of the block."""

    def __init__(self, image: Image, port: int = 8000) -> None:
        settings = ("--health-interval", "1s", "-e", f"PORT={port}", "-p", f"127.0.0.1:0:{port}")
        self.id = docker("run", "--detach", *settings, *image.options, image.tag)
        self._port = port

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", self.id)

    @property
    def url(self) -> str:
        return f"http://{docker('port', self.id, f'{self._port}/tcp').splitlines()[0]}"

    def becomes_healthy(self) -> bool:
        """Wait for the first verdict of its health check."""
        command = ["docker", "events", "--since", "10m", "--filter", f"container={self.id}"]
        command += ["--filter", "event=health_status", "--filter", "event=die", "--format", "{{.Status}}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:
            assert events.stdout is not None
            try:
                return "health_status: healthy" in events.stdout.readline()
            finally:
                events.kill()

    def status(self, key: str) -> object:
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.id))[key]

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr


def test_it_is_healthy_played_and_stopped(image: Image) -> None:
    with Container(image) as container:
        assert container.becomes_healthy(), container.logs()
        with SyncEnvClient(container.url) as client:
            PLAYS[image.template](client)
        docker("stop", "--time", "60", container.id)
        assert container.status("ExitCode") == 0, container.logs()


def test_its_server_is_the_first_process_and_no_root(image: Image) -> None:
    with Container(image) as container:
        assert container.becomes_healthy(), container.logs()
        uids = re.search(r"^Uid:\s+(.*)$", docker("exec", container.id, "cat", "/proc/1/status"), flags=re.MULTILINE)
        assert uids
        assert set(uids[1].split()) == {"1000"}
        assert "server" in docker("exec", container.id, "cat", "/proc/1/cmdline")


def test_the_port_can_be_another(image: Image) -> None:
    with Container(image, port=7860) as container:
        assert container.becomes_healthy(), container.logs()
        with SyncEnvClient(container.url) as client:
            PLAYS[image.template](client)


def test_a_server_that_hangs_is_unhealthy(image: Image) -> None:
    with Container(image) as container:
        assert container.becomes_healthy(), container.logs()
        health = json.loads(docker("inspect", "--format", "{{json .Config.Healthcheck}}", container.id))
        assert health["Test"][0] == "CMD"
        docker("kill", "--signal", "STOP", container.id)
        check = subprocess.run(["docker", "exec", container.id, *health["Test"][1:]], capture_output=True, timeout=60)
        assert check.returncode != 0
