"""`python -m offstride`: the command line."""

import sys

from offstride.cli.main import main

sys.exit(main())
