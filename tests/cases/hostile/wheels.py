"""CASES: a hundred and more hostile and odd wheels, each with its verdict.

`python wheels.py FOLDER` writes them all."""
import sys
from pathlib import Path

import cases_contents   # noqa: F401  each registers its cases
import cases_framing    # noqa: F401
import cases_members    # noqa: F401
import cases_metadata   # noqa: F401
import cases_targets    # noqa: F401
from wheel_parts import CASES

if __name__ == "__main__":
    for case in CASES:
        where = Path(sys.argv[1]) / case.name
        where.mkdir(parents=True, exist_ok=True)
        case.write(where)
