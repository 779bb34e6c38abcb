"""Settings: one file and the environment, every problem at once, no secret in a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tillgate.alipayplus.signing import BadSignature, SigningKey, new_private_key
from tillgate.cli.keys import Addresses, write_folder
from tillgate.clock import SystemClock
from tillgate.config import load_gateway, load_sandbox
from tillgate.connectors.kinds import build_connector
from tillgate.core.errors import ConfigError
from tillgate.core.pacing import ALIPAY_PLUS, ALIPAY_PLUS_GROWING
from tillgate.sandbox.choices import Choices
from tillgate.server import Address
from tillgate.settings import CHOICES, SETTINGS, parse_address
from tillgate.store.postgres_url import PostgresUrl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, Addresses(gateway="127.0.0.1:8080", sandbox="127.0.0.1:9090"))
    return tmp_path


def with_direct(folder: Path, text: str = "", name: str = "kakaopay") -> None:
    """Add a wallet that is connected directly; `text` comes on top of what it needs."""
    with (folder / "tillgate.toml").open("a") as file:
        file.write(
            f"""
[connector.{name}]
kind = "aps_direct"
takes = "006"
base_url = "http://127.0.0.1:9090"
client_id = "KAKAO_1"
private_key_file = "acquirer-private.pem"
public_key_files = {{ 1 = "network-public.pem" }}
{text}
"""
        )


def problems(folder: Path, environ: dict[str, str] | None = None, load=load_gateway) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ or {}, folder / "tillgate.toml")
    return caught.value.problems


def test_the_first_settings_load_for_both_sides(folder):
    gateway = load_gateway({}, folder / "tillgate.toml")
    assert gateway.listen == Address("127.0.0.1", 8080)
    assert gateway.store == folder / "tillgate.sqlite3"
    assert gateway.connectors[0].base_url == "http://127.0.0.1:9090"
    assert list(gateway.seed.merchants) == ["M00000000001"]
    sandbox = load_sandbox({}, folder / "tillgate.toml")
    assert list(sandbox.acquirers) == [gateway.connectors[0].client_id]


def test_the_environment_wins_over_the_file(folder):
    environ = {"TILLGATE_LISTEN": "0.0.0.0:1", "TILLGATE_ALIPAY_PLUS_CLIENT_ID": "X"}
    settings = load_gateway(environ, folder / "tillgate.toml")
    assert settings.listen == Address("0.0.0.0", 1)
    assert settings.connectors[0].client_id == "X"


def test_the_file_may_be_named_by_the_environment(folder):
    assert load_gateway({"TILLGATE_SETTINGS": str(folder / "tillgate.toml")}, None)


def test_all_problems_are_told_together(folder):
    (folder / "seal.key").write_text("c2hvcnQ=")
    (folder / "acquirer-private.pem").write_text("-----BEGIN nothing-----")
    text = (folder / "tillgate.toml").read_text()
    text = text.replace('client_id = "SANDBOX_5Y0000000000"\n', "colour = 1\n")
    (folder / "tillgate.toml").write_text(text.replace("127.0.0.1:8080", "nowhere"))
    told = "\n".join(problems(folder))
    for name in ("seal_key_file", "private_key_file", "client_id", "listen", "colour"):
        assert name in told
    assert "c2hvcnQ" not in told


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TILLGATE_STORE": "mysql://x"}, "gateway.store"),
        ({"TILLGATE_STORE": "postgresql:x"}, "gateway.store"),
        ({"TILLGATE_STORE": "postgresql://x/y?pgbouncer=session"}, "gateway.store"),
        ({"TILLGATE_STORE": "sqlite:"}, "gateway.store"),
        ({"TILLGATE_STORE": "sqlite::memory:"}, "gateway.store"),
        ({"TILLGATE_ALIPAY_PLUS_PRIVATE_KEY_VERSION": "²"}, "alipay_plus.private_key_version"),
        ({"TILLGATE_LISTEN": "127.0.0.1:70000"}, "gateway.listen"),
        ({"TILLGATE_LOG_LEVEL": "LOUD"}, "gateway.log_level"),
        ({"TILLGATE_ENV": "prod"}, "gateway.env"),
        ({"TILLGATE_MERCHANTS_FILE": "gone.toml"}, "gateway.merchants_file"),
        ({"TILLGATE_ALIPAY_PLUS_BASE_URL": "ftp://x"}, "alipay_plus.base_url"),
        ({"TILLGATE_ALIPAY_PLUS_PUBLIC_KEY_FILES": "x"}, "alipay_plus.public_key_files"),
        ({"TILLGATE_ALIPAY_PLUS_PUBLIC_KEY_FILES": "1=gone"}, "alipay_plus.public_key_files"),
        ({"TILLGATE_ALIPAY_PLUS_PUBLIC_KEY_FILES": "a=seal.key"}, "alipay_plus.public_key_files"),
        ({"TILLGATE_ALIPAY_PLUS_PRIVATE_KEY_VERSION": "x"}, "alipay_plus.private_key_version"),
        ({"TILLGATE_ALIPAY_PLUS_PRIVATE_KEY_FILE": "seal.key"}, "alipay_plus.private_key_file"),
    ],
)
def test_one_wrong_setting_is_named(folder, environ, name):
    assert any(problem.startswith(f"{name}: ") for problem in problems(folder, environ))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("acquirer-private.pem", "alipay_plus.private_key_file"),
        ("network-public.pem", "alipay_plus.public_key_files"),
        ("seal.key", "gateway.seal_key_file"),
        ("merchants.toml", "gateway.merchants_file"),
    ],
)
@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_named(folder, file, name, content):
    (folder / file).write_text(content)
    assert any(problem.startswith(f"{name}: ") for problem in problems(folder))


@pytest.mark.parametrize(
    "setting",
    [s for s in SETTINGS if s.default is None and not s.section.startswith("sandbox")],
    ids=str,
)
@pytest.mark.parametrize("value", ["", "a\nb", "a\x00b"])
def test_a_required_setting_that_is_empty_or_unprintable_is_named(folder, setting, value):
    if setting.section == "connector.NAME":
        with_direct(folder)
        setting = replace(setting, section="connector.kakaopay")
    told = problems(folder, {setting.variable: value})
    assert any(problem.startswith(f"{setting.section}.{setting.name}: ") for problem in told)


@pytest.mark.parametrize("url", ["http://x:99999", "http://[::1", "http://", "//x", "http://x:y"])
def test_an_address_that_is_none_is_named(folder, url):
    told = problems(folder, {"TILLGATE_ALIPAY_PLUS_BASE_URL": url})
    assert told == ["alipay_plus.base_url: must be an address such as https://host"]


@pytest.mark.parametrize("value", ["-1", "x", "3601", "nan"])
def test_a_wrong_number_of_seconds_is_named(folder, value):
    told = problems(folder, {"TILLGATE_SANDBOX_LATENCY_S": value}, load_sandbox)
    assert told == ["sandbox.latency_s: must be a number of seconds, 0 to 3600"]


def test_the_demonstration_is_for_this_machine_only(folder):
    on = {"TILLGATE_PAGES_DEMO": "on"}
    assert "pages.demo: must be off" in "\n".join(problems(folder, on | {"TILLGATE_ENV": "live"}))
    for name, section in (("TILLGATE_LISTEN", "gateway"), ("TILLGATE_ADMIN_LISTEN", "admin")):
        assert problems(folder, on | {name: "0.0.0.0:8999"}) == [
            f"{section}.listen: must be of this machine only where pages.demo is on"
        ]
    assert problems(folder, {"TILLGATE_PAGES_DEMO": "maybe"}) == [
        "pages.demo: must be one of on, off"
    ]


def test_live_refuses_what_is_for_tests(folder):
    told = "\n".join(problems(folder, {"TILLGATE_ENV": "live"}))
    for name in ("client_id", "base_url", "public_url", "tg_test_"):
        assert name in told


@pytest.mark.parametrize("content", ["not = = toml", "\xff"])
def test_a_file_that_is_no_toml_is_named(folder, content):
    (folder / "tillgate.toml").write_bytes(content.encode("latin-1"))
    assert "not TOML" in problems(folder)[0]


def test_settings_outside_a_section_are_named(folder):
    path = folder / "tillgate.toml"
    path.write_text('listen = "x"\n' + path.read_text())
    assert "listen: settings stand in a [section]" in problems(folder)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        ("localhost:65535", Address("localhost", 65535)),
        ("localhost", None),
        (":80", None),
        ("x:65536", None),
        ("x:-1", None),
        ("", None),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


def test_the_networks_open_choices_are_settings_with_every_word(folder):
    assert CHOICES.keys() == Choices.__dataclass_fields__.keys()
    for name, (_, words) in CHOICES.items():
        assert list(words) == list(type(getattr(Choices(), name)))
        environ = {f"TILLGATE_SANDBOX_{name}".upper(): words[-1]}
        found = Choices.of(load_sandbox(environ, folder / "tillgate.toml").choices)
        assert getattr(found, name) == words[-1]
        assert found == replace(Choices(), **{name: getattr(found, name)})
    defaults = load_sandbox({}, folder / "tillgate.toml").choices
    assert Choices.of(defaults) == Choices()
    bad = {"TILLGATE_SANDBOX_KEY_REFUSAL": "perhaps"}
    assert "must be one of unsigned, signed" in "".join(problems(folder, bad, load_sandbox))


def test_the_schedule_of_inquiries_is_a_setting(folder):
    def policy(word):
        environ = {"TILLGATE_ALIPAY_PLUS_INQUIRIES": word}
        settings = load_gateway(environ, folder / "tillgate.toml").connectors[0]
        return build_connector(settings, SystemClock()).policy

    assert policy("fixed") is ALIPAY_PLUS
    assert policy("growing") is ALIPAY_PLUS_GROWING
    bad = {"TILLGATE_ALIPAY_PLUS_INQUIRIES": "often"}
    assert "alipay_plus.inquiries: must be one of" in "".join(problems(folder, bad))


# Wallets connected directly
# -------------------------------------------------------------------------------------------------


def test_a_wallet_connected_directly_is_a_section_of_its_own(folder):
    with_direct(folder, 'path = "/aps/kakaopay/payments"\npay_timeout_s = 5\ncode_consult = true')
    environ = {"TILLGATE_CONNECTOR_KAKAOPAY_CLIENT_ID": "FROM_THE_ENVIRONMENT"}
    settings = load_gateway(environ, folder / "tillgate.toml")
    alipay_plus, kakaopay = settings.connectors
    assert (alipay_plus.name, kakaopay.name) == ("alipay_plus", "kakaopay")
    assert (kakaopay.takes, kakaopay.client_id) == (("006",), "FROM_THE_ENVIRONMENT")
    built = build_connector(kakaopay, SystemClock())
    assert built.policy.pay_timeout == timedelta(seconds=5)
    assert built.policy.unknown_cancel_limit == timedelta(seconds=70)


def test_alipay_plus_may_be_left_out_when_a_wallet_is_connected_directly(folder):
    with_direct(folder)
    text = (folder / "tillgate.toml").read_text()
    before, _, rest = text.partition("[alipay_plus]")
    (folder / "tillgate.toml").write_text(before + rest[rest.index("\n[") :])
    settings = load_gateway({}, folder / "tillgate.toml")
    assert [each.name for each in settings.connectors] == ["kakaopay"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('path = "aps"', "path: must be a path such as"),
        ('pay_path = "/a b"', "pay_path: must be a path such as"),
        ("pay_timeout_s = 0.5", "pay_timeout_s: must be a number of seconds, 1 to 30"),
        ('cancel_timeout_s = "soon"', "cancel_timeout_s: must be a number of seconds"),
        ('inquiries = "often"', "inquiries: must be one of fixed, growing"),
        ('code_consult = "maybe"', "code_consult: must be one of false, true"),
        ("colour = 1", "colour: unknown"),
    ],
)
def test_a_wrong_option_of_a_direct_wallet_is_named(folder, line, problem):
    with_direct(folder, line)
    assert [told for told in problems(folder) if f"connector.kakaopay.{problem}" in told]


@pytest.mark.parametrize("takes", ["", "06", "alipay", "0060", "006;010"])
def test_whose_codes_a_direct_wallet_takes_must_be_known(folder, takes):
    with_direct(folder)
    environ = {"TILLGATE_CONNECTOR_KAKAOPAY_TAKES": takes}
    assert any(told.startswith("connector.kakaopay.takes: ") for told in problems(folder, environ))


def test_two_connectors_never_take_the_same_codes(folder):
    with_direct(folder)
    with_direct(folder, name="other")
    assert "connector.other.takes: kakaopay takes 006 already" in problems(folder)


@pytest.mark.parametrize("name", ["Kakao", "k" * 33, "9", '"a b"'])
def test_a_connector_has_a_plain_name(folder, name):
    with_direct(folder, name=name)
    assert any("a name has a to z" in told for told in problems(folder))


def test_alipay_plus_is_no_wallet_connected_directly(folder):
    with_direct(folder, name="alipay_plus")
    assert "connector.alipay_plus: Alipay+ has a section of its own" in problems(folder)


def test_an_unknown_kind_of_connector_is_told_with_those_there_are(folder):
    with_direct(folder)
    environ = {"TILLGATE_CONNECTOR_KAKAOPAY_KIND": "wechat"}
    assert any("there is no 'wechat'; there are " in told for told in problems(folder, environ))


def test_keys_for_wallets_connected_directly_load_on_both_sides(tmp_path):
    addresses = Addresses(gateway="127.0.0.1:8080", sandbox="127.0.0.1:9090")
    write_folder(tmp_path, addresses, ["alipay_hk", "kakaopay"])
    gateway = load_gateway({}, tmp_path / "tillgate.toml")
    assert [(each.name, each.takes) for each in gateway.connectors[1:]] == [
        ("alipay_hk", ("alipay_hk",)),
        ("kakaopay", ("006",)),
    ]
    sandbox = load_sandbox({}, tmp_path / "tillgate.toml")
    for connector in gateway.connectors[1:]:
        assert list(sandbox.direct[connector.name][1]) == [connector.client_id]


def test_a_wallet_that_the_sandbox_does_not_play_is_named(folder):
    with (folder / "tillgate.toml").open("a") as file:
        file.write('[sandbox.paypay]\nprivate_key_file = "network-private.pem"\n')
    told = problems(folder, load=load_sandbox)
    assert "sandbox.paypay: there are only alipay_cn, alipay_hk, kakaopay" in told
    assert any(one.startswith("sandbox.paypay.acquirers: missing") for one in told)


def test_the_sandbox_knows_several_acquirers_with_several_keys(folder):
    keys = [SigningKey.load(new_private_key(), version) for version in (1, 7)]
    for key in keys:
        (folder / f"key{key.version}.pem").write_bytes(key.public_pem())
    said = "ONE=key1.pem,ONE:7=key7.pem,TWO:7=key7.pem"
    environ = {"TILLGATE_SANDBOX_ACQUIRERS": said, "TILLGATE_SANDBOX_PRIVATE_KEY_VERSION": "3"}
    sandbox = load_sandbox(environ, folder / "tillgate.toml")
    assert sandbox.signing_key.version == 3
    for name, known in (("ONE", {1, 7}), ("TWO", {7})):
        for key in keys:
            header = key.sign("/x", name, "now", b"{}")
            if key.version in known:
                sandbox.acquirers[name].verify(header, "/x", name, "now", b"{}")
            else:
                with pytest.raises(BadSignature):
                    sandbox.acquirers[name].verify(header, "/x", name, "now", b"{}")
    for wrong in ("ONE:=key1.pem", "ONE:new=key1.pem", ":1=key1.pem"):
        told = problems(folder, {"TILLGATE_SANDBOX_ACQUIRERS": wrong}, load_sandbox)
        assert any("CLIENT_ID:VERSION=PATH" in one for one in told), wrong


def test_the_stores_password_is_never_shown(folder):
    given = "postgresql://tillgate:p%40ss-word@db1:5432,db2/pay?password=secret-2&sslmode=require"
    store = load_gateway({"TILLGATE_STORE": given}, folder / "tillgate.toml").store
    assert isinstance(store, PostgresUrl)
    assert str(store) == "postgresql://tillgate@db1:5432,db2/pay?sslmode=require"
    for shown in (str(store), repr(store), store.without_secrets(f"no: {given} p@ss-word")):
        assert "ss-word" not in shown
        assert "secret-2" not in shown
    [wrong] = problems(folder, {"TILLGATE_STORE": given + "&pgbouncer=sometimes"})
    assert "ss-word" not in wrong
    assert "transaction" in wrong
