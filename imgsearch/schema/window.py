"""Which releases of code and schema go together, so that processes can be upgraded one after the other.

The schema goes first: processes of the release before work on it, and only then new ones are started. New code on an
older schema refuses and says so: its statements call functions that are not there yet.
"""

from __future__ import annotations

from packaging.version import Version

RELEASE = Version("0.1.0")  # of this code: imgsearch.__version__, which lies in a higher layer
OLDEST_SCHEMA = Version("0.1.0")  # this code works on tables and functions from this release on
OLDEST_CODE = Version("0.0.9")  # code from this release on works on the tables and functions of this one

# The release before, which tests/test_rolling.py and `python -m bench.rolling` run beside this one while the schema
# goes forward: its commit, and the release that it stands for. Nothing is released yet; then it will be a tag.
PREVIOUS_COMMIT = "a46087376340c659860df7645682f3a342fddf94"
PREVIOUS = Version("0.0.9")
