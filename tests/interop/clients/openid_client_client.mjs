// openid-client: discovers, logs in, refreshes, introspects and revokes.

import * as openid from "openid-client";

import { PATIENCE, authorized, challenged, check, each, refused, same } from "./servers.mjs";

await each("openid-client", async (server) => {
  for (const client of server.clients) {
    await converse(server, client);
  }
  return "discovers, logs in, refreshes, introspects, revokes";
});

async function converse(server, { id, secret, method }) {
  const configured = async (secret) => {
    const proof =
      method === "client_secret_basic"
        ? openid.ClientSecretBasic(secret)
        : method === "client_secret_post"
          ? openid.ClientSecretPost(secret)
          : openid.None();
    // The servers are on this machine.
    const execute = [openid.allowInsecureRequests];
    const options = { algorithm: "oauth2", execute, timeout: PATIENCE / 1000 };
    return openid.discovery(new URL(server.issuer), id, undefined, proof, options);
  };
  const config = await configured(secret);
  const logIn = (user, by = config) => openid.genericGrantRequest(by, "password", user);
  const refresh = (token) => openid.refreshTokenGrant(config, token);
  const get = (token) => openid.fetchProtectedResource(config, token, new URL(server.guarded), "GET");
  const turnedAway = (what, token) =>
    refused(what, openid.WWWAuthenticateChallengeError, "invalid_token", () => get(token), challenged);
  const fails = (what, code, call) => refused(what, openid.ResponseBodyError, code, call);
  const wrong = { ...server.user, password: "wrong" };

  await fails("a wrong password", "invalid_grant", () => logIn(wrong));
  const first = await logIn(server.user);
  check("it knows when that expires", first.expiresIn() > 0);
  await authorized(server, await get(first.access_token));
  const second = await refresh(first.refresh_token);
  for (const name of ["access_token", "refresh_token"]) {
    check(`there is a new ${name}`, first[name] !== second[name]);
  }
  await authorized(server, await get(second.access_token));

  const scheme = (error) => error.cause[0].scheme;
  const unknown = [openid.WWWAuthenticateChallengeError, "basic"];
  if (secret) {
    const impostor = await configured("wrong");
    await refused("a wrong secret", ...unknown, () => logIn(server.user, impostor), scheme);
    for (const [token, kind] of [[second.access_token, "access"], [second.refresh_token, "refresh"]]) {
      const said = await openid.tokenIntrospection(config, token);
      same(`whose ${kind} token that is`, [said.active, said.sub, said.client_id], [true, "alice", id]);
      const garbled = await openid.tokenIntrospection(config, `${token}A`);
      same(`what is said of a garbled ${kind} token`, garbled, { active: false });
    }
  } else {
    const asked = () => openid.tokenIntrospection(config, second.access_token);
    await refused("introspection by a public client", ...unknown, asked, scheme);
  }

  await openid.tokenRevocation(config, second.access_token, { token_type_hint: "access_token" });
  await turnedAway("a revoked access token", second.access_token);
  const third = await refresh(second.refresh_token);
  await openid.tokenRevocation(config, third.refresh_token, { token_type_hint: "refresh_token" });
  await turnedAway("the access token of a revoked session", third.access_token);
  await fails("a revoked refresh token", "invalid_grant", () => refresh(third.refresh_token));

  const stolen = await logIn(server.user);
  const next = await refresh(stolen.refresh_token);
  await fails("a reused refresh token", "invalid_grant", () => refresh(stolen.refresh_token));
  await turnedAway("the access token of a stolen session", next.access_token);
}
