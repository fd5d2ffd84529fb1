"""requests-oauthlib: logs in, refreshes by itself, and revokes."""

import os

# The servers are on this machine.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests_oauthlib
from oauthlib.oauth2 import InvalidClientError, InvalidGrantError, LegacyApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from servers import PATIENCE, authorized, check, each, refused, turned_away


def converse(server):
    for client in server["clients"]:
        One(server, client).converse()
    named_by_basic(server)
    return "logs in, refreshes by itself and revokes, by Basic, by body and as a public client"


class One:
    """One client of one server."""

    def __init__(self, server, client):
        self.server = server
        self.metadata = server["metadata"]
        self.id, self.secret, self.method = client["id"], client["secret"], client["method"]

    def converse(self):
        session = self.session()
        wrong = {**self.server["user"], "password": "wrong"}
        refused("a wrong password", InvalidGrantError, "invalid_grant", self.log_in, session, wrong)
        first = dict(self.log_in(session, self.server["user"]))
        authorized(self.server, self.get(session))
        if self.secret:
            impostor = One(self.server, {"id": self.id, "secret": "wrong", "method": self.method})
            login = (InvalidClientError, "invalid_client", impostor.log_in)
            refused("a wrong secret", *login, self.session(), self.server["user"])

        # The client believes that the token has expired.
        saved = []
        session = self.session({**first, "expires_at": 1}, saved.append)
        authorized(self.server, self.get(session))
        check("it has refreshed, once", len(saved) == 1)
        second = dict(saved[0])
        check("there are new tokens", all(first[name] != second[name] for name in PAIR))

        self.revoke(session, second["access_token"], "access_token")
        turned_away("a revoked access token", self.get(session))
        third = dict(self.refresh(session))
        authorized(self.server, self.get(session))
        self.revoke(session, third["refresh_token"], "refresh_token")
        turned_away("the access token of a revoked session", self.get(session))
        refused("a revoked refresh token", InvalidGrantError, "invalid_grant", self.refresh, session)

        session = self.session()
        stolen = dict(self.log_in(session, self.server["user"]))["refresh_token"]
        self.refresh(session)
        reuse = (InvalidGrantError, "invalid_grant", self.refresh, session, stolen)
        refused("a reused refresh token", *reuse)
        turned_away("the access token of a stolen session", self.get(session))

    def session(self, token=None, saved=None):
        return OAuth2Session(
            client=LegacyApplicationClient(client_id=self.id),
            token=token,
            auto_refresh_url=self.metadata["token_endpoint"],
            auto_refresh_kwargs=self.body(),
            token_updater=saved,
        )

    def log_in(self, session, user):
        named = {"auth": self.basic()} if self.basic() else {"include_client_id": True}
        if self.method == "client_secret_post":
            named["client_secret"] = self.secret
        url = self.metadata["token_endpoint"]
        return session.fetch_token(url, timeout=PATIENCE, **user, **named)

    def refresh(self, session, token=None):
        url = self.metadata["token_endpoint"]
        return session.refresh_token(url, token, auth=self.basic(), timeout=PATIENCE)

    def revoke(self, session, token, hint):
        url = self.metadata["revocation_endpoint"]
        client = LegacyApplicationClient(client_id=self.id)
        request = client.prepare_token_revocation_request(url, token, hint, **self.body())
        url, headers, body = request
        more = {"auth": self.basic(), "withhold_token": True, "timeout": PATIENCE}
        response = session.post(url, data=body, headers=headers, **more)
        check("it is revoked", response.status_code == 200)

    def get(self, session):
        # The client's credentials, for an automatic refresh.
        named = {"client_id": self.id, "client_secret": self.secret} if self.basic() else {}
        return session.get(self.server["guarded"], timeout=PATIENCE, **named)

    def basic(self):
        by_basic = self.method == "client_secret_basic"
        return HTTPBasicAuth(self.id, self.secret) if by_basic else None

    def body(self):
        """The client's credentials in the form."""
        if self.method == "client_secret_basic":
            return {}
        secret = {"client_secret": self.secret} if self.secret else {}
        return {"client_id": self.id, **secret}


def named_by_basic(server):
    """By default, requests-oauthlib names a public client by Basic with an empty secret."""
    client = next(client for client in server["clients"] if not client["secret"])
    session = OAuth2Session(client=LegacyApplicationClient(client_id=client["id"]))
    url = server["metadata"]["token_endpoint"]
    session.fetch_token(url, timeout=PATIENCE, **server["user"])
    authorized(server, session.get(server["guarded"], timeout=PATIENCE))


PAIR = ("access_token", "refresh_token")

each(f"requests-oauthlib {requests_oauthlib.__version__}", converse)
