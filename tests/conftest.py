"""Ends QGIS's test process itself, right after pytest has told the outcome.

QGIS may crash while the interpreter tears it down after green tests. The exit code stays pytest's own: a test that
fails or a crash during the tests still fails the run.
"""

from __future__ import annotations

import os
import sys

import pytest

OUTCOME = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[OUTCOME] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if "qgis.core" in sys.modules and OUTCOME in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[OUTCOME])
