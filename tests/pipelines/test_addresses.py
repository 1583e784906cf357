"""Addresses: which spellings of a web address are the same one."""

import pytest

from pipelines.addresses import normal_host, normal_url, site_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://www.Example.org/a/", "https://example.org:8080/a#x", True),
        ("http://example.org/a?b=1", "https://example.org/a", False),
        ("http://example.org/A", "http://example.org/a", False),
        ("http://example.org", "http://example.org/", True),
        ("http://example.org./a", "http://example.org/a", True),
        ("http://example.org/год", "http://example.org/%D0%B3%d0%be%D0%B4", True),
        ("http://example.org/%E9t%E9", "http://example.org/%e9t%e9", True),
        ("http://example.org/%E9", "http://example.org/é", False),  # Latin-1 is not UTF-8
        ("http://example.org/a%5Fb%2Dc", "http://example.org/a_b-c", True),
        ("http://example.org/a%2Fb", "http://example.org/a/b", False),
        ("http://example.org/a%3Fb", "http://example.org/a?b", False),
        ("http://example.org/50%", "http://example.org/50%25", True),
        ("http://example.org/%2541", "http://example.org/A", False),
        ("http://example.org/a b|c", "http://example.org/a%20b%7Cc", True),
        ("http://example.org/a+b", "http://example.org/a%20b", False),
        ("http://example.org/./a/b/../c", "http://example.org/a/c", True),
        ("http://example.org/a/%2E%2e/c", "http://example.org/c", True),
        ("http://example.org/../../c", "http://example.org/c", True),
        ("http://example.org/a//c", "http://example.org/a/c", False),
        ("http://example.org/.well-known", "http://example.org/well-known", False),
        ("http://example.org/?q=ł&r=%7e", "http://example.org/?q=%C5%82&r=~", True),
        ("http://example.org/?q=a%26b", "http://example.org/?q=a&b", False),
        ("http://日本.example/", "http://xn--wgv71a.EXAMPLE", True),
        ("http://bob@日本.example/", "http://XN--WGV71A。example", True),
        ("http://%E6%97%A5%E6%9C%AC.example/", "http://日本.example/", True),
        ("http://ＦＵＬＬ.example/", "http://full.example/", True),
        ("http://ΣΟΣ.example/", "http://σοσ.example/", True),
        ("http://gruß.example/", "http://gruss.example/", False),
        ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a", True),
    ],
)
def test_two_spellings_of_an_address_have_one_normal_form(one, other, same):
    assert (normal_url(one) == normal_url(other)) == same


@pytest.mark.parametrize("url", ["http://[", "", "no address", "http://\udce9.example/\udce9"])
def test_what_is_no_address_is_no_error(url):
    assert isinstance(normal_url(url), str)
    assert isinstance(site_of(url), str)


def test_www_stays_where_only_a_top_level_domain_would_be_left():
    assert normal_host("www.example") == "www.example"
    assert normal_host("WWW.a.example") == "a.example"
