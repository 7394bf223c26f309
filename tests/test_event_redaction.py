"""No secret leaves in an event: which fields and shapes are taken for one, which are not, and where that happens."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Event
from hookkit.catalogs import auth, logto
from hookkit.events import Catalog, EventSpec, Redaction
from hookkit.events._names import is_secret, words
from hookkit.events._redaction import _read_name
from hookkit.events._shapes import _ANY, _SHAPES, masked
from strategies import json_values
from worlds import World

MASK = "[redacted]"
CANARY = "canary-in-the-house"
REDACTION = Redaction()
VECTORS = json.loads((Path(__file__).parent / "vectors" / "logto.json").read_text("utf-8"))

# --- Names ------------------------------------------------------------------------------------------------------------

SECRET = """
    password passwd pwd PASSWORD Password password2 userPassword new_password old-password current.password
    password_confirmation passwordAgain passphrase passcode pin otp OTP smsOTP email_otp otp_code otps
    password_hash passwordHash hashed_password encrypted_password password_digest passwordSalt salt
    reset_token resetPasswordToken reset_password_token confirmation_token token tokens token_hash hashedToken
    access_token accessToken refresh_token refreshtoken id_token idToken logout_token csrfToken remember_token jwt
    totp_secret TOTPSecret two_factor_secret secret secrets client_secret clientSecret clientsecret device_secret
    recovery_codes recoveryCodes backup_code two_factor_recovery_codes scratch_codes verification_code user_code
    authorization_code auth_code one_time_code sms_code 2fa_code code_verifier invite_code qr_code
    cookie cookies Set-Cookie session_cookie session_key session_token Authorization Proxy-Authorization
    X-API-Key api_key apiKey apikey private_key privateKeyPem private_key_jwk signing_key access_key secret_key
    client_assertion SAMLResponse seed_phrase recovery_phrase mnemonic security_stamp secretData
    reset_link magic_link magic_link_url reset_url password_reset_url activation_link verification_url
    verification_uri_complete otpauth_url x-amz-security-token passWord userpassword passwordhash totpsecret
    sessiontoken recoverycodes backupOTPs setcookie
""".split()

HARMLESS = """
    id user_id token_id tokenId session_id sessionId sid secret_id access_key_id cookie_id jti kid password_id
    token_type tokenType token_endpoint token_use token_count grant_type secret_name key public_key publicKey
    password_changed_at passwordChangedAt password_expires_at reset_token_expires_at otp_sent_at last_password_change
    has_password hasPassword is_token requires_otp uses_password no_password allow_token
    password_policy password_strength password_length token_lifetime authorization_endpoint authorization_details
    code country_code error_code statusCode postal_code zip_code phone_code language_code codes
    passkey credential credentials passport compass pinned spinner tokenizer secretary cookies_accepted
    idempotency_key key_id nonce state hash digest url link login_url logout_url redirect_uri verification_uri
    name email phone path userAgent ip totp mfa factor recovery_codes_left recovery_codes_remaining
