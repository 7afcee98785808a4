import pytest

from mmrec.errors import ConfigError
from mmrec.service.settings import ServiceSettings, is_loopback

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def test_the_environment_sets_what_is_not_given():
    environment = {"MMREC_PORT": "9", "MMREC_RATE": "2.5", "MMREC_API_KEYS": f" {OLD}, {NEW},", "PATH": "/"}
    settings = ServiceSettings.read(environment, port=8, timeout=None)
    assert (settings.port, settings.rate, settings.timeout) == (8, 2.5, 30.0)
    assert [key.get_secret_value() for key in settings.api_keys] == [OLD, NEW]


def test_it_binds_to_this_machine_unless_told():
    assert ServiceSettings.read({}).host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_another_address_needs_a_key(host):
    with pytest.raises(ConfigError, match="MMREC_API_KEYS"):
        ServiceSettings.make(host=host)
    assert ServiceSettings.make(host=host, api_keys=OLD).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_addresses_of_this_machine(host):
    assert is_loopback(host)
    assert not is_loopback(host + ".example.org")


@pytest.mark.parametrize("keys", ["short", f"{OLD},{NEW},{OLD}x", f"{OLD} {NEW}", "ключключключключ"])
def test_unfit_keys_are_refused_and_not_shown(keys):
    with pytest.raises(ConfigError, match="key") as caught:
        ServiceSettings.make(api_keys=keys)
    assert all(key not in str(caught.value) for key in keys.split(","))


def test_a_key_is_in_no_representation():
    settings = ServiceSettings.make(api_keys=OLD)
    assert OLD not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("wrong", [
    {"port": 70_000}, {"port": "x"}, {"timeout": 0}, {"rate": -1}, {"in_flight": 0}, {"colour": "red"},
])
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ServiceSettings.make(**wrong)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ServiceSettings().port = 1
