"""The server's side of blackjack."""
