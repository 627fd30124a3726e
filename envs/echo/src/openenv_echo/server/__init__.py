"""The server's side of echo."""
