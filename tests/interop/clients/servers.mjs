// What the clients in JavaScript share: `cargo xtask interop` has each of them converse with every server.
//
// One request in JSON on standard input, one line for each server on standard output. Whatever is not as it must be
// ends it, with a message in which there is no token: tokens are compared here and shown nowhere.

import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

// Node 18 has it, but not under this name.
globalThis.crypto ??= webcrypto;

// Milliseconds for one exchange.
export const PATIENCE = 10_000;

class Wrong extends Error {}

// Has `converse(server)` with each server, and says what was done.
export async function each(library, converse) {
  const installed = new URL(`../node_modules/${library}/package.json`, import.meta.url);
  const name = `${library} ${JSON.parse(readFileSync(installed, "utf8")).version}`;
  for (const server of JSON.parse(readFileSync(0, "utf8")).servers) {
    try {
      process.stdout.write(`${name}, ${server.name}: ${await converse(server)}\n`);
    } catch (error) {
      const told = error instanceof Wrong ? error.message : `${error?.name}: ${error?.message} ${error?.cause ?? ""}`;
      process.stderr.write(`${name}, ${server.name}: ${told}\n`);
      process.exit(1);
    }
  }
  // Connections that are kept open keep nobody waiting.
  process.exit(0);
}

export function check(claim, right) {
  if (!right) throw new Wrong(`not so: ${claim}`);
}

export function same(what, got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) {
    throw new Wrong(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  }
}

// What is awaited must fail with the library's own error, which has our code.
export async function refused(what, kind, code, call, codeOf = (error) => error.error) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof kind)) {
      throw new Wrong(`${what}: ${error?.name}: ${error?.message}, not ${kind.name}`);
    }
    same(`${what}, refused with`, codeOf(error), code);
    return;
  }
  throw new Wrong(`${what}: not refused`);
}

// The code in the first challenge of an error about a 401 (RFC 6750, section 3).
export function challenged(error) {
  return error.cause[0].parameters.error;
}

// The response of a guarded route to alice.
export async function authorized(server, response) {
  same("a guarded route answers", response.status, 200);
  const body = await response.json();
  if ("sessions" in body) {
    check("her session is listed", body.sessions.some((one) => one.current));
  } else {
    same("whom a guarded route let in", body.subject, server.user.username);
  }
}

export async function ask(server, token) {
  const headers = { authorization: `Bearer ${token}` };
  return fetch(server.guarded, { headers, signal: AbortSignal.timeout(PATIENCE) });
}

export async function loggedIn(server) {
  const response = await fetch(`${server.issuer}/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(server.user),
    signal: AbortSignal.timeout(PATIENCE),
  });
  same("a login answers", response.status, 200);
  return (await response.json()).access_token;
}

// The token with another first character of its signature.
export function altered(token) {
  const at = token.lastIndexOf(".") + 1;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}
