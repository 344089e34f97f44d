"""`python -m attninfluence.cli`."""

import sys

from attninfluence.cli import main

sys.exit(main())
