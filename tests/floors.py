"""The house: on which floor each room of hookkit lives. Plain data, which the noxfile reads as well.

Imports run to a lower floor, or along the same floor without a circle. A room is a module, or a package with everything
in it; a file that is not here fails ``test_layers.py`` until it is placed.
"""

from __future__ import annotations

ROOMS = {
    1: ["errors", "masked", "plaintext"],
    2: [
        *["clock", "event", "headers", "ids", "jsontext", "keys"],
        *["kinds", "model", "signing", "states", "targets", "work"],
    ],
    3: ["catalogs", "checks", "events", "fairness", "health", "payloads", "protocols", "redaction", "retry", "schemes"],
    4: ["delivery", "profiles", "registration", "stores", "transports", "vault", "verify"],
    5: ["_async", "_sync", "wakeups", "working"],
    6: [
        *["__main__", "_demo", "_doctor", "_listen", "_places", "_rekey", "_work"],
        *["challenges", "console", "contrib", "explain", "inbox"],
    ],
    7: ["_pytest", "testing"],
}
"""Floor: its rooms. The root package stands below all of them: it may import none, and loads names only when asked."""

FLOORS = {room: floor for floor, rooms in ROOMS.items() for room in rooms}

IMPURE = ["clock", "ids", "stores", "transports", "vault"]
"""The rooms on floors 1 to 4 that do I/O, or read the clock or randomness. All others there are pure."""

PURE = [room for room, floor in FLOORS.items() if floor <= 4 and room not in IMPURE]
