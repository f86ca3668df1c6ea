from datetime import date

import pytest

from pe_ray.safety.resources import country_of, resources, stale
from pe_ray.safety.rules import TRIAGE_FILES

KNOWN = ("US", "CA", "GB", "IE", "AU", "NZ", "DE", "FR", "ES", "NL")


@pytest.mark.parametrize("locale", KNOWN)
@pytest.mark.parametrize("name", TRIAGE_FILES)
def test_every_country_has_somebody_for_every_class(locale, name):
    found = resources(locale, (name,), level=3)
    assert found
    assert {r.locale for r in found} == {locale}
    assert all(r.source.startswith("https://") and r.verified_on for r in found)
    assert any("emergency" in r.kinds for r in found)


@pytest.mark.parametrize("locale", ["XX", "", "zz", "en", "BR", "??", "a" * 300, "\ud800"])
def test_an_unknown_country_gets_no_number(locale):
    for found in (resources(locale), resources(locale, ("suicide_self_harm",), level=4)):
        assert found
        assert not any(c.isdigit() for r in found for c in r.contact)
        assert "local emergency number" in " ".join(r.contact for r in found)


def test_the_body_comes_first_where_it_is_in_danger():
    assert "911" in resources("US", ("medical_emergency",), level=3)[0].contact
    assert "911" in resources("US", ("suicide_self_harm",), level=4)[0].contact
    assert "988" in resources("US", ("suicide_self_harm",), level=3)[0].contact
    assert "799-7233" in resources("US", ("partner_violence",), level=3)[0].contact


@pytest.mark.parametrize(
    ("tag", "country"), [("US", "US"), ("us", ""), ("en-GB", "GB"), ("en_GB", "GB"), ("en", ""), ("de-at", "AT")]
)
def test_a_language_is_no_country(tag, country):
    assert country_of(tag) == country


def test_old_lines_are_named():
    assert stale(date(2026, 11, 21)) == []
    assert "US: Poison Help" in stale(date(2027, 6, 1))
