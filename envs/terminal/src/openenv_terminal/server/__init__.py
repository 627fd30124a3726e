"""The server's side of the terminal."""
