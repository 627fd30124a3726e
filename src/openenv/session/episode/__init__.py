"""The running episode: what is legal, what was asked and answered, and how it survives."""
