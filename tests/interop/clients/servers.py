"""What the clients in Python share: `cargo xtask interop` has each of them converse with every server.

One request in JSON on standard input, one line for each server on standard output. Whatever is not as it must be ends
it, with a message in which there is no token: tokens are compared here and shown nowhere.
"""

import json
import sys

# Seconds for one exchange.
PATIENCE = 10


class Wrong(Exception):
    """Something is not as it must be."""


def each(name, converse):
    """Has `converse(server)` with each server, and says what was done."""
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
    """The call must fail with the library's own error, which has our code."""
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
    """The response of a guarded route to alice."""
    same("a guarded route answers", response.status_code, 200)
    body = response.json()
    if "sessions" in body:
        check("her session is listed", any(one["current"] for one in body["sessions"]))
    else:
        same("whom a guarded route let in", body["subject"], server["user"]["username"])


def turned_away(what, response):
    """The response of a guarded route to a token that is no good (RFC 6750, section 3.1)."""
    same(f"{what}, answered with", response.status_code, 401)
    same(f"{what}, refused with", response.json()["error"], "invalid_token")
    challenge = response.headers["WWW-Authenticate"]
    check(f"{what}: the challenge says so", 'error="invalid_token"' in challenge)


def confidential(server):
    return next(client for client in server["clients"] if client["secret"])
