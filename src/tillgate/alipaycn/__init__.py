"""Alipay's open platform for codes of the Chinese mainland: signatures, messages and calls."""
