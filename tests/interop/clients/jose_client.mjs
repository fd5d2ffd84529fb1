// jose: verifies the servers' tokens with their key sets and with the exported secret, and issues
// tokens with the secret.

import { PATIENCE, altered, authorized, ask, each, loggedIn, refused, same } from "./servers.mjs";

// Here and not above, because the import needs what Node 18 lacks.
const jose = await import("jose");

await each("jose", async (server) => {
  const token = await loggedIn(server);
  const keySet = jose.createRemoteJWKSet(new URL(server.metadata.jwks_uri), { timeoutDuration: PATIENCE });
  if (!server.jwk) {
    await verify(server, token, keySet);
    return "verifies by the key set";
  }
  const unknown = () => jose.jwtVerify(token, keySet);
  await refused("a secret in the key set", jose.errors.JOSENotSupported, "ERR_JOSE_NOT_SUPPORTED", unknown, code);
  await verify(server, token, await jose.importJWK(server.jwk));
  await issue(server, token);
  return "verifies by the exported secret, and issues with it";
});

async function verify(server, token, key) {
  const options = {
    algorithms: [server.algorithm],
    issuer: server.issuer,
    audience: server.audience,
    typ: "at+jwt",
    requiredClaims: ["exp", "iat", "sub", "jti", "client_id"],
  };
  const verified = (token, more) => jose.jwtVerify(token, key, { ...options, ...more });
  const { payload, protectedHeader } = await verified(token);
  same("whose token that is", [payload.sub, payload.scope], ["alice", "profile"]);
  same("its algorithm", protectedHeader.alg, server.algorithm);
  const { JWSSignatureVerificationFailed, JWTClaimValidationFailed } = jose.errors;
  for (const [what, kind, wanted, call] of [
    ["an altered one", JWSSignatureVerificationFailed, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", () => verified(altered(token))],
    ["another audience", JWTClaimValidationFailed, "ERR_JWT_CLAIM_VALIDATION_FAILED", () => verified(token, { audience: "another-api" })],
    ["another issuer", JWTClaimValidationFailed, "ERR_JWT_CLAIM_VALIDATION_FAILED", () => verified(token, { issuer: "https://another.example" })],
  ]) {
    await refused(what, kind, wanted, call, code);
  }
}

async function issue(server, token) {
  const claims = jose.decodeJwt(token);
  // A token that no server has issued.
  claims.exp -= 1;
  const header = jose.decodeProtectedHeader(token);
  const signed = (key) => new jose.SignJWT(claims).setProtectedHeader(header).sign(key);
  await authorized(server, await ask(server, await signed(await jose.importJWK(server.jwk))));
  const stranger = new TextEncoder().encode("a secret of 32 bytes, or even more");
  const response = await ask(server, await signed(stranger));
  same("a stranger's token, answered with", response.status, 401);
}

function code(error) {
  return error.code;
}
