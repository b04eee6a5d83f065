"""The kernels that a test runs with: this environment's own, or those that `tests/compat.py` brings."""

from __future__ import annotations

import os
from pathlib import Path

KERNELSPECS = os.environ.get("COMPAT_KERNELS", "")
"""A folder as in `JUPYTER_PATH`."""
KERNELS = sorted(path.name for path in Path(KERNELSPECS, "kernels").iterdir()) if KERNELSPECS else ["python3"]
