"""A small MCP server in plain Python, over standard streams: ``outside.py ERA [FILE]``; no library is imported.

ERA: ``older``, ``stateless``, ``fragile`` (older, and ended by a first message that is no ``initialize``), or ``deaf``.
FILE holds the description of the tool ``echo``, read whenever tools are listed, and gets lines.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ERA = sys.argv[1]
FILE = sys.argv[2] if len(sys.argv) > 2 else ""
STATELESS = "2026-07-28"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NAMES = (
    "echo",
    "environ",
    "pid",
    "die",
    "hang",
    "progress",
    "ask",
    "sample",
    "garbage",
    "flood",
    "big",
    "fork",
    "fail",
    "add",
)

lock = threading.Lock()
waiting: dict[object, object] = {}


def send(message: dict) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def tools() -> list[dict]:
    told = Path(FILE).read_text().splitlines()[0] if FILE else "Say it again."
    found = [{"name": name, "description": "", "inputSchema": {"type": "object"}} for name in NAMES]
    found[0] |= {"description": told, "inputSchema": TEXT, "title": "Echo", "annotations": {"readOnlyHint": True}}
    result = {
        "type": "object",
        "properties": {"result": {"type": "integer"}},
        "required": ["result"],
        "x-fastmcp-wrap-result": True,
    }
    found[-1] |= {"outputSchema": result}
    return found


def text(said: str, **more: object) -> dict:
    return {"content": [{"type": "text", "text": said}], **more}


def note(method: str, **params: object) -> None:
    send({"method": f"notifications/{method}", "params": params})


def ask(method: str, params: dict) -> dict:
    """Of the older era: a request of the server, whose answer comes as a line of its own."""
    id = f"q-{time.monotonic_ns()}"
    answered = threading.Event()
    waiting[id] = answered
    send({"id": id, "method": method, "params": params})
    answered.wait()
    return waiting.pop(id)  # the main loop has put the answer here


def elicit(params: dict) -> dict:
    question = {"message": "Which colour?", "requestedSchema": {"type": "object", "properties": {}}}
    if ERA != "stateless":
        said = ask("elicitation/create", question)["result"]
    elif "inputResponses" not in params:
        return {
            "resultType": "input_required",
            "inputRequests": {"colour": {"method": "elicitation/create", "params": question}},
            "requestState": "kept",
        }
    else:
        assert params["requestState"] == "kept"
        said = params["inputResponses"]["colour"]
    return text(json.dumps(said))


def call(params: dict, meta: dict) -> dict | None:
    name, given = params["name"], params.get("arguments") or {}
    if name == "echo":
        return text(given["text"], _meta={"seen": True})
    if name == "environ":
        return text(json.dumps(sorted(os.environ)), structuredContent=dict(os.environ))
    if name == "pid":
        return text(str(os.getpid()))
    if name == "add":
        return text("3", structuredContent=given.get("told", {"result": 3}), isError=given.get("failed", False))
    if name == "fail":
        return text("it did not work", isError=True)
    if name == "die":
        print(f"dying of {os.environ.get('SECRET', 'boredom')}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL) if given.get("kill") else os._exit(3)
    if name == "hang":
        note("message", level="warning", logger="hang", data={"hanging": True})
        return None
    if name == "progress":
        for step in (1, 2):
            note("progress", progressToken=meta["progressToken"], progress=step, total=2, message=f"step {step}")
        return text("done")
    if name == "ask":
        return elicit(params)
    if name == "sample":
        said = ask("sampling/createMessage", {"messages": [], "maxTokens": 5})
        return text(json.dumps(said.get("result") or {"code": said["error"]["code"]}))
    if name == "garbage":
        for said in ("hello there", "", "[1, 2]", "{}", '{"jsonrpc": "2.0", "id": 99999, "result": {}}', "\x00\x01"):
            print(said, flush=True)
        return text("clean")
    if name == "flood":
        for _ in range(20):
            print("\n".join("line " * 200 for _ in range(100)), file=sys.stderr, flush=True)
        return text("flooded")
    if name == "big":
        return text("x" * given["size"])
    if name == "fork":
        code = "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print(flush=True); s.pause()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        child.stdout.readline()
        return text(str(child.pid))
    raise KeyError(name)


def answer(message: dict) -> None:
    id, method, params = message["id"], message["method"], message.get("params") or {}
    meta = params.get("_meta") or {}
    try:
        result = respond(method, params, meta)
    except KeyError as error:
        send(
            {"id": id, "error": {"code": -32602 if method == "tools/call" else -32601, "message": f"Unknown: {error}"}}
        )
        return
    if result is not None:
        send({"id": id, "result": {"resultType": "complete", **result} if ERA == "stateless" else result})


def respond(method: str, params: dict, meta: dict) -> dict | None:
    if ERA == "stateless":
        if method == "server/discover":
            return {"supportedVersions": [STATELESS], "capabilities": {"tools": {}}}
        assert meta["io.modelcontextprotocol/protocolVersion"] == STATELESS
    elif method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "outside"}}
    if method == "tools/list":
        all_of_them = tools()
        at = int(params.get("cursor", 0))
        rest = {"nextCursor": str(at + 5)} if at + 5 < len(all_of_them) else {}
        return {"tools": all_of_them[at : at + 5], **rest}
    if method == "tools/call":
        return call(params, meta)
    raise KeyError(method)


def main() -> None:
    if ERA == "deaf":
        threading.Event().wait()
    for line in sys.stdin:
        message = json.loads(line)
        if ERA == "fragile" and message.get("method") == "server/discover":
            if FILE:
                with open(FILE, "a") as file:
                    file.write("probed\n")
            sys.exit(1)
        if "method" not in message:
            answered = waiting[message["id"]]
            waiting[message["id"]] = message
            answered.set()
        elif "id" in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()
        elif message["method"] == "notifications/cancelled" and FILE:
            with open(FILE, "a") as file:
                file.write(f"cancelled {message['params']['requestId']}\n")


main()
