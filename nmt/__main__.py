"""`python -m nmt`: the command `nmt`."""

import sys

from nmt.cli import main

sys.exit(main())
