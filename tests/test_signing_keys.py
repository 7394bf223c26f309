"""Keys: the two algorithms over bytes, what the text of a Standard Webhooks key means, and new ones."""

from __future__ import annotations

import base64
import hmac
import logging
import pickle
import secrets
import string

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from hookkit import InvalidKey, keys
from hookkit.keys import (
    Ed25519Public,
    Ed25519Secret,
    HmacKey,
    new_ed25519_pair,
    new_logto_key,
    new_standard_key,
    same,
    standard_key,
)

SECRET_64 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SECRET_32 = "whsk_" + base64.b64encode(base64.b64decode(SECRET_64[5:])[:32]).decode()

# Every encoding of a point of order 1, 2, 4 or 8, those with y not below 2^255 - 19 included.
SMALL_ORDER = """
    0100000000000000000000000000000000000000000000000000000000000000
    ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
    0000000000000000000000000000000000000000000000000000000000000000
    0000000000000000000000000000000000000000000000000000000000000080
    26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05
    26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85
    c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a
    c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
    0100000000000000000000000000000000000000000000000000000000000080
    ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
    edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
    eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
""".split()


@pytest.fixture(autouse=True)
def _nothing_reported_yet(monkeypatch):
    monkeypatch.setattr(keys, "_reported", set())


# --- HMAC -------------------------------------------------------------------------------------------------------------


@given(
    st.binary(min_size=1, max_size=200),
    st.lists(st.binary(max_size=300), max_size=4),
    st.sampled_from(["sha256", "sha1"]),
    st.sampled_from(["base64", "hex"]),
)
def test_an_hmac_is_what_the_standard_library_computes(secret, parts, digest, encoding):
    """Keys of any length, shorter and longer than a block, give RFC 2104's MAC of the joined parts."""
    mac = hmac.new(secret, b"".join(parts), digest).digest()
    expected = base64.b64encode(mac) if encoding == "base64" else mac.hex().encode()
    key = HmacKey(secret, digest=digest, encoding=encoding)
    assert key.sign(parts) == expected
    assert key.sign(parts) == expected, "signing leaves the key as it was"
    marked = HmacKey(secret, digest=digest, encoding=encoding, prefix="sha256=")
    assert marked.sign(parts) == b"sha256=" + expected
    assert marked.prefix == b"sha256="


@given(st.binary(min_size=1), st.binary(), st.binary())
def test_an_hmac_key_accepts_its_own_mac_among_others_and_no_other(secret, message, other):
    """One right text among many is enough; the MAC of another message is not."""
    key = HmacKey(secret)
    mac = key.sign([message])
    assert key.accepts([message], [b"", b"no", mac])
    assert key.accepts([message], [key.sign([other])]) == (message == other)
    assert not key.accepts([message], [])
    marked = HmacKey(secret, prefix="v1,")
    assert marked.accepts([message], [mac, marked.sign([message])])
    assert not marked.accepts([message], [mac, b"v0," + mac, b"v1," + mac + b"x", b"v1," + mac[:-1]])


@pytest.mark.parametrize("signature", [b"", b"v1,", b"v1a," + b"A" * 43, b"v2," + b"A" * 44, b"v1," + b"A" * 43])
def test_nothing_is_computed_over_what_cannot_be_a_signature(signature):
    """Another prefix, or another length, is told apart without a pass over the message."""

    def parts():
        pytest.fail("the message was read")
        yield b""

    for key in (HmacKey(b"secret", prefix="v1,"), HmacKey(b"secret", prefix="v1,", encoding="hex", digest="sha1")):
        assert not key.accepts(parts(), [signature])
    assert Ed25519Public(base64.b64decode(PUBLIC[5:])).accepts(parts(), [signature.replace(b"v1a", b"v1")]) is False


@pytest.mark.parametrize(("left", "right", "equal"), [(b"", b"", True), (b"a", b"a", True), (b"a", b"b", False)])
def test_comparison_in_constant_time_is_still_comparison(left, right, equal):
    """The one comparison that every secret and signature goes through says what ``==`` would say."""
    assert same(left, right) is equal


