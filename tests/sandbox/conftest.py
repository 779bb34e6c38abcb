import pytest

from tillgate.alipayplus.signing import SigningKey, new_private_key

from .side import Keys


@pytest.fixture(scope="session")
def keys() -> Keys:
    """One pair for each side and one that nobody knows; making them takes a second."""
    network, acquirer, stranger = (SigningKey.load(new_private_key()) for _ in range(3))
    return Keys(network=network, acquirer=acquirer, stranger=stranger)
