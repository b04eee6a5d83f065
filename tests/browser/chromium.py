"""Chromium for the tests: a system one, Playwright's, or Debian's package, in this order.

`python tests/browser/chromium.py` installs one where there is none, and prints where it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DOWNLOAD_TIMEOUT_S = 600


def found() -> str | None:
    """Return the path of a Chromium that is there."""
    system = next(filter(None, map(shutil.which, SYSTEM_NAMES)), None)
    return system or _playwrights()


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str:
    """Return the path of a Chromium, installed first where there is none."""
    for attempt in (found, _from_playwright, _from_debian):
        if path := attempt():
            return path
    sys.exit("No Chromium: install one (Debian: apt-get install chromium), or put it on the PATH.")


def _from_playwright() -> str | None:
    _run(sys.executable, "-m", "playwright", "install", "--with-deps", "chromium")
    return found()


def _from_debian() -> str | None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    _run(*sudo, "apt-get", "update", "-qq")
    _run(*sudo, "apt-get", "install", "-y", "-qq", "chromium")
    return found()


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, env=environment, timeout=DOWNLOAD_TIMEOUT_S, stdout=sys.stderr, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{command[0]}: {error}", file=sys.stderr)


if __name__ == "__main__":
    print(install())
