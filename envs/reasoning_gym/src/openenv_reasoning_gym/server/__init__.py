"""The server's side of reasoning_gym."""
