"""Resources, prompts and completions of tool environments."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from openenv import (
    CallToolAction,
    Elicit,
    ImageContent,
    Observation,
    ToolContext,
    ToolEnvironment,
    completion,
    prompt,
    resource,
    resource_template,
    tool,
)
from openenv.errors import ConfigurationError, InputNeeded, InvalidRequest
from openenv.tools import Changed, Note


class Library(ToolEnvironment):
    instructions = "Read first."

    def reset(self) -> Observation:
        self.unlocked = False
        return self.begin_with("Learn it.")

    @tool
    def unlock(self) -> None:
        self.unlocked = True

    @resource("book://one", title="One", description="The first.")
    def one(self) -> str:
        return "text of one"

    @resource("book://raw", name="raw", mime_type="image/png")
    def raw_bytes(self) -> bytes:
        """Bytes."""
        return b"\x00\x01"

    @resource("book://facts")
    def facts(self) -> dict[str, int]:
        return {"pages": 3}

    @resource("book://secret", visible=lambda self: self.unlocked)
    def secret(self) -> str:
        return "secret"

    @resource("book://asks")
    def asks(self, context: ToolContext) -> str:
        return str(context.ask(who=Elicit("Who?", {"type": "object"}))["who"]["content"])

    @resource_template("book://{shelf}/page/{number}", mime_type="text/markdown")
    def page(self, shelf: str, number: int) -> str:
        return f"{shelf} {number + 1}"

    @resource_template("file:///{path*}")
    def file(self, path: str) -> str:
        return path

    @prompt
    def summary(self, topic: str, words: int = 10) -> str:
        """Sums up.

        Args:
            topic: Of what.
        """
        return f"Sum up {topic} in {words + 1} words."

    @prompt(name="talk", description="Talks.", title="Talk", visible=lambda self: self.unlocked)
    def dialogue(self) -> list[Any]:
        return [{"role": "assistant", "content": "Hi"}, "Yes?", ImageContent(url="https://a.example/i.png")]

    @completion("summary", "topic")
    def topics(self, typed: str) -> list[str]:
        return [typed + str(number) for number in range(150)]

    @completion("book://{shelf}/page/{number}", "number")
    def numbers(self, typed: str, known: dict[str, str]) -> list[str]:
        return [known.get("shelf", "none")]

    @completion("file:///{path*}", "path")
    def paths(self, typed: str) -> list[str]:
        return ["a/b"]


@pytest.fixture
def library() -> Library:
    environment = Library()
    environment.reset()
    return environment


def asked(environment: Any, method: str, **params: Any) -> dict[str, Any]:
    found = environment.offer(method, params)
    assert isinstance(found, dict)
    return found


class TestAbout:
    def test_what_there_is(self, library: Library) -> None:
        assert asked(library, "about") == {
            "instructions": "Read first.\n\nLearn it.",
            "capabilities": {"resources": True, "prompts": True, "completions": True},
        }

    def test_nothing(self) -> None:
        class Bare(ToolEnvironment):
            def reset(self) -> Observation:
                return Observation()

        assert asked(Bare(), "about")["capabilities"] == {"resources": False, "prompts": False, "completions": False}
        assert asked(Bare(), "resources/list") == {"resources": []}

    def test_other_methods_are_refused(self, library: Library) -> None:
        with pytest.raises(InvalidRequest, match="tools/call is nothing that an environment answers"):
            library.offer("tools/call", {})

    def test_reading_is_no_step(self, library: Library) -> None:
        asked(library, "resources/read", uri="book://one")
        assert library.state.step_count == 0


class TestResources:
    def test_the_list(self, library: Library) -> None:
        found = asked(library, "resources/list")["resources"]
        assert [one["uri"] for one in found] == [
            "episode://task", "book://one", "book://raw", "book://facts", "book://asks",
        ]  # fmt: skip
        assert found[1] == {"uri": "book://one", "name": "one", "title": "One", "description": "The first."}
        assert found[2] == {"uri": "book://raw", "name": "raw", "description": "Bytes.", "mimeType": "image/png"}

    def test_templates(self, library: Library) -> None:
        assert asked(library, "resources/templates/list")["resourceTemplates"] == [
            {"uriTemplate": "book://{shelf}/page/{number}", "name": "page", "mimeType": "text/markdown"},
            {"uriTemplate": "file:///{+path}", "name": "file"},
        ]

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("episode://task", {"mimeType": "text/plain", "text": "Learn it."}),
            ("book://one", {"mimeType": "text/plain", "text": "text of one"}),
            ("book://raw", {"mimeType": "image/png", "blob": base64.b64encode(b"\x00\x01").decode()}),
            ("book://facts", {"mimeType": "application/json", "text": '{"pages":3}'}),
            ("book://a%20b/page/4", {"mimeType": "text/markdown", "text": "a b 5"}),
            ("file:///a/b.txt", {"mimeType": "text/plain", "text": "a/b.txt"}),
        ],
    )
    def test_reading(self, library: Library, uri: str, expected: dict[str, str]) -> None:
        assert asked(library, "resources/read", uri=uri) == {"contents": [{"uri": uri, **expected}]}

    @pytest.mark.parametrize("uri", ["book://none", "book://a/b/page/1", "book://a/page/many", "book://secret", None])
    def test_what_is_not_there_is_refused(self, library: Library, uri: Any) -> None:
        with pytest.raises(InvalidRequest) as raised:
            library.offer("resources/read", {"uri": uri})
        if uri == "book://none":
            assert raised.value.details == {"uri": uri}
            assert str(raised.value) == "there is no resource book://none"

    def test_one_that_asks(self, library: Library) -> None:
        with pytest.raises(InputNeeded):
            library.offer("resources/read", {"uri": "book://asks", "capabilities": {"elicitation": {}}})
        inputs = {"who": {"action": "accept", "content": "me"}}
        found = asked(library, "resources/read", uri="book://asks", inputs=inputs)
        assert found["contents"][0]["text"] == "me"

    def test_a_list_that_changes_is_announced(self, library: Library) -> None:
        notes: list[Note] = []
        library.note_sink = notes.append
        library.step(CallToolAction(tool_name="unlock"))
        assert notes == [Changed("prompts"), Changed("resources")]
        assert asked(library, "resources/read", uri="book://secret")["contents"][0]["text"] == "secret"
        library.announce("resource", "book://one")
        assert notes[-1] == Changed("resource", "book://one")


class TestPrompts:
    def test_the_list(self, library: Library) -> None:
        arguments = [
            {"name": "topic", "description": "Of what.", "required": True},
            {"name": "words", "required": False},
        ]
        expected = {"name": "summary", "description": "Sums up.", "arguments": arguments}
        assert asked(library, "prompts/list") == {"prompts": [expected]}

    def test_getting(self, library: Library) -> None:
        found = asked(library, "prompts/get", name="summary", arguments={"topic": "it", "words": "3"})
        text = {"type": "text", "text": "Sum up it in 4 words."}
        assert found == {"description": "Sums up.", "messages": [{"role": "user", "content": text}]}

    def test_messages(self, library: Library) -> None:
        library.unlocked = True
        messages = asked(library, "prompts/get", name="talk")["messages"]
        assert [one["role"] for one in messages] == ["assistant", "user", "user"]
        assert messages[0]["content"] == {"type": "text", "text": "Hi"}
        assert messages[2]["content"]["type"] == "resource_link"

    def test_what_is_not_there_or_does_not_fit_is_refused(self, library: Library) -> None:
        with pytest.raises(InvalidRequest, match="there is no prompt 'talk'; there are: summary"):
            library.offer("prompts/get", {"name": "talk"})
        with pytest.raises(InvalidRequest, match="summary: topic: Field required"):
            library.offer("prompts/get", {"name": "summary"})


class TestCompletions:
    def complete(self, library: Library, ref: dict[str, str], name: str, value: str = "", **context: Any) -> Any:
        params = {"ref": ref, "argument": {"name": name, "value": value}, **context}
        return asked(library, "completion/complete", **params)["completion"]

    def test_of_a_prompt(self, library: Library) -> None:
        found = self.complete(library, {"type": "ref/prompt", "name": "summary"}, "topic", "x")
        assert (found["values"][0], len(found["values"]), found["total"], found["hasMore"]) == ("x0", 100, 150, True)

    def test_of_a_template(self, library: Library) -> None:
        reference = {"type": "ref/resource", "uri": "book://{shelf}/page/{number}"}
        context = {"arguments": {"shelf": "s"}}
        assert self.complete(library, reference, "number", context=context)["values"] == ["s"]
        assert self.complete(library, reference, "shelf")["values"] == []

    @pytest.mark.parametrize("uri", ["file:///{path*}", "file:///{+path}"])
    def test_of_a_template_as_it_is_listed(self, library: Library, uri: str) -> None:
        assert self.complete(library, {"type": "ref/resource", "uri": uri}, "path")["values"] == ["a/b"]

    def test_of_what_is_not_there(self, library: Library) -> None:
        for reference in {"type": "ref/prompt", "name": "no"}, {"type": "ref/resource", "uri": "no"}:
            with pytest.raises(InvalidRequest, match="there is no"):
                self.complete(library, reference, "a")


def test_two_resources_of_one_uri_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two resources of Twice have the URI a://b"):

        class Twice(ToolEnvironment):
            @resource("a://b")
            def one(self) -> str: ...  # type: ignore[empty-body]
            @resource("a://b")
            def two(self) -> str: ...  # type: ignore[empty-body]
