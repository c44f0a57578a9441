"""Where the frozen ocpctl starts. Not ``ocpctl/__main__.py`` itself: the folder of the script comes
first on the path, and in there ``http`` is ours."""

import sys

from ocpctl.__main__ import main

sys.exit(main())
