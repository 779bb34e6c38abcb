"""The database of each engine, for every test of this folder that asks for it."""

from tests.store.store_side import open_store

__all__ = ["open_store"]
