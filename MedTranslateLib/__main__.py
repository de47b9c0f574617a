"""`python -m MedTranslateLib` is `medtranslate`."""

import sys

from MedTranslateLib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
