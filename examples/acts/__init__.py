"""The acts of the demo, one a file. Each plays, records, prints what came of it, and says whether it was right."""
