"""What somebody who installs the package gets."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from samesky import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "samesky"

pytestmark = pytest.mark.slow


def call(command: Sequence[str | Path], **environment: str) -> str:
    """Run ``command`` away from the checkout; returns its output, fails with what it said."""
    result = subprocess.run(
        command, capture_output=True, text=True, cwd="/", env=os.environ | environment, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the source distribution, as an index would get both."""
    folder = tmp_path_factory.mktemp("dist")
    call([sys.executable, "-m", "build", "--outdir", folder, ROOT])
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    ours = {
        str(path.relative_to(ROOT / "src"))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("samesky/")}
    assert packed == ours


def test_an_installed_wheel_gives_the_command(wheel: Path, tmp_path: Path) -> None:
    install = ["-m", "pip", "install", "-qq", "--no-deps", "--no-index", "--target", str(tmp_path)]
    call([sys.executable, *install, wheel])
    output = call([tmp_path / "bin" / "samesky", "--version"], PYTHONPATH=str(tmp_path))
    assert output.split()[-1] == __version__
