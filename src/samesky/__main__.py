"""``python -m samesky`` is the command ``samesky``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
