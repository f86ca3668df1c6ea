import pytest
import yaml

from pe_ray.errors import ConfigError
from pe_ray.serve.config_file import LOCAL, load_file


def test_the_local_file_has_both_applications_on_loopback():
    file = load_file()
    assert [(a.name, a.route_prefix) for a in file.applications] == [("gateway", "/"), ("progress", "/progress")]
    assert file.http_options.host == "127.0.0.1"
    assert file.logging_config.enable_access_log is False


def test_an_address_and_arguments_are_laid_over_it():
    file = load_file().with_args(8123, "127.0.0.1", {"gateway": {"home": "/x"}})
    assert file.http_options.port == 8123
    assert file.applications[0].args == {"serve": {"mode": "dev"}, "home": "/x"}
    assert file.applications[1].args == {"mode": "dev"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"aplications": []}, "unknown setting 'aplications'; did you mean 'applications'?"),
        ({"http_options": {"prot": 1}}, "unknown setting 'http_options.prot'; did you mean 'port'?"),
        ({"http_options": {"port": 99999}}, "http_options.port=99999"),
        ({"logging_config": {"enable_access_log": True}}, "logging_config.enable_access_log=True"),
        ({"applications": []}, "applications="),
    ],
)
def test_what_ray_would_swallow_is_refused(tmp_path, change, says):
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(LOCAL.read_text()) | change))
    with pytest.raises(ConfigError, match=r"serve\.yaml") as caught:
        load_file(path)
    assert any(says in problem for problem in caught.value.problems)
