"""What must not leave the house: secrets in an event's data, found by the names of fields and by their own shape.

Passwords, reset tokens, one-time codes and session cookies get into events by accident: a row dumped as a whole, a
request's headers kept "for context". A receiver's log is no place for them, and neither is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, count
from typing import Any, Final, NamedTuple, final

import attrs

from hookkit.event import Event
from hookkit.events._names import COOKIES, describes, is_code, is_secret, words
from hookkit.events._shapes import MASK, masked

__all__ = ["Redacted", "Redaction"]

_NAME: Final = re.compile("[A-Za-z_-]{1,40}")
_MIN_NUMBER: Final = 1_000  # a one-time code; what is smaller counts something: `{"recovery_codes": 8}`
_LIKE_A_CODE: Final = re.compile(r"[0-9]{6,8}|[A-Z2-7]{16,}=*")
_NAMING: Final = ("name", "key", "field", "header", "attribute", "path", "type")
_NAMED: Final = frozenset("value values old new old_value new_value oldValue newValue before after".split())
_JWK_PRIVATE: Final = frozenset("d p q dp dq qi oth k".split())  # RFC 7518 §6.2.2, §6.3.2, §6.4.1

_Words = tuple[str, ...]


class Redacted(NamedTuple):
    """An event without its secrets, and the names of the fields that held them (never what they held)."""

    event: Event
    fields: tuple[str, ...]


class _Where(NamedTuple):
    """What is known of a value by where it stands: its field's name, and whether what is around it is secret."""

    field: str
    name: _Words
    secret: bool = False
    whole: bool = False  # within cookies: every text is one, whatever its name


class _Key(NamedTuple):
    """What is to be known of an object's key: its words, whether they name a secret, and what may be shown of it."""

    name: _Words
    secret: bool
    shown: str


def _read(key: str) -> _Key:
    name = words(key)
    return _Key(name, is_secret(name), masked(key))


# The keys of rows and requests are always the same few. What may be no name but data is not remembered.
_read_name = lru_cache(maxsize=2_048)(_read)


def _key(key: str) -> _Key:
    return _read_name(key) if _NAME.fullmatch(key) else _read(key)


def _names(value: Iterable[str]) -> tuple[_Words, ...]:
    if isinstance(value, str):
        raise TypeError("give a list of field names, not one text")
    names = tuple(map(words, value))
    if not all(names):
        raise ValueError("a field's name has a letter or a digit in it")
    return names


