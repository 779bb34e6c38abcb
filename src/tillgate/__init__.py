"""Tillgate: an acquirer's gateway for Alipay+ user-presented payments, and its sandbox."""

__version__ = "0.1.0"
