"""A key that is written wrongly, in a notebook: it is refused, and stands in no output and in no file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import Kernel

pytestmark = pytest.mark.kernel

SECRET = "secretsecret"
KEY = f"sk-do-{SECRET}"
WRONG = [
    f'"{KEY}"',
    f"'{KEY}'",
    f"\u201c{KEY}\u201d",
    f"MODEL_ACCESS_KEY={KEY}",
    f"export KEY='{KEY}'",
    f"Bearer {KEY}",
]
WRONG += [f"{KEY}\n{KEY}x", "sk-do-\nsecretsecret", f"<{KEY}>", f"{KEY},", f"dor_v1_{SECRET}"]
_USES = """\
%%imagegen house --quality low
A red house
%%imagegen house --no-wait --quality low
A red house
%imagegen_models
%imagegen_panel
gn.generate("A red house")
gn.Client(), gn.AsyncClient(), discover()
discover(key=open("keys").read().split("|")[at])
gn.Settings(endpoint="https://h", key=open("keys").read().split("|")[at])
%imagegen_history
"""


def test_a_key_that_is_written_wrongly_is_shown_nowhere(
    start_kernel: Callable[..., Kernel], simulator: Simulator
) -> None:
    """In whatever it is used, with tracebacks that show locals: no output, no log and no file has it."""
    kernel = start_kernel(simulator)
    kernel.run("%load_ext gradient_notebook")
    (kernel.folder / "keys").write_text("|".join(WRONG))
    kernel.run("import os, logging, gradient_notebook as gn\nfrom gradient_notebook.connect import discover")
    kernel.run("logging.basicConfig(level=0, filename='all.log', force=True)")
    cells = _USES.replace("low\nA", "low\0A").splitlines()
    for debug in (False, True):
        kernel.run(f"%config ImageGen.debug = {debug}\n%xmode {'Verbose' if debug else 'Context'}")
        for at in range(len(WRONG)):
            kernel.run(f"at = {at}; os.environ['GRADIENT_MODEL_ACCESS_KEY'] = open('keys').read().split('|')[at]")
            ran = [kernel.run(cell.replace("\0", "\n")) for cell in cells]
            assert [cell.status for cell in ran[:3]] == ["error"] * 3, ran
            refused = kernel.run("%%imagegen house --dry-run\nA house of " + KEY)
            assert "prompt contains your model access key" in refused.said or at == len(WRONG) - 1
            assert SECRET not in "".join(f"{cell.outputs}" for cell in ran)
    kernel.run("logging.shutdown()")
    (kernel.folder / "keys").unlink()
    assert simulator.posts == []
    files = [
        path for path in kernel.folder.rglob("*") if path.is_file() and "ipython" not in path.parts
    ]  # which keeps what was typed
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert [comm for comm in kernel.comms.values() if SECRET in repr(comm.history)] == []
