"""Where the peers live: virtual environments of their own, in the user's cache folder, outside the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"


def peer_folder(name: str) -> Path:
    """The virtual environment of a peer; `peers/NAME.txt` is what is installed there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "roots-benchmarks" / name


def python_of(name: str) -> str | None:
    """The Python of a peer's environment, None where it was not made."""
    python = peer_folder(name) / "bin" / "python"
    return str(python) if python.exists() else None


def make_peer(name: str, folder: Path | None = None) -> None:
    """Make a peer's virtual environment, unless it is there and of these requirements."""
    requirements, folder = PEERS / f"{name}.txt", folder or peer_folder(name)
    mark = folder / "requirements.txt"
    if mark.is_file() and mark.read_text() == requirements.read_text():
        return
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "pyvenv.cfg").is_file():
            raise SystemExit(f"{folder} is no virtual environment, and not empty: name another folder")
        shutil.rmtree(folder)  # of other requirements, or half made
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "--upgrade", "pip"], check=True)  # pip 24.0 fails on lxml[html_clean]
    subprocess.run([*install, "-r", str(requirements)], check=True)
    shutil.copyfile(requirements, mark)
