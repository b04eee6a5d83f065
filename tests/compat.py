"""The main forms on other versions and front ends: `python tests/compat.py [oldest] [packages] [other-front-ends] [kernels] [3.11]`.

`oldest` is the lowest version that pyproject.toml allows of each dependency, on the oldest Python; a Python's number is
that Python with the newest of everything; without arguments it is all of them, on each Python that is found. Each has an
environment of its own in `build/compat`, and runs the kernel tests that are marked `compat`. `other-front-ends` has marimo,
nbclassic and Voilà beside what executes notebooks, and runs `tests/front_ends` in Chromium: in the environment of all other
tests, these packages would extend its JupyterLab. `kernels` are those between which it differs when a click is heard and
where an output lands, each in an environment that is not Jupyter's; that one has an older anywidget than they have.
`packages` builds the wheel and the sdist, and runs `tests/packages`: the wheel alone in an empty environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / "build" / "compat"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST = "oldest"
FRONT_ENDS = "other-front-ends"
PACKAGES = "packages"

# What the tests need beside the package. ipykernel is the user's own: no version of it is asked for, but kernels as old
# as this are in use with every JupyterLab 4.
TESTS = ("pytest", "hypothesis", "nbclient", "ipykernel", "pandas")
OLDEST_KERNEL = ("ipykernel==6.17.1", "jupyter_client==8.6.3")

IN_CHROMIUM = ("marimo", "nbclassic", "voila", "jupyterlab", "nbconvert", "papermill", "jupytext", "playwright")

KERNELS = "kernels"
KERNEL_VERSIONS = ("6.29.5", "7.1.0", "7.3.0", "7.4.0")
AROUND_KERNELS = ("nbclassic", "papermill", "voila", "anywidget==0.9.13")
ON_KERNELS = ("tests/browser/test_kernels.py", "tests/kernel/test_executed.py")
"""What runs with each of these kernels; `COMPAT_KERNELS` is where they are."""


def places(version: str) -> Iterator[str | Path | None]:
    """Yield where a Python of this version may be: on the PATH, in pyenv's folder, and where uv keeps its own."""
    yield shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    if uv := shutil.which("uv"):
        find = [uv, "python", "find", "--no-project", "--no-python-downloads", version]
        yield subprocess.run(find, capture_output=True, text=True, check=False).stdout.strip()


def python(version: str) -> str | None:
    """Return a Python of this version that runs, if there is one."""
    for path in filter(None, places(version)):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


def oldest() -> list[str]:
    """Return the lowest version that is allowed of each dependency, as requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*(re.sub(r">=", "==", requirement) for requirement in project["dependencies"]), *OLDEST_KERNEL]


def environment(name: str, version: str, requirements: Sequence[str], extra: str = "") -> str:
    """Return the Python of an environment with the package, one of its extras and these requirements."""
    place = ENVIRONMENTS / name
    inside = place / "bin" / "python"
    wanted = "\n".join(requirements)
    noted = place / "requirements.txt"
    if not noted.exists() or noted.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([python(version) or sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", f"{ROOT}{extra}", *requirements], check=True)
        noted.write_text(wanted, encoding="utf-8")
    return str(inside)


def chosen(names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, Python and requirements of each environment that is asked for and can be made."""
    there = [version for version in PYTHONS if python(version)]
    for name in names:
        if name == KERNELS:
            continue
        version = PYTHONS[0] if name in (OLDEST, PACKAGES, FRONT_ENDS) else name
        if version not in there:
            print(f"Python {version} is not installed: {name} is left out.")
            continue
        requirements = {OLDEST: oldest(), PACKAGES: ["hatchling"], FRONT_ENDS: [*IN_CHROMIUM]}.get(name)
        yield (f"newest-{name}", name, []) if requirements is None else (name, version, requirements)


def passes(inside: str, *tests: str, **variables: str) -> bool:
    """Run tests by the Python of an environment; return whether they passed."""
    # What older versions of others do beside the tests: anyio's plugin, and a context that jupyter_client leaves open.
    quiet = ["-p", "no:cacheprovider", "-p", "no:anyio", "-W", "ignore:Unclosed context:ResourceWarning"]
    command = [inside, "-m", "pytest", "-q", *tests, *quiet]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode == 0


def kernels_pass() -> bool:
    """Run what depends on the kernel in each front end, on each kernel."""
    place = ENVIRONMENTS / "kernelspecs"
    for version in KERNEL_VERSIONS:
        name = f"ipykernel-{version}"
        inside = environment(name, PYTHONS[0], [f"ipykernel=={version}"])
        argv = [inside, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = place / "kernels" / name / "kernel.json"
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}), encoding="utf-8")
    front_ends = environment("around-kernels", PYTHONS[0], AROUND_KERNELS, "[test]")
    return passes(front_ends, "-rP", *ON_KERNELS, COMPAT_KERNELS=str(place))


def main() -> int:
    """Run them one after the other; return how many failed."""
    failed = []
    names = sys.argv[1:] or [OLDEST, PACKAGES, FRONT_ENDS, *filter(python, PYTHONS), KERNELS]
    for name, version, requirements in chosen(names):
        print(f"\n{name}, Python {version}", flush=True)
        inside = environment(name, version, [*requirements, *TESTS])
        if name == FRONT_ENDS:
            subprocess.run([inside, "tests/browser/chromium.py"], cwd=ROOT, check=True)
        folders = {FRONT_ENDS: "tests/front_ends", PACKAGES: "tests/packages"}
        if not passes(inside, *([folders[name]] if name in folders else ["-m", "compat", "tests/kernel"])):
            failed.append(name)
    if KERNELS in names:
        print(f"\n{KERNELS}: {', '.join(KERNEL_VERSIONS)}", flush=True)
        failed += [] if kernels_pass() else [KERNELS]
    print(f"\nFailed: {', '.join(failed)}." if failed else "\nAll passed.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
