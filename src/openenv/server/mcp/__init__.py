"""The MCP endpoint: requests of both eras in, one session each, answers out. Imported at the first request for it."""
