"""Which releases of code and schema go together, so that processes can be upgraded one after the other."""

from __future__ import annotations

from packaging.version import Version

RELEASE = Version("0.1.0")  # of this code: imgsearch.__version__, which lies in a higher layer
OLDEST_SCHEMA = Version("0.1.0")  # this code works on tables and functions from this release on
OLDEST_CODE = Version("0.1.0")  # code from this release on works on the tables and functions of this one