""".split()


@pytest.mark.parametrize("name", SECRET)
def test_a_name_that_says_it_holds_a_secret(name):
    """In any spelling, and with what is added in front of it, its text is replaced; the host learns the name."""
    event = Event("a", {"user": [{name: CANARY, "id": "u"}]})
    redacted = REDACTION.event(event)
    assert redacted.event.data == {"user": [{name: MASK, "id": "u"}]}
    assert redacted.fields == (name,)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_only_tells_of_a_secret(name):
    """Ids, times, types and counts stay, and so does whatever merely sounds alike."""
    event = Event("a", {name: "as it was"}, context={name: ["as it was"]})
    assert REDACTION.event(event) == (event, ())
    assert REDACTION.event(event).event is event


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"otp": 482913, "pin": 1234, "totp_code": 123456.0}, {"otp": MASK, "pin": MASK, "totp_code": MASK}),
        ({"otp": 3, "recovery_codes": 8, "tokens": 51_200, "password": True, "secret": None, "token": ""}, ...),
        ({"otp": {"sms": 482913, "sent_at": 1767225600}}, {"otp": {"sms": MASK, "sent_at": 1767225600}}),
        ({"recovery_codes": ["a", "b", None]}, {"recovery_codes": [MASK, MASK, None]}),
        ({"recovery_codes": ()}, ...),
        ({"recovery_codes": [{"code": "a", "used": False}]}, {"recovery_codes": [{"code": MASK, "used": False}]}),
        (
            {"tokens": [{"id": "t", "type": "bearer", "value": "x", "expires_at": "soon"}]},
            {"tokens": [{"id": "t", "type": "bearer", "value": MASK, "expires_at": "soon"}]},
        ),
        (
            {"password": {"changed_at": "now", "a": {"b": ["x"]}}},
            {"password": {"changed_at": "now", "a": {"b": [MASK]}}},
        ),
        ({"cookies": {"sid": "x", "id": "y", "type": ["z"]}}, {"cookies": {"sid": MASK, "id": MASK, "type": [MASK]}}),
        ({"authorization": {"id": "a", "scopes": ["read"], "client": {"tier": "x"}}}, ...),
        ({"authorization": {"token": "x"}}, {"authorization": {"token": MASK}}),
        ({"authorization": ["Digest x"]}, {"authorization": [MASK]}),
        ({"code": "482913"}, {"code": MASK}),
        ({"code": "invalid_grant", "country_code": "482913", "sql": {"code": "40001"}}, ...),
        ({"totp": "JBSWY3DPEHPK3PXP", "mfa_totp": "123456"}, {"totp": MASK, "mfa_totp": MASK}),
        ({"totp": "enabled", "factors": {"totp": {"status": "verified"}}}, ...),
        ({"kty": "EC", "x": "a", "d": "b", "kid": "k"}, {"kty": "EC", "x": "a", "d": MASK, "kid": "k"}),
        ({"kty": "oct", "k": "b"}, {"kty": "oct", "k": MASK}),
        ({"d": "b", "k": "c"}, ...),
        ({"headers": [["Cookie", "x"], ("accept", "y")]}, {"headers": [["Cookie", MASK], ("accept", "y")]}),
        ({"headers": {"cookie": "x", "accept": "y"}}, {"headers": {"cookie": MASK, "accept": "y"}}),
        ({"amr": ["password", "otp"], "factors": [["password", "otp"]]}, ...),
        ({"name": "Cookie", "value": "x"}, {"name": "Cookie", "value": MASK}),
        ({"op": "replace", "path": "/password", "value": "x"}, {"op": "replace", "path": "/password", "value": MASK}),
        ({"field": "pin", "old": 1234, "new": "x"}, {"field": "pin", "old": MASK, "new": MASK}),
        ({"type": "password", "value": "x", "to": "y"}, {"type": "password", "value": MASK, "to": "y"}),
        ({"name": "locale", "value": "x"}, ...),
    ],
)
def test_what_becomes_of_a_value(data, left):
    """Texts are replaced, a list keeps its length and an object its keys; numbers only where they can be codes."""
    before = json.dumps(data)
    assert REDACTION.value(data) == (data if left is ... else left)
    assert left is not ... or REDACTION.value(data) is data
    assert json.dumps(data) == before


def test_any_depth_and_the_context():
    """What lies deep is found, and so is what a host keeps of the request."""
    deep: Any = {"password": CANARY}
    for _ in range(30):
        deep = {"a": [deep]}
    redacted = REDACTION.event(Event("a", deep, context={"cookie": CANARY, "ip": "::1"}))
    assert CANARY not in json.dumps(redacted.event.data)
    assert redacted.event.context == {"cookie": MASK, "ip": "::1"}
    assert redacted.fields == ("password", "cookie")


def test_a_long_name_is_read_from_its_end():
    """It says there what the field is; and reading it takes no time to speak of."""
    name = "a_" * 100_000 + "password"
    assert is_secret(words(name))
    assert len(words(name)) < 200


def test_what_may_be_data_is_not_remembered():
    """A dictionary by token, number or address leaves none of its keys in the process."""
    before = _read_name.cache_info().currsize
    REDACTION.value(dict.fromkeys(["a1", "a@example.com", "é", "a" * 41, JWT], 1))
    assert _read_name.cache_info().currsize == before


# --- Shapes -----------------------------------------------------------------------------------------------------------

JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
PEM = "-----BEGIN {0}PRIVATE KEY{1}-----\nMIIEvQ\nIBADAN\n-----END {0}PRIVATE KEY{1}-----"
LONG = "Ab1" * 12  # no scanner of sources is to take a made-up key for a real one, so none stands here in one piece

SHAPES = [
    JWT,
    "eyJhbGciOiJkaXIifQ.." + "48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBo",
    "ewogICJhbGciOiAibm9uZSIKfQ." + "eyJzdWIiOiIxIn0.",
    "$2b$12$" + "a" * 53,
    "$2y$10$" + "./Aa" * 13 + "x",
    "$argon2id$v=19$m=65536,t=3,p=4$" + "c29tZXNhbHQ$" + LONG,
    "$scrypt$ln=16,r=8,p=1$" + "aM15713r3Xsvxbi31lqr1Q$" + LONG,
    "$pbkdf2-sha256$29000$" + "N2YMIWQsBWBMae09x1jrPQ$" + LONG,
    "$6$rounds=5000$" + "saltstring$" + LONG,
    "$y$j9T$" + "F5Jx5fExrKuPp53xLKQ..1$" + LONG,
    "$P$" + "B" + LONG,
    "pbkdf2_sha256$1000000$" + "Zq0mEYQ$" + LONG + "=",
    "bcrypt_sha256$$2b$12$" + LONG,
    "argon2$argon2id$v=19$" + LONG,
    "scrypt:32768:8:1$" + "ZNUXa0pTSAb$" + LONG,
    "pbkdf2:sha256:600000$" + "Zq0mEYQ$" + LONG,
    "{SSHA}" + LONG,
    "{crypt}" + LONG,
    PEM.format("", ""),
    PEM.format("RSA ", ""),
    PEM.format("OPENSSH ", ""),
    PEM.format("PGP ", " BLOCK"),
    *(
        prefix + LONG
        for prefix in "whsec_ whsk_ sk_live_ sk_test_ rk_live_ ghp_ github_pat_ glpat- xoxb- shpat_".split()
    ),
    *(prefix + LONG for prefix in "sk-ant- sk-proj- ory_at_ ory_rt_ hvs. npm_ ya29. SG. dop_v1_ pypi-AgE".split()),
    "AK" + "IA" + "IOSFODNN7EXAMPLE",
    "AI" + "za" + "Sy" + LONG[:33],
]


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("around", ["{}", "it was {}", "({}) it was", '"{}"', "a={} b", "see: {}\nand {}"])
def test_the_shape_of_a_secret(secret, around):
    """Whatever the field is called, and whatever stands around it, it is replaced and nothing else is."""
    shown = REDACTION.value({"note": [around.replace("{}", secret)]})["note"][0]
    assert secret[8:20] not in shown
    assert shown == around.replace("{}", MASK)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer " + LONG, f"Bearer {MASK}"),
        ("(basic dXNlcjpwYXNz, x)", f"(basic {MASK}, x)"),
        (
            "GET /a\r\nCookie: sid=a b\r\nAccept: c\nX-API-Key:d",
            f"GET /a\r\nCookie: {MASK}\r\nAccept: c\nX-API-Key:{MASK}",
        ),
        ("DPoP  Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp", f"DPoP {MASK}"),
        ("https://example.com/reset?token=abc&lang=en#x", f"https://example.com/reset?token={MASK}&lang=en#x"),
        ("/cb?code=SplxlOBeZQ&state=xyz", f"/cb?code={MASK}&state=xyz"),
        ("https://a.example/cb#access_token=a&token_type=b", f"https://a.example/cb#access_token={MASK}&token_type=b"),
        ("grant_type=password&username=a&password=b", f"grant_type=password&username=a&password={MASK}"),
        ("cannot log in with password=hunter2 at all", f"cannot log in with password={MASK} at all"),
        ("postgres://app:hunter2@db.example.com/app", f"postgres://app:{MASK}@db.example.com/app"),
        ('{"user": "a", "password": "hun\\"ter2", "n": 1}', f'{{"user": "a", "password": "{MASK}", "n": 1}}'),
        ("scan otpauth://totp/Example:a@example.com?secret=JBSWY3DP now", f"scan {MASK} now"),
        ("cut off: " + PEM.format("ENCRYPTED ", "")[:50], f"cut off: {MASK}"),
        ('{"client_secret":"cut o', f'{{"client_secret":"{MASK}"'),
    ],
)
def test_a_part_of_a_text_that_is_secret(text, shown):
    """Of a header, a link, a form or a body that was kept as text, the part that matters is replaced."""
    assert REDACTION.value(text) == shown
    assert REDACTION.value(shown) is shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        MASK,
        "Basic authentication",
        "Token: lost\nCookie policy: strict\nauthorization:",
        "Bearer tokens are accepted; the basic subscription is not",
        "password",
        "token=",
        "eyJ",
        "eyes.on.you",
        "see eyJust.a.word",
        "www.example.com",
        "costs $5$ or $6$",
        "$2b$12$",
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "whpk_" + LONG,
        "whsec_short",
        "risk-assessment",
        "evt_019c13f0a2407c3e8d5b6a7f90123456",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "018f4e6a-7b1c-7d3e-9a2b-4c5d6e7f8091",
        "https://example.com:8443/a@b?page=2&token_type=x&error_code=42&code=",
        "error code=42; country code=49",
        "mailto:alex@example.com",
        "{shape}of nothing at all in here",
        '{"token_type": "Bearer", "password_changed_at": "2026"}',
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ],
)
def test_what_only_looks_like_a_secret(text):
    """Ids, digests, public keys, prose and user agents are left as they are."""
    assert REDACTION.value(text) is text


def test_a_key_with_the_shape_of_a_secret():
    """A dictionary by token loses the tokens, and no entry: each has a name of its own."""
    other = JWT.replace("NiJ9", "NiJ8")
    data = {JWT: 1, f"{MASK} 2": 2, other: {"password": "x"}, "headers": [[JWT, "x"]]}
    redacted = REDACTION.event(Event("a", data))
    assert redacted.event.data == {MASK: 1, f"{MASK} 2": 2, f"{MASK} 3": {"password": MASK}, "headers": [[MASK, "x"]]}
    assert redacted.fields == (MASK, f"{MASK} 3", "password")
    assert REDACTION.value({JWT: 1, other: 2, f"{MASK} 2": 3}) == {MASK: 1, f"{MASK} 3": 2, f"{MASK} 2": 3}


@pytest.mark.parametrize(
    "piece",
    [
        *["eyJ", "eyJa.", "eyJaaaaaaaa.", "$6$", "$2b$", "md5", "pbkdf2_", "pbkdf2:sha:", "{SHA}", "{PBKDF2", "whsec_"],
        *["Bearer ", "Bearer a", "basic a.", "otpauth://", "://a:", "://a:b", "?a", "?a=", "&token=", '"a":"', '"a": '],
        *['"a":"\\', '\\"', '"', "-----BEGIN RSA PRIVATE KEY", "-----BEGIN PRIVATE KEY-----", "AKIA", "a", " "],
    ],
)
@pytest.mark.parametrize("before", ["", '"a":"'])
def test_no_text_makes_a_search_start_all_over(piece, before):
    """Half a million characters of the beginning of a secret are done with; a quadratic search would take hours."""
    assert masked((before + piece * 500_000)[:500_000]) is not None


def test_a_quick_look_hides_nothing():
    """Wherever a pattern replaces something, its hint is found, and so is the hint of all hints."""
    parts = ["Bearer " + LONG, "dpop " + LONG, "BASIC " + LONG, "a://b:c@d", "?token=a", '"pin":"1"', "Cookie:a"]
    for secret in [*SHAPES, *parts]:
        hints = [hint for hint, pattern, mend in _SHAPES if pattern.sub(mend, secret) != secret]
        assert hints, secret
        assert all(hint.search(secret) for hint in [_ANY, *hints]), secret


# --- Properties -------------------------------------------------------------------------------------------------------

names = st.sampled_from([*SECRET, *HARMLESS, "a"])
values = json_values(names | st.sampled_from(SHAPES) | st.text())


def shape(value: Any) -> Any:
    """Return what is left of a value without its texts and its numbers."""
    if isinstance(value, dict):
        return [shape(member) for member in value.values()]
    return [shape(item) for item in value] if isinstance(value, (list, tuple)) else None


@given(values)
def test_redacting_is_done_once(value):
    """A second time changes nothing, the shape is kept, and the value that was given is as it was."""
    before = json.dumps(value)
    redacted = REDACTION.value(value)
    assert json.dumps(value) == before
    assert REDACTION.value(redacted) == redacted
    assert shape(redacted) == shape(value)


@given(values, st.sampled_from(SECRET))
def test_nothing_hides_a_secret(value, name):
    """Whatever else there is in an event."""
    for data in ({name: CANARY, "other": value}, {"other": [value, {name: [CANARY]}]}):
        assert CANARY not in json.dumps(REDACTION.value(data))


# --- What a host may choose -------------------------------------------------------------------------------------------


def test_a_host_widens_it():
    """By names in any spelling, which count as the end of longer ones, too; their numbers go as well."""
    wider = Redaction(also=["socialSecurity", "iban"])
    assert wider.value({"iban": True, "social_security": None}) == {"iban": True, "social_security": None}
    data = {"user_social_security": 7, "IBAN": {"value": "x", "id": "y"}, "iban_country": "z", "password": "p"}
    assert wider.value(data) == {
        "user_social_security": MASK,
        "IBAN": {"value": MASK, "id": "y"},
        "iban_country": "z",
        "password": MASK,
    }


def test_a_host_narrows_it():
    """A field of that whole name is left alone with all that it holds; no other one is."""
    narrower = Redaction(never=["idToken", "tokens"])
    data = {"id_token": JWT, "tokens": {"access_token": "x"}, "other_tokens": "y", "note": JWT}
    assert narrower.value(data) == {**data, "other_tokens": MASK, "note": MASK}
    assert narrower.value({"name": "id_token", "value": "x"}) == {"name": "id_token", "value": "x"}


def test_a_host_leaves_shapes_alone():
    """Then names are all that counts, in keys and in values."""
    by_name = Redaction(shapes=False)
    data = {"note": JWT, JWT: [JWT], "headers": [[JWT, "x"]]}
    assert by_name.value(data) is data
    assert by_name.value({"password": "x"}) == {"password": MASK}


@pytest.mark.parametrize("options", [{"also": "password"}, {"never": "password"}])
def test_one_text_is_no_list_of_names(options):
    """It would be read letter by letter."""
    with pytest.raises(TypeError, match="list of field names"):
        Redaction(**options)


@pytest.mark.parametrize("name", ["", "_", "*"])
def test_a_name_without_a_word_is_refused(name):
    """It would stand for every field, or for none."""
    with pytest.raises(ValueError, match="a letter or a digit"):
        Redaction(also=[name])


def test_a_catalogue_redacts_unless_it_is_told_not_to():
    """True, False and a Redaction are what it takes."""
    event = Event("a", {"password": "x", "iban": "y"})
    assert Catalog(["a"]).redacted(event).event.data == {"password": MASK, "iban": "y"}
    assert Catalog(["a"], redact=False).redacted(event) == (event, ())
    assert Catalog(["a"], redact=Redaction(also=["iban"])).redacted(event).fields == ("password", "iban")
    with pytest.raises(TypeError, match="True, False or a Redaction"):
        Catalog(["a"], redact=None)  # type: ignore[arg-type]


def test_samples_hold_no_secret_either():
    """A sample is sent as a test payload, and published; the spec that was given stays as it was."""
    spec, plain = EventSpec("a", "An a.", {"password": "x"}), EventSpec("b", example={"id": 1})
    catalog = Catalog([spec, plain])
    assert catalog["a"] == EventSpec("a", "An a.", {"password": MASK})
    assert catalog["b"] is plain
    assert spec.example == {"password": "x"}
    assert Catalog([spec], redact=False)["a"] is spec


# --- The shipped catalogues -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [*logto.CATALOG.values(), *auth.CATALOG.values()], ids=lambda spec: spec.name)
def test_the_shipped_samples_need_no_redaction(spec):
    """None of them holds a secret, or what looks like one."""
    assert REDACTION.value(spec.example) is spec.example


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_logtos_own_bodies_pass_unchanged(row):
    """Nothing that Logto sends is taken for a secret, so its bytes stay Logto's."""
    body = json.loads(row["body"])
    assert REDACTION.value(body) is body


