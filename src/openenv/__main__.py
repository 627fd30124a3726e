"""``python -m openenv``: the command line."""

import sys

from openenv.cli import main

if __name__ == "__main__":
    sys.exit(main())
