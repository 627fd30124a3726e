"""The Model Context Protocol of both eras, without I/O: messages, their checks, and what each side remembers."""
