"""Build the sdist, the wheel from the sdist, install it apart, and run the unit tests against it.

The wheel's dependencies are those of the development environment (a `.pth` file points there), so
that nothing is downloaded twice; AOS itself is only there as the wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("api", "supervisors", "actors", "skills", "cluster")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aos-wheel-") as folder:
        work = Path(folder)
        wheel = build(work)
        check_contents(wheel)
        python = install(wheel, work)
        tests = work / "checkout"
        shutil.copytree(ROOT / "tests", tests / "tests")
        shutil.copy(ROOT / "pyproject.toml", tests)
        command = [python, "-m", "pytest", "-q", "tests/unit", "tests/conformance"]
        subprocess.run([*command, "-p", "no:cacheprovider"], cwd=tests, check=True)
        print(f"{wheel.name} holds what the tests need")


def build(work: Path) -> Path:
    """`python -m build` makes the wheel from the sdist."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "dist", ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next((work / "dist").glob("*.whl"))


def check_contents(wheel: Path) -> None:
    """Everything of the five folders is in it, and nothing that is not ours."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".sql", ".html"):
                name = f"aos/{path.relative_to(ROOT)}"
                if name not in packed:
                    raise SystemExit(f"{name} is not in the wheel")
    strays = {name for name in packed if name.startswith(("tests/", "aos/tests/", ".src/"))}
    if strays or "aos/py.typed" not in packed:
        raise SystemExit(f"the wheel has strays or lacks py.typed: {sorted(strays)[:5]}")


def install(wheel: Path, work: Path) -> Path:
    """A fresh environment that sees the development environment's packages, except its AOS."""
    venv.create(work / "venv", with_pip=True, symlinks=True)
    python = work / "venv/bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", wheel],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    packages = next((work / "venv/lib").glob("python*/site-packages"))
    # addsitedir would follow the editable install's .pth; a plain path does not.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    where = subprocess.run(
        [python, "-c", "import aos; print(aos.__file__)"],
        check=True, capture_output=True, text=True, cwd=work,
    ).stdout  # fmt: skip
    if str(packages) not in where:
        raise SystemExit(f"the tests would run against {where.strip()}, not against the wheel")
    return python


if __name__ == "__main__":
    main()