# --- Ed25519 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [SECRET_64, SECRET_32])
def test_both_forms_of_a_secret_key_sign_alike_and_have_the_same_public_half(text):
    """Svix writes seed and public key, others the seed alone: Ed25519 signatures are deterministic, so they agree."""
    secret = standard_key(text)
    assert isinstance(secret, Ed25519Secret)
    assert secret.public == PUBLIC
    assert secret.prefix == standard_key(PUBLIC).prefix == b"v1a,"
    message = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    assert secret.sign([message[:10], message[10:]]) == (
        b"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    )


@given(st.binary(min_size=32, max_size=32), st.binary(), st.integers(0, 511))
def test_a_public_key_accepts_what_its_secret_signed_and_no_other_bit(seed, message, bit):
    """One flipped bit of the signature, and it is nobody's."""
    secret = Ed25519Secret(seed)
    public = standard_key(secret.public)
    text = secret.sign([message])
    assert public.accepts([message], [b"v1a,AAAA", text])
    assert not public.accepts([message], [text.removeprefix(b"v1a,")])
    raw = bytearray(base64.b64decode(text.removeprefix(b"v1a,")))
    raw[bit // 8] ^= 1 << bit % 8
    assert not public.accepts([message], [b"v1a," + base64.b64encode(raw)])
    assert not public.accepts([message, b"x"], [text])


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text.rstrip(b"="),
        lambda text: text + b"=",
        lambda text: text[:-3] + bytes([text[-3] + 1]) + b"==",  # stray bits in the last character
        lambda text: text[:40] + b"\n" + text[40:],
        lambda text: b" " + text,
        lambda text: b"",
        lambda text: text[:-4],
        lambda text: b"\xff" + text[1:],
        lambda text: text[:4] + b"\xff" + text[5:],
        lambda text: text[:4] + b" " + text[4:],
        lambda text: b"v1a," + text,
    ],
)
def test_one_ed25519_signature_has_one_spelling(respell):
    """Base64 that a lax decoder would read as the same bytes is refused, and so is what is no signature at all."""
    secret = Ed25519Secret(bytes(32))
    public = standard_key(secret.public)
    text = secret.sign([b"message"])
    assert public.accepts([b"message"], [text])
    assert not public.accepts([b"message"], [respell(text)])


@pytest.mark.parametrize("encoding", SMALL_ORDER)
def test_a_public_key_of_small_order_is_refused(encoding):
    """For such a key anybody can write signatures, whoever gave it to the receiver."""
    with pytest.raises(InvalidKey, match="small order"):
        Ed25519Public(bytes.fromhex(encoding))


def test_a_key_of_small_order_would_verify_a_forgery():
    """What the refusal is for: the library beneath takes a signature of nothing for any message."""
    forged = (1).to_bytes(32, "little") + bytes(32)
    Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little")).verify(forged, b"any message")


@pytest.mark.parametrize("key", [HmacKey(b"secret"), Ed25519Secret(bytes(32))])
def test_a_parsed_secret_shows_nothing_and_is_not_pickled(key):
    """What a scheme keeps of a secret is no way around the key's own silence."""
    assert repr(key).startswith("<hookkit.keys.")
    with pytest.raises(TypeError):
        pickle.dumps(key)


