"""What stands here of others is what they published, with the licence that it came under."""

from __future__ import annotations

import pytest

from tests.vendor import LIST, ROOT, integrity, packages, sha256

FILES = {file["to"]: file["sha256"] for package in packages() for file in package["file"]}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_vendored_file_is_as_it_was_published(name):
    assert sha256((ROOT / name).read_bytes()) == FILES[name], f"run `make vendor`, or see {LIST}"


@pytest.mark.parametrize("package", packages(), ids=lambda package: package["name"])
def test_a_vendored_package_names_its_version_its_archive_and_its_licence(package):
    assert package["version"][0].isdigit(), "one version, never a range"
    assert package["integrity"].startswith("sha512-")
    assert package["licence"]
    assert package["licence_file"] in FILES
    assert (ROOT / package["licence_file"]).read_text().strip()


FOLDERS = {folder for name in FILES if (folder := (ROOT / name).parent).name == "vendor"}


@pytest.mark.parametrize("folder", sorted(FOLDERS), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_stands_in_a_vendor_folder_unlisted(folder):
    there = {str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file()}
    assert there <= FILES.keys()


def test_an_archive_is_hashed_as_npm_does():
    empty = (
        "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
    )
    assert integrity(b"") == f"sha512-{empty}"
