// npm's jose for `cargo xtask interop`: verifies our access tokens, and signs its own.
//
// Reads one request in JSON from standard input, and writes one answer to standard output.

import { createPublicKey, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";

// Node 18 has it under another name.
globalThis.crypto ??= webcrypto;
const jose = await import("jose");

const request = JSON.parse(readFileSync(0, "utf8"));
const { issuer, audience } = request;
const jwks = jose.createLocalJWKSet(request.jwks);
const installed = new URL("node_modules/jose/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(installed, "utf8"));

const cases = [];
for (const one of request.cases) {
  cases.push(await answerTo(one));
}
process.stdout.write(JSON.stringify({ name: `jose ${version}`, cases }));

async function answerTo({ alg, kid, symmetric, ...given }) {
  const secret = (text) => new TextEncoder().encode(text);
  const read = (text) => (symmetric ? secret(text) : jose.importPKCS8(text, alg));
  const [ours, strangers] = [await read(given.key), await read(given.stranger_key)];
  const sources = { key: ours };
  let jwk = null;
  if (!symmetric) {
    const spki = createPublicKey(given.key).export({ type: "spki", format: "pem" });
    sources.key = await jose.importSPKI(spki, alg, { extractable: true });
    sources.jwks = jwks;
    jwk = await jose.exportJWK(sources.key);
  }

  const judged = {};
  for (const [source, key] of Object.entries(sources)) {
    judged[source] = {};
    for (const name of ["good", "altered", "strange"]) {
      judged[source][name] = await judge(given[name], key, alg);
    }
  }
  const claims = jose.decodeJwt(given.good);
  const sign = (key) =>
    new jose.SignJWT(claims).setProtectedHeader({ typ: "at+jwt", alg, kid }).sign(key);
  return { alg, read: judged, good: await sign(ours), strange: await sign(strangers), jwk };
}

// The claims, or a text that says why there are none.
async function judge(token, key, alg) {
  const requiredClaims = ["exp", "iat", "iss", "aud", "sub", "jti"];
  const options = { algorithms: [alg], issuer, audience, typ: "at+jwt", requiredClaims };
  try {
    return (await jose.jwtVerify(token, key, options)).payload;
  } catch (error) {
    const bad = error.code === "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    return bad ? "bad signature" : String(error);
  }
}