# --- The house: nothing is stored, sent or logged ---------------------------------------------------------------------

CANARIES = {
    name: f"{CANARY}-{number}"
    for number, name in enumerate(
        """password password_hash reset_token otp totp_secret recovery_codes access_token refresh_token client_secret
        cookie authorization private_key session_token id_token api_key magic_link""".split()
    )
}
LEAKY = {
    "user": {"id": "usr_1", "rows": [CANARIES, {"codes": {"recovery_codes": [CANARY]}}]},
    "note": f"{JWT} {CANARY[:0]}",
}


@pytest.mark.parametrize("profile", ["standard", "logto"])
@pytest.mark.parametrize(
    ("catalog", "name"), [(auth.CATALOG, "user.created"), (logto.CATALOG, "User.Created")], ids=["auth", "logto"]
)
def test_no_canary_leaves_the_house(world: World, caplog, profile, catalog, name) -> None:
    """Neither stored, nor sent, nor logged, in data or in context; the host's own dictionary is untouched."""
    made = world.register(profile=profile)
    caplog.set_level(logging.DEBUG)
    before = json.dumps(LEAKY)
    dispatcher = world.dispatcher(catalog=catalog)
    emission = dispatcher.emit(name, LEAKY, context=dict(CANARIES))
    assert world.worker().drain() == 1
    entry = world.registry().entry(emission.delivery_ids[0])
    assert json.loads(entry.body)["data"]["user"]["id"] == "usr_1"
    assert entry.body.count(b"[redacted]") >= len(CANARIES)
    shown = [entry.body, world.sent[0].body, caplog.text.encode(), repr(world.registry().recent(made.id)).encode()]
    if world.persistent:
        shown += [path.read_bytes() for path in world.folder.iterdir()]
    assert not [text for text in shown if CANARY.encode() in text or JWT.encode() in text]
    assert json.dumps(LEAKY) == before


