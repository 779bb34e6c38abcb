"""What aiohttp's exceptions tell a till: whether its request may have arrived."""

from __future__ import annotations

import inspect

import aiohttp
from aiohttp import client_exceptions


def test_every_exception_of_the_http_library_is_classified():
    """Only these prove that no byte left; a class that a new release brings must be looked at."""
    never_sent = {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorSSLError",
        "ClientConnectorCertificateError",
        "ClientProxyConnectionError",
        "UnixClientConnectorError",
        "ClientSSLError",
        "ConnectionTimeoutError",
    }
    may_have_arrived = {
        "ClientError",
        "ClientConnectionError",
        "ClientConnectionResetError",
        "ClientOSError",
        "ClientPayloadError",
        "ClientResponseError",
        "ClientHttpProxyError",
        "ContentTypeError",
        "InvalidURL",
        "InvalidUrlClientError",
        "InvalidUrlRedirectClientError",
        "NonHttpUrlClientError",
        "NonHttpUrlRedirectClientError",
        "RedirectClientError",
        "ServerConnectionError",
        "ServerDisconnectedError",
        "ServerFingerprintMismatch",
        "ServerTimeoutError",
        "SocketTimeoutError",
        "TooManyRedirects",
        "UploadAbortedError",
        "WSServerHandshakeError",
        "WSMessageTypeError",
    }
    classes = {
        name: value
        for name, value in vars(client_exceptions).items()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and value.__module__ == client_exceptions.__name__
    }
    assert set(classes) == never_sent | may_have_arrived
    for name, value in classes.items():
        proves = issubclass(value, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        assert proves == (name in never_sent), name
