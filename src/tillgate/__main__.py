"""`python -m tillgate`: the same command as `tillgate`."""

import sys

from tillgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