def test_a_test_payload_holds_no_canary(world: World) -> None:
    """The samples of a host's own catalogue go the same way."""
    made = world.register()
    catalog = Catalog([EventSpec("a.b", "", LEAKY), EventSpec("c", "", {"ip": "::1", "cookie": CANARY}, flat=True)])
    results = world.registry(catalog=catalog).send_test(made.id)
    assert [result.event for result in results] == ["a.b", "c"]
    assert all(CANARY.encode() not in request.body and b"[redacted]" in request.body for request in world.sent)


def test_the_host_learns_of_it_once(world: World, caplog) -> None:
    """One line for each event type and field name, and nothing of the value; a bounded number of lines in all."""
    dispatcher = world.dispatcher(catalog=Catalog(["a", "b", "c"]))
    for _ in range(3):
        dispatcher.emit_many(
            [Event("a", {"password": CANARY, "x": [{"otp": 482913}]}), Event("b", {"password": CANARY})]
        )
    lines = [record.getMessage() for record in caplog.records if record.name == "hookkit.dispatcher"]
    assert lines == [
        f"{what} is sent as [redacted]; leave it out"
        for what in ("a: a secret in password", "a: a secret in otp", "b: a secret in password")
    ]
    for number in range(1_100):
        dispatcher.emit("c", {f"f{number}_password\n": CANARY})
    lines = [record.getMessage() for record in caplog.records if record.name == "hookkit.dispatcher"]
    assert len(lines) == 1_000
    assert not any("\n" in line or CANARY in line for line in lines)


def test_a_host_can_send_what_it_likes(world: World, caplog) -> None:
    """With ``redact=False``, with a set of names for a catalogue, and without a catalogue, nothing is touched."""
    world.register()
    for catalog in (Catalog(["a"], redact=False), {"a"}, None):
        emission = world.dispatcher(catalog=catalog).emit("a", {"password": "as it is"})
        assert json.loads(world.registry().entry(emission.delivery_ids[0]).body)["data"] == {"password": "as it is"}
    assert caplog.records == []
