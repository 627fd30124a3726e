"""The server's side of the coding environment."""