# --- Texts ------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=24, max_size=75), st.booleans(), st.booleans(), st.sampled_from(["", " ", "\n", "\t \r\n"]))
def test_every_way_to_write_an_hmac_key_is_the_same_key(secret, padded, prefixed, space):
    """With or without prefix, padding, outer white space and Supabase's ``v1,``."""
    text = base64.b64encode(secret).decode()
    text = text if padded else text.rstrip("=")
    text = "whsec_" + text if prefixed else text
    for written in (text, f"v1,{text}"):
        key = standard_key(space + written + space)
        assert isinstance(key, HmacKey)
        assert key.sign([b"message"]) == b"v1," + HmacKey(secret).sign([b"message"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("whsec_", "empty"),
        ("v1,", "empty"),
        ("v1,whsec_", "empty"),
        ("whsec_====", "no base64"),
        ("whsec_==", "empty"),
        ("w", "wrong length"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS==", "wrong length"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", "wrong length"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La=LaS", "no base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZI-2LaLaSw", "URL-safe"),
        ("whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "another kind"),
        ("whxx_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "another kind"),
        ("v1,whsec_MfKQ9r8GKYqr|v1,whsec_TwjUPD8ILPZI", "list"),
        ("whsec_MfKQ9r8GKYqr TwjUPD8ILPZI", "list"),
        ("whsec_MfKQ9r8GKYqr\nTwjUPD8ILPZI", "no base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSẃ", "no base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\udc80", "no base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\0", "no base64"),
        ("whsk_", "empty"),
        ("whpk_AAAA", "32 bytes"),
        (SECRET_64.replace("whsk_", "whpk_"), "32 bytes"),
        ("whsk_AAAA", "32 or 64 bytes"),
        ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==", "damaged"),
    ],
)
def test_a_key_that_cannot_be_read_is_refused_without_being_quoted(text, says):
    """The message helps whoever set the key, and shows no part of it."""
    with pytest.raises(InvalidKey, match=says) as caught:
        standard_key(text)
    assert caught.value.__context__ is None
    message = str(caught.value)
    bare = text.rpartition("_")[2].strip("=|\n")
    assert not any(bare[at : at + 8] in message for at in range(0, len(bare) - 7, 8))


@given(st.text())
def test_whatever_text_is_given_it_is_a_key_or_an_invalid_key(text):
    """No foreign exception, which might quote the text, leaves the parser."""
    for prefix in ("", "whsec_", "whsk_", "whpk_", "v1,"):
        context = None
        try:
            standard_key(prefix + text)
        except InvalidKey as error:
            context = error.__context__
        assert context is None


def test_a_short_key_works_and_is_logged_once(caplog):
    """Keys of 16 and 18 bytes are in use; the log says so once for each key, and never shows it."""
    short, shorter = "whsec_plJ3nmyCDGBKInavdOK15jsl", "whsec_bXlzZWNyZXRrZXkxMjM0NQ=="
    with caplog.at_level(logging.WARNING, "hookkit"):
        for text in (short, short, shorter, short):
            standard_key(text)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "a signing key of 18 bytes is in use",
        "a signing key of 16 bytes is in use",
    ]
    assert "plJ3" not in caplog.text


def test_a_key_of_24_bytes_is_not_short(caplog):
    """24 bytes is the least that Standard Webhooks asks for."""
    standard_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert caplog.records == []


def test_the_memory_of_short_keys_is_bounded():
    """A process that sees ever new keys does not grow for it."""
    sizes = []
    for number in range(3000):
        standard_key(base64.b64encode(number.to_bytes(4, "big")).decode())
        sizes.append(len(keys._reported))
    assert sizes == [number % 1024 + 1 for number in range(3000)]


# --- New keys ---------------------------------------------------------------------------------------------------------


def test_a_new_standard_key_is_32_random_bytes():
    """The randomness is the argument's, all of it and nothing else."""
    assert new_standard_key(bytes) == "whsec_" + base64.b64encode(bytes(32)).decode()
    assert isinstance(standard_key(new_standard_key(secrets.token_bytes)), HmacKey)
    assert new_standard_key(secrets.token_bytes) != new_standard_key(secrets.token_bytes)


def test_a_new_logto_key_is_32_letters_and_digits_evenly_drawn():
    """Each of the 62 characters, at each place, with the same chance."""
    made = [new_logto_key(secrets.token_bytes) for _ in range(2000)]
    assert {len(key) for key in made} == {32}
    assert len(set(made)) == len(made)
    counts = {letter: sum(key.count(letter) for key in made) for letter in string.ascii_letters + string.digits}
    assert sum(counts.values()) == 64_000, "no other character"
    # 64,000 draws of 62: 1032 ± 32 each; seven deviations off is one false alarm in ten billion.
    assert all(800 < count < 1260 for count in counts.values())


@given(st.binary(min_size=64, max_size=64))
def test_a_logto_key_is_a_function_of_its_randomness(drawn):
    """The same bytes, the same key: whatever they are, no character is out of place."""
    key = new_logto_key(lambda count: drawn[:count])
    assert key == new_logto_key(lambda count: drawn[:count])
    assert len(key) == 32
    assert set(key) <= set(string.ascii_letters + string.digits)


def test_a_logto_key_is_the_number_that_was_drawn_in_base_62():
    """Its last 32 digits, the lowest first: no bit of them is used twice."""
    drawn = bytes(range(1, 65))
    number, letters = int.from_bytes(drawn, "big"), string.digits + string.ascii_uppercase + string.ascii_lowercase
    expected = ""
    for _ in range(32):
        number, digit = divmod(number, 62)
        expected += letters[digit]
    assert new_logto_key(lambda count: drawn[:count]) == expected


@given(st.binary(min_size=32, max_size=32))
def test_a_new_ed25519_pair_belongs_together(seed):
    """The public key accepts what the secret key signs, and the secret key holds both halves as Svix writes it."""
    secret_text, public_text = new_ed25519_pair(lambda count: seed[:count])
    secret, public = standard_key(secret_text), standard_key(public_text)
    assert secret.public == public_text
    assert len(base64.b64decode(secret_text.removeprefix("whsk_"))) == 64
    assert public.accepts([b"message"], [secret.sign([b"message"])])


@pytest.mark.parametrize("make", [new_standard_key, new_logto_key, new_ed25519_pair])
def test_too_little_randomness_makes_no_key(make):
    """A source that runs dry must not end in a short key."""
    with pytest.raises(ValueError, match="randomness"):
        make(lambda count: bytes(count - 1))
