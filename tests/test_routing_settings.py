import pytest

from tillgate.core.errors import ConfigError
from tillgate.core.routing_table import CnHkFirst, Integrations, MppCodes, ReservedCodes
from tillgate.routing_settings import RoutingSettings, load_routing

TABLE = "version = 'x'\ndefault = 'alipay_plus'\n"
RULE = "[[rule]]\nid = 'a'\npattern = '^28\\d{22}$'\nto = 'alipay_plus'\n"


def loaded(folder, text, **environ):
    (folder / "tillgate.toml").write_text(text)
    return load_routing(environ, folder / "tillgate.toml")


def test_without_a_word_the_guides_table_is_in_force_with_alipay_plus_alone(tmp_path):
    settings, integrations = loaded(tmp_path, "")
    assert settings == RoutingSettings()
    assert settings.table.version == "guide"
    assert integrations == Integrations()


def test_paths_start_at_the_settings_file(tmp_path):
    (tmp_path / "t.toml").write_text(TABLE + RULE)
    (tmp_path / "i.toml").write_text('[[issuer]]\nnumber = "006"\nwallet = "Six"\n')
    settings, _ = loaded(tmp_path, '[routing]\ntable = "t.toml"\nissuers = "i.toml"\n')
    assert settings.table.version == "x"
    assert settings.table.issuers == {"006": "Six"}
    assert settings.source.load() == settings.table


def test_the_words_and_the_connectors_are_read(tmp_path):
    settings, integrations = loaded(
        tmp_path,
        '[connector.cn]\ntakes = "alipay_cn, alipay_hk"\n[connector.kakao]\ntakes = "006"\n',
        TILLGATE_ROUTING_CN_HK_FIRST="consult",
        TILLGATE_ROUTING_RESERVED_CODES="alipay_cn",
        TILLGATE_ROUTING_MPP_CODES="any_length",
    )
    assert integrations == Integrations(
        alipay_plus=False,
        direct={"alipay_cn": "cn", "alipay_hk": "cn", "006": "kakao"},
        cn_hk_first=CnHkFirst.CONSULT,
        reserved_codes=ReservedCodes.ALIPAY_CN,
        mpp_codes=MppCodes.ANY_LENGTH,
    )
    assert settings.integrations({"alipay_plus": ()}).alipay_plus


def test_alipay_plus_is_connected_where_it_has_a_section(tmp_path):
    _, integrations = loaded(
        tmp_path, '[alipay_plus]\nclient_id = "x"\n[connector.cn]\ntakes = "alipay_cn"\n'
    )
    assert integrations.alipay_plus


def test_every_problem_is_told_with_those_of_the_table(tmp_path):
    (tmp_path / "t.toml").write_text(TABLE + RULE.replace("alipay_plus", "mars") + RULE)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, '[routing]\ntable = "t.toml"\nmpp_codes = "x"\nreserved_codes = "y"\n')
    told = "\n".join(caught.value.problems)
    assert "routing.mpp_codes: must be one of cgcp, any_length" in told
    assert "routing.reserved_codes: must be one of alipay_plus, alipay_cn" in told
    assert f"routing.table: {tmp_path}/t.toml:6: rule a: to = mars is unknown" in told
    assert "t.toml:8: rule a: an earlier one has the same id" in told
