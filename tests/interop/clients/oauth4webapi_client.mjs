// oauth4webapi: discovers, logs in, refreshes, introspects and revokes. Guards with the key set.

import * as oauth from "oauth4webapi";

import { PATIENCE, altered, authorized, challenged, check, each, refused, same } from "./servers.mjs";

const insecure = () => ({
  // The servers are on this machine.
  [oauth.allowInsecureRequests]: true,
  signal: AbortSignal.timeout(PATIENCE),
});

await each("oauth4webapi", async (server) => {
  const issuer = new URL(server.issuer);
  const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure() });
  const as = await oauth.processDiscoveryResponse(issuer, discovered);
  for (const client of server.clients) {
    await converse(server, as, client);
  }
  const guards = server.jwk ? "" : ", guards by the key set";
  return `discovers, logs in, refreshes, introspects, revokes${guards}`;
});

async function converse(server, as, { id, secret, method }) {
  const client = { client_id: id };
  const proof = (secret) =>
    method === "client_secret_basic"
      ? oauth.ClientSecretBasic(secret)
      : method === "client_secret_post"
        ? oauth.ClientSecretPost(secret)
        : oauth.None();
  const own = proof(secret);

  const logIn = async (user, by = own) => {
    const request = oauth.genericTokenEndpointRequest(as, client, by, "password", user, insecure());
    return oauth.processGenericTokenEndpointResponse(as, client, await request);
  };
  const refresh = async (token) => {
    const request = oauth.refreshTokenGrantRequest(as, client, own, token, insecure());
    return oauth.processRefreshTokenResponse(as, client, await request);
  };
  const revoke = async (token) => {
    const request = oauth.revocationRequest(as, client, own, token, insecure());
    return oauth.processRevocationResponse(await request);
  };
  const introspect = async (token) => {
    const request = oauth.introspectionRequest(as, client, own, token, insecure());
    return oauth.processIntrospectionResponse(as, client, await request);
  };
  const get = (token) => {
    const url = new URL(server.guarded);
    return oauth.protectedResourceRequest(token, "GET", url, undefined, undefined, insecure());
  };
  const turnedAway = (what, token) =>
    refused(what, oauth.WWWAuthenticateChallengeError, "invalid_token", () => get(token), challenged);
  const fails = (what, code, call) => refused(what, oauth.ResponseBodyError, code, call);
  const wrong = { ...server.user, password: "wrong" };

  await fails("a wrong password", "invalid_grant", () => logIn(wrong));
  const first = await logIn(server.user);
  await authorized(server, await get(first.access_token));
  const second = await refresh(first.refresh_token);
  for (const name of ["access_token", "refresh_token"]) {
    check(`there is a new ${name}`, first[name] !== second[name]);
  }
  await authorized(server, await get(second.access_token));
  if (secret) {
    const badClient = [oauth.WWWAuthenticateChallengeError, "basic"];
    const impostor = () => logIn(server.user, proof("wrong"));
    await refused("a wrong secret", ...badClient, impostor, (error) => error.cause[0].scheme);
    for (const [token, kind] of [[second.access_token, "access"], [second.refresh_token, "refresh"]]) {
      const said = await introspect(token);
      same(`whose ${kind} token that is`, [said.active, said.sub, said.client_id], [true, "alice", id]);
      same(`what is said of an altered ${kind} token`, await introspect(`${token}A`), { active: false });
    }
  } else {
    const challenge = (error) => error.cause[0].scheme;
    const asked = () => introspect(second.access_token);
    await refused("introspection by a public client", oauth.WWWAuthenticateChallengeError, "basic", asked, challenge);
  }
  if (!server.jwk) {
    await guard(server, as, second.access_token);
  }

  await revoke(second.access_token);
  await turnedAway("a revoked access token", second.access_token);
  const third = await refresh(second.refresh_token);
  await revoke(third.refresh_token);
  await turnedAway("the access token of a revoked session", third.access_token);
  await fails("a revoked refresh token", "invalid_grant", () => refresh(third.refresh_token));

  const stolen = await logIn(server.user);
  const next = await refresh(stolen.refresh_token);
  await fails("a reused refresh token", "invalid_grant", () => refresh(stolen.refresh_token));
  await turnedAway("the access token of a stolen session", next.access_token);
}

// Like a resource server (RFC 9068, section 4).
async function guard(server, as, token) {
  const validate = (token, audience) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = new Request(server.guarded, { headers });
    return oauth.validateJwtAccessToken(as, request, audience, insecure());
  };
  const claims = await validate(token, server.audience);
  same("whose token that is", [claims.sub, claims.scope], ["alice", "profile"]);
  const code = (error) => error.code;
  const fails = (what, wanted, call) => refused(what, oauth.OperationProcessingError, wanted, call, code);
  await fails("another audience", "OAUTH_JWT_CLAIM_COMPARISON_FAILED", () => validate(token, "another-api"));
  await fails("an altered token", "OAUTH_INVALID_RESPONSE", () => validate(altered(token), server.audience));
}