@final
@attrs.frozen
class Redaction:
    """Which texts of an event's data and context are replaced by ``[redacted]`` before anything is stored.

    By default those in fields whose names say that they hold a secret (``password``, ``resetToken``, ``X-API-Key`` …),
    at any depth, and whatever has the shape of one: JWTs, hashes of passwords, private keys, keys with their maker's
    prefix, ``Bearer …``, parameters of a URL. What stays: ids, times, types (``token_id``, ``password_changed_at``,
    ``token_type``), booleans, null, and numbers, except one-time codes of four digits and more. A list keeps its
    length, and an object its keys.

    Args:
        also: More field names whose texts and numbers are replaced, in any spelling: ``social security`` stands for
            ``socialSecurity``, and for ``user_social_security`` as well.
        never: Field names that are left alone with all that they hold, whatever it looks like. The whole name counts.
        shapes: Whether to look for the shapes of secrets as well.

    Raises:
        TypeError: `also` or `never` is one text.
        ValueError: A name in them has neither letter nor digit.
    """

    also: tuple[_Words, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    never: tuple[_Words, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    shapes: bool = attrs.field(default=True, kw_only=True)

    def event(self, event: Event) -> Redacted:
        """Return the event with no secret in its data and context; the very same one if it had none.

        The work is linear in the event.
        """
        found: dict[str, None] = {}
        data = self._value(event.data, _Where("data", ()), found)
        context = self._value(event.context, _Where("context", ()), found)
        if not found:
            return Redacted(event, ())
        return Redacted(attrs.evolve(event, data=data, context=context), tuple(found))

    def value(self, value: Any) -> Any:
        """Return a JSON value with no secret in it; the very same one if it had none."""
        return self._value(value, _Where("", ()), {})

    def _value(self, value: Any, where: _Where, found: dict[str, None]) -> Any:
        if isinstance(value, str):
            return self._text(value, where, found)
        if isinstance(value, dict):
            return self._object(value, where, found)
        if isinstance(value, (list, tuple)):
            return self._array(value, where, found)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self._is_code(value, where):
            found[where.field] = None
            return MASK
        return value

    def _is_code(self, number: float, where: _Where) -> bool:
        if self._is_also(where.name):
            return True
        return where.secret and abs(number) >= _MIN_NUMBER and is_code(where.name)

    def _text(self, text: str, where: _Where, found: dict[str, None]) -> str:
        if not text:
            return text
        if where.secret or (_may_be_code(where.name) and _LIKE_A_CODE.fullmatch(text)):
            kept = MASK
        else:
            kept = masked(text) if self.shapes else text
        if kept == text:
            return text
        found[where.field] = None
        return kept

    def _array(self, items: list[Any] | tuple[Any, ...], where: _Where, found: dict[str, None]) -> Any:
        paired = where.name[-1:] in (("headers",), ("header",))
        kept = [
            self._pair(item, where, found) if paired and _is_pair(item) else self._value(item, where, found)
            for item in items
        ]
        return items if all(new is old for new, old in zip(kept, items, strict=True)) else kept

    def _pair(self, pair: Any, where: _Where, found: dict[str, None]) -> Any:
        """Return a header as ASGI and HTTP libraries have it, a pair of name and value."""
        name, value = pair
        key = _key(name)
        shown = key.shown if self.shapes else name
        kept = self._member(value, key, self._below(where, key, shown), found)
        if shown != name:
            found[shown] = None
        return pair if kept is value and shown == name else [shown, kept]

    def _object(self, members: dict[str, Any], where: _Where, found: dict[str, None]) -> dict[str, Any]:
        if where.name[-1:] in (("authorization",), ("authorizations",)):
            where = where._replace(secret=False)  # what was granted; the header of this name is a text
        kept: dict[str, Any] = {}
        changed = False
        named, numbers = self._named(members), count(2)
        for text, member in members.items():
            key = _key(text)
            shown = text
            if self.shapes and key.shown != text:
                found[shown := _unique(key.shown, members, kept, numbers)] = None
            below = self._below(where, key, shown)
            if (named and text in _NAMED) or (text in _JWK_PRIVATE and "kty" in members):
                below = _Where(shown, named or below.name, secret=True)
            kept[shown] = new = self._member(member, key, below, found)
            changed = changed or new is not member or shown != text
        return kept if changed else members

    def _member(self, member: Any, key: _Key, where: _Where, found: dict[str, None]) -> Any:
        return member if key.name in self.never else self._value(member, where, found)

    def _below(self, where: _Where, key: _Key, shown: str) -> _Where:
        """Return what is known of the member `key` of what stands there."""
        name = key.name
        own = key.secret or self._is_also(name)
        if where.whole or (where.secret and not own and not describes(name)):
            # It is told by what it lies in. And a number is a code if the whole is one: `{"otp": {"sms": 482913}}`.
            return where
        return _Where(shown, name, secret=own, whole=own and name[-1] in COOKIES)

    def _is_also(self, name: _Words) -> bool:
        return any(name[-len(one) :] == one for one in self.also)

    def _named(self, members: dict[str, Any]) -> _Words:
        """Return the secret field that an object names whose value it holds: a header, a change, a JSON Patch."""
        texts = [text for naming in _NAMING if isinstance(text := members.get(naming), str)]
        secret = (name for name in map(words, texts) if is_secret(name) or self._is_also(name))
        return next((name for name in secret if name not in self.never), ())


def _unique(shown: str, members: dict[str, Any], kept: dict[str, Any], numbers: Iterator[int]) -> str:
    """Return a key that is no other member's."""
    numbered = (f"{shown} {number}" for number in numbers)
    return next(one for one in chain([shown], numbered) if one not in members and one not in kept)


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)


def _may_be_code(name: _Words) -> bool:
    """Return whether a text of that name is a secret if it looks like one: ``code`` may be an error's as well."""
    return name == ("code",) or name[-1:] == ("totp",)
