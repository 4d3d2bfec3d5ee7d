"""`python -m kernelforge`: the command line without its console script."""

import sys

from kernelforge.cli import main

sys.exit(main())
