"""The document that a host publishes its events in is valid: OpenAPI 3.1, by a validator that is not ours."""

from __future__ import annotations

import copy

import pytest

from hookkit.catalogs import auth, logto
from hookkit.profiles import LOGTO, STANDARD, Profile
from hookkit.retry import RetryPolicy
from hookkit.schemes import BUILTIN

pytestmark = pytest.mark.frameworks
validator = pytest.importorskip("openapi_spec_validator", reason="not installed: openapi-spec-validator")

CATALOGS = {"auth": auth.CATALOG, "logto": logto.CATALOG}


def document(section):
    """Return a document that has nothing but this section."""
    return {"openapi": "3.1.0", "info": {"title": "Events", "version": "1"}, "webhooks": section}


@pytest.mark.parametrize("catalog", CATALOGS.values(), ids=list(CATALOGS))
@pytest.mark.parametrize("profile", [None, STANDARD, LOGTO], ids=["none", "standard", "logto"])
def test_the_document_is_valid(catalog, profile):
    """Both catalogues, by both profiles."""
    validator.OpenAPIV31SpecValidator(document(catalog.openapi_webhooks(profile))).validate()


@pytest.mark.parametrize("scheme", BUILTIN.values(), ids=list(BUILTIN))
def test_it_is_valid_with_any_scheme(scheme):
    """Whatever headers a host signs by."""
    profile = Profile("mine", STANDARD.payload, scheme, RetryPolicy([1]), 5)
    section = {"user.created": auth.CATALOG.openapi_webhooks(profile)["user.created"]}
    validator.OpenAPIV31SpecValidator(document(section)).validate()


def test_the_examples_fit_the_schemas():
    """As JSON Schema 2020-12, formats included."""
    schemas = pytest.importorskip("jsonschema")
    for catalog in CATALOGS.values():
        for profile in (STANDARD, LOGTO):
            for item in catalog.openapi_webhooks(profile).values():
                (media,) = item["post"]["requestBody"]["content"].values()
                check = schemas.Draft202012Validator(media["schema"], format_checker=schemas.FormatChecker())
                check.validate(media["example"])
                for key in media["schema"]["required"]:
                    broken = {name: value for name, value in media["example"].items() if name != key}
                    assert not check.is_valid(broken)


def test_the_validator_sees_what_is_wrong():
    """A section that is none is refused, so the tests above can fail."""
    section = copy.deepcopy(auth.CATALOG.openapi_webhooks())
    del section["user.created"]["post"]["parameters"][0]["in"]
    with pytest.raises(validator.validation.exceptions.OpenAPIValidationError):
        validator.OpenAPIV31SpecValidator(document(section)).validate()
