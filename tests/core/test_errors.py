import pytest

from tillgate.core import errors


def subclasses(root):
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def core_errors():
    return [one for one in subclasses(errors.GatewayError) if one.__module__ == errors.__name__]


# Stable for ever: merchants branch on them.
CODES = {
    "RequestError": "invalid_request",
    "InvalidAmount": "invalid_amount",
    "InvalidCode": "code_not_recognised",
    "NoRoute": "no_route",
    "KeyReused": "idempotency_key_reused",
    "OrderTaken": "order_already_has_a_payment",
    "NotAllowed": "forbidden",
    "AlreadyThere": "already_there",
    "NotThere": "not_there",
    "PaymentNotFound": "payment_not_found",
    "StoreError": "store_unavailable",
    "StaleVersion": "stale_version",
    "PaymentIdTaken": "payment_id_taken",
    "StoreInUse": "store_in_use",
    "ConfigError": "invalid_configuration",
}


def test_machine_codes_never_change():
    assert CODES.items() <= {one.__name__: one.code for one in core_errors()}.items()


def test_each_error_has_a_code_of_its_own():
    codes = [one.code for one in core_errors()]
    assert len(codes) == len(set(codes))


def test_an_error_names_the_field():
    error = errors.InvalidAmount("no", path="value")
    assert (str(error), error.path, error.code) == ("no", "value", "invalid_amount")
    assert errors.GatewayError("no").path is None


def test_a_taken_order_names_the_field():
    error = errors.OrderTaken("taken", payment=None)
    assert error.payment is None
    assert error.path == "$.order.merchant_order_id"


def test_wrong_settings_are_listed_all_at_once():
    error = errors.ConfigError(["a is missing", "b is no number"])
    assert error.problems == ["a is missing", "b is no number"]
    assert str(error) == "a is missing\nb is no number"


@pytest.mark.parametrize("name", CODES)
def test_the_tree_in_the_docstring_is_the_tree(name):
    assert f"── {name}" in errors.__doc__
