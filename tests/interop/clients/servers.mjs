// The code that the clients in JavaScript share. `cargo xtask interop` has each client talk to
// every server.
//
// Reads one request in JSON from standard input, and prints one line for each server. A fault ends
// the process with a message. The message contains no token: this code only compares tokens.

import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

// Node 18 has it under another name.
globalThis.crypto ??= webcrypto;

// Time limit of one exchange, in milliseconds.
export const PATIENCE = 10_000;

class Wrong extends Error {}

// Calls `converse(server)` for each server, and prints its result.
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
  // Ends the process although connections are still open.
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

// Checks that the call fails with the library's own error, which has our code.
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

// The error code in the first challenge of a 401 (RFC 6750, section 3).
export function challenged(error) {
  return error.cause[0].parameters.error;
}

// Checks the response of a guarded route to alice.
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

// The token with a different first character of its signature.
export function altered(token) {
  const at = token.lastIndexOf(".") + 1;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}
