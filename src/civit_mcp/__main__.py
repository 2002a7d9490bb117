"""`python -m civit_mcp` is `civit-mcp`."""

import sys

from civit_mcp.cli import main

if __name__ == "__main__":
    sys.exit(main())
