"""The code that the clients in Python share. `cargo xtask interop` has each client talk to every server.

Reads one request in JSON from standard input, and prints one line for each server. A fault ends the process with a
message. The message contains no token: this code only compares tokens.
"""

import json
import sys

# Time limit of one exchange, in seconds.
PATIENCE = 10


class Wrong(Exception):
    """A fault of a server or of a library."""


def each(name, converse):
    """Calls `converse(server)` for each server, and prints its result."""
    for server in json.load(sys.stdin)["servers"]:
        try:
            done = converse(server)
        except Exception as error:
            told = error if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            sys.exit(f"{name}, {server['name']}: {told}")
        print(f"{name}, {server['name']}: {done}", flush=True)


def check(claim, right):
    if not right:
        raise Wrong(f"not so: {claim}")


def same(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: {got!r}, not {wanted!r}")


def refused(what, kind, code, call, *args, **kwargs):
    """Checks that the call fails with the library's own error, which has our code."""
    try:
        call(*args, **kwargs)
    except kind as error:
        same(f"{what}, refused with", code_of(error), code)
    except Exception as error:
        raise Wrong(f"{what}: {type(error).__name__}: {error}, not {kind.__name__}") from error
    else:
        raise Wrong(f"{what}: not refused")


def code_of(error):
    return getattr(error, "error", None) or type(error).__name__


def authorized(server, response):
    """Checks the response of a guarded route to alice."""
    same("a guarded route answers", response.status_code, 200)
    body = response.json()
    if "sessions" in body:
        check("her session is listed", any(one["current"] for one in body["sessions"]))
    else:
        same("whom a guarded route let in", body["subject"], server["user"]["username"])


def turned_away(what, response):
    """Checks the response of a guarded route to an invalid token (RFC 6750, section 3.1)."""
    same(f"{what}, answered with", response.status_code, 401)
    same(f"{what}, refused with", response.json()["error"], "invalid_token")
    challenge = response.headers["WWW-Authenticate"]
    check(f"{what}: the challenge says so", 'error="invalid_token"' in challenge)


def confidential(server):
    return next(client for client in server["clients"] if client["secret"])
