"""The vault: what is sealed opens with its key, in its place, unchanged; or not at all."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import StoreError
from hookkit.vault import Vault

K1, K2, K3 = (bytes([number]) * 32 for number in (1, 2, 3))
PLACE = b"webhook keys whk_1"
SECRET = b"whsec_planted"


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_what_is_sealed_opens(plain, place):
    """In the place it was sealed for, whatever it is."""
    vault = Vault({"k1": K1})
    key_id, sealed = vault.seal(plain, bound_to=place)
    assert key_id == "k1"
    assert vault.unseal(sealed, key_id=key_id, bound_to=place) == plain


def test_a_seal_shows_nothing_and_is_never_the_same():
    """A fresh nonce each time: equal secrets do not look equal."""
    vault = Vault({"k1": K1})
    seals = {vault.seal(SECRET, bound_to=PLACE)[1] for _ in range(50)}
    assert len(seals) == 50
    assert len({sealed[:12] for sealed in seals}) == 50
    assert not any(SECRET in sealed for sealed in seals)
    assert {len(sealed) for sealed in seals} == {12 + len(SECRET) + 16}, "nonce, text and tag"


def test_the_first_key_seals_and_all_open():
    """So a new one is put in front, while the old ones still open what they sealed."""
    old_id, old = Vault({"k1": K1}).seal(SECRET, bound_to=PLACE)
    vault = Vault({"k2": K2, "k1": K1})
    new_id, new = vault.seal(SECRET, bound_to=PLACE)
    assert (old_id, new_id) == ("k1", "k2")
    assert vault.unseal(old, key_id=old_id, bound_to=PLACE) == SECRET
    assert vault.unseal(new, key_id=new_id, bound_to=PLACE) == SECRET


def test_a_key_that_is_not_there():
    """The error names it, so that it can be found."""
    _, sealed = Vault({"k1": K1}).seal(SECRET, bound_to=PLACE)
    with pytest.raises(StoreError, match=r"'k1', which this vault does not have"):
        Vault({"k2": K2}).unseal(sealed, key_id="k1", bound_to=PLACE)


SEALED = Vault({"k1": K1, "k2": K2}).seal(SECRET, bound_to=PLACE)[1]


@pytest.mark.parametrize(
    ("sealed", "key_id", "place"),
    [
        (SEALED, "k2", PLACE),  # another key
        (SEALED, "k1", b"webhook keys whk_2"),  # moved to another row
        (SEALED, "k1", b"webhook headers whk_1"),  # from keys to headers
        (SEALED, "k1", b""),
        (SEALED[:-1], "k1", PLACE),
        (SEALED + b"\0", "k1", PLACE),
        (SEALED[:12], "k1", PLACE),
        (SEALED[:5], "k1", PLACE),
        (b"", "k1", PLACE),
        (SECRET, "k1", PLACE),
    ],
    ids=range(10),
)
def test_what_was_changed_or_moved_does_not_open(sealed, key_id, place):
    """One error of ours for all of it, that quotes nothing and is raised from nothing."""
    with pytest.raises(StoreError, match="it was changed or moved") as caught:
        Vault({"k1": K1, "k2": K2}).unseal(sealed, key_id=key_id, bound_to=place)
    assert caught.value.__suppress_context__
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("position", range(len(SEALED)))
@pytest.mark.parametrize("bit", [1, 128])
def test_every_changed_bit_is_noticed(position, bit):
    """In the nonce, in the text, in the tag."""
    changed = bytearray(SEALED)
    changed[position] ^= bit
    with pytest.raises(StoreError):
        Vault({"k1": K1}).unseal(bytes(changed), key_id="k1", bound_to=PLACE)


@pytest.mark.parametrize(
    "keys",
    [
        *({}, {"": K1}, {"k1": b""}, {"k1": K1[:31]}, {"k1": K1 + b"\0"}, {"k1": K1, "k2": b"short"}),
        *({K1: "k1"}, {K1.hex(): b"k1"}, {"k1": K1.hex()}, {"k1": "planted!" * 4}, {"k1": None}, {1: K1}),
    ],
    ids=range(12),
)
def test_what_is_no_vault_is_refused(keys):
    """No key, one without a name, one that is not 32 bytes: said at once, not at the first webhook.

    Nothing is quoted, not even an id: id and key may have been swapped.
    """
    with pytest.raises(ValueError, match="vault") as caught:
        Vault(keys)
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert not any(part in shown for part in ("\\x01", "0101", "planted"))
    assert caught.value.__context__ is None


def test_a_vault_shows_its_key_ids_only():
    """Neither ``repr`` nor ``str`` shows a key; there is no ``__dict__`` to look into."""
    vault = Vault({"k1": b"planted-vault-key-of-32-bytes!!!", "k2": K2})
    assert repr(vault) == str(vault) == "Vault(keys=['k1', 'k2'])"
    assert not hasattr(vault, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_vault_is_not_pickled(protocol):
    """Nor copied in that way."""
    vault = Vault({"k1": K1})
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(vault, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(vault)


def test_later_changes_of_the_mapping_do_not_matter():
    """What a vault was made of is its own."""
    keys = {"k1": K1}
    vault = Vault(keys)
    _, sealed = vault.seal(SECRET, bound_to=PLACE)
    keys["k1"] = K3
    keys["k0"] = K2
    assert vault.unseal(sealed, key_id="k1", bound_to=PLACE) == SECRET
    assert vault.seal(SECRET, bound_to=PLACE)[0] == "k1"


# --- Keys as text -----------------------------------------------------------------------------------------------------


def text_of(**keys):
    return ",".join(f"{key_id}={base64.b64encode(key).decode()}" for key_id, key in keys.items())


@pytest.mark.parametrize(
    "text",
    [
        text_of(k2=K2, k1=K1),
        text_of(k2=K2) + "\n" + text_of(k1=K1) + "\n",
        text_of(k2=K2) + "\r\n\r\n" + text_of(k1=K1),
        "# made in spring\n" + text_of(k2=K2) + ",\n  # older\n " + text_of(k1=K1).replace("=", " = ", 1) + " ,",
    ],
)
def test_a_vault_of_a_text(text):
    """By commas or a line each, in order; blanks and comments are skipped."""
    vault = Vault.from_text(text)
    assert vault.key_ids == ("k2", "k1")
    for key_id, key in {"k1": K1, "k2": K2}.items():
        sealed = Vault({key_id: key}).seal(SECRET, bound_to=PLACE)[1]
        assert vault.unseal(sealed, key_id=key_id, bound_to=PLACE) == SECRET


BASE64 = base64.b64encode(b"planted-vault-key-of-32-bytes!!!").decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one key"),
        (" \n# k1=only a comment\n,", "at least one key"),
        (BASE64, "entry 1 is not"),
        (f"{BASE64}=k1", "entry 1 is not"),
        (f"={BASE64}", "entry 1 is not"),
        (f"k1={BASE64},k2:{BASE64[:-1]}", "entry 2 is not"),
        (f"k1={BASE64[:-1]}", "entry 1 is not"),
        (f"k1={BASE64}=", "entry 1 is not"),
        (f"k1={BASE64[:20]} {BASE64[20:]}", "entry 1 is not"),
        (f"k1={BASE64[:20]}\n{BASE64[20:]}", "entry 1 is not"),
        (f"k1={BASE64[4:]}", "entry 1 is not"),
        (f"k1=AAAA{BASE64}", "entry 1 is not"),
        (f"k1={BASE64[:20]}-{BASE64[21:]}", "entry 1 is not"),
        (f"k 1={BASE64}", "entry 1 is not"),
        (f"{'k' * 65}={BASE64}", "entry 1 is not"),
        (f"k1={BASE64},k2={BASE64},k1={BASE64}", "entry 3 repeats"),
        ('{"k1": "' + BASE64 + '"}', "entry 1 is not"),
    ],
)
def test_a_text_of_no_vault_is_not_quoted(text, says):
    """Which entry, and what is wanted; neither the key nor what stands where its id should, for that may be the key."""
    with pytest.raises(ValueError, match=says) as caught:
        Vault.from_text(text)
    shown = "".join(traceback.format_exception(caught.value, limit=0)) + repr(caught.value.args)
    assert not any(part in shown for part in (BASE64[:12], BASE64[-12:], "planted"))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.text(max_size=80))
def test_any_text_is_a_vault_or_a_value_error(text):
    """Nothing else comes of it."""
    with suppress(ValueError):
        assert Vault.from_text(text).key_ids
