"""Files of others that stand in this repository. `python -m tests.vendor` fetches them anew, each
by its version and the hash of its archive (`vendored.toml`), through npm and whatever it asks.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("vendored.toml")


def packages() -> list[dict[str, Any]]:
    """What is vendored, as the list has it."""
    found: list[dict[str, Any]] = tomllib.loads(LIST.read_text())["package"]
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def integrity(archive: bytes) -> str:
    """The hash of an archive as npm writes it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}"


def fetched(name: str, version: str, folder: Path) -> bytes:
    """A package's archive."""
    subprocess.run(
        ["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    [archive] = folder.glob("*.tgz")
    return archive.read_bytes()


def renew(package: dict[str, Any]) -> None:
    """Fetch, check and write the files of one package: all of them or none."""
    name, version = package["name"], package["version"]
    with TemporaryDirectory() as folder:
        archive = fetched(name, version, Path(folder))
        if integrity(archive) != package["integrity"]:
            raise SystemExit(f"{name} {version}: the archive is {integrity(archive)}")
        contents = {}
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as files:
            for file in package["file"]:
                member = files.extractfile(f"package/{file['from']}")
                assert member is not None, f"{name} has no file {file['from']}"
                contents[file["to"]] = member.read()
                if sha256(contents[file["to"]]) != file["sha256"]:
                    found = sha256(contents[file["to"]])
                    raise SystemExit(f"{name} {version}: {file['from']} has the sha256 {found}")
    for to, content in contents.items():
        (ROOT / to).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / to).write_bytes(content)
    print(f"{name} {version}: {', '.join(contents)}")


if __name__ == "__main__":
    for each in packages():
        renew(each)
