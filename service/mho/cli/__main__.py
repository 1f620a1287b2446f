"""``python -m mho.cli`` is ``mho``."""

import sys

from mho.cli.main import main

sys.exit(main())
