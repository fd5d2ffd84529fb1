import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { inWorld } from "./support/world.js";

/** Every text that looks like a token of the fake server. */
const TOKEN = /access-of-\S{8}|gpr_session|secretsecret/;

/** Does a bit of everything, with failures. Returns everything that an observer can see. */
async function live(world, server, transport) {
  const seen = [];
  const consoles = ["log", "info", "warn", "error", "debug"];
  const before = Object.fromEntries(consoles.map((name) => [name, console[name]]));
  for (const name of consoles) console[name] = (...what) => seen.push({ name, what });
  const { session, tab, events } = await world.login({ transport });
  const attempt = (promise) => world.run(promise).catch((error) => {
    seen.push([error.message, error.stack, inspect(error, { depth: 9, showHidden: true })]);
  });
  for (const fault of [null, { drop: true }, { garble: true }]) {
    server.fault = ({ path }) => (path === "/me" ? null : fault);
    await attempt(session.refresh());
    await attempt(session.fetch("/me"));
    await attempt(session.sessions());
  }
  seen.push(inspect(session, { depth: 9, showHidden: true }), JSON.stringify(session));
  seen.push(Object.getOwnPropertyNames(session), JSON.stringify(session.state));
  server.end("reused");
  server.fault = () => null;
  await attempt(session.refresh());
  Object.assign(console, before);
  return { seen: inspect(seen, { depth: 9, maxStringLength: null }), tab, events };
}

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: no token is in a URL, a log, an error, an event or the page's storage`,
    inWorld(async (world, server) => {
      const { seen, tab, events } = await live(world, server, transport);
      assert.ok(events.length > 20 && seen.includes("UnavailableError"));
      assert.doesNotMatch(seen, TOKEN);
      assert.doesNotMatch(inspect(events, { depth: 9, maxArrayLength: null }), TOKEN);
      assert.doesNotMatch(tab.requests.map(({ url }) => url).join(), TOKEN);
      assert.doesNotMatch([...world.storage].flat().join(), TOKEN);
      assert.equal(world.storage.size, transport === "cookie" ? 1 : 0);
      assert.doesNotMatch(seen, /name: 'log'/);
    }));
}

test("cookie: no token passes through the client at all", inWorld(async (world, server) => {
  const { events } = await live(world, server, "cookie");
  for (const { body, headers } of server.log) {
    assert.equal(headers.authorization, undefined);
    assert.doesNotMatch(body, TOKEN);
  }
  const exchanges = events.filter(({ type }) => type === "exchange");
  for (const { tokens } of exchanges) assert.deepEqual(tokens, {});
}));

test("cookie: the page's storage has times and no more", inWorld(async (world) => {
  await world.login({ transport: "cookie" });
  const [record] = [...world.storage.values()].map((text) => JSON.parse(text));
  const known = ["at", "began", "expiresAfter", "id", "refreshAfter", "scope", "turn"];
  assert.deepEqual(Object.keys(record).sort(), known);
}));

test("bearer: an exchange names its tokens and shows their ends", inWorld(async (world) => {
  const { session, events } = await world.login();
  await world.run(session.fetch("/me?secret=1"));
  const exchanges = events.filter(({ type }) => type === "exchange");
  assert.deepEqual(exchanges.map(({ method, path, status }) => [method, path, status]),
    [["POST", "/auth/login", 200], ["GET", "/me", 200]]);
  assert.deepEqual(exchanges.map(({ tokens }) => tokens), [
    { access_token: "access…xxxx", refresh_token: "gpr_se…cret" },
    { access_token: "access…xxxx" },
  ]);
}));

test("an exchange without an answer has the status 0", inWorld(async (world, server) => {
  const { session, events } = await world.login();
  server.fault = () => ({ drop: true });
  await assert.rejects(world.run(session.fetch("/me")), { name: "TypeError" });
  assert.equal(events.at(-1).status, 0);
}));

test("an answer that breaks off is not quoted", inWorld(async (world, server) => {
  const { session } = world.open();
  server.fault = () => ({ garble: true });
  const error = await world.run(session.login({ username: "alice", password: "wonderland" }))
    .catch((error) => error);
  assert.equal(error.name, "UnavailableError");
  assert.doesNotMatch(inspect(error, { showHidden: true }), /"access_token|tok"/);
}));

test("an endpoint that redirects gets no password", inWorld(async (world, server) => {
  const { session } = world.open();
  const headers = { location: "/elsewhere" };
  server.fault = () => ({ answer: { status: 307, headers } });
  const login = session.login({ username: "alice", password: "wonderland" });
  await assert.rejects(world.run(login), { name: "UnavailableError" });
  assert.deepEqual(server.log.map(({ path }) => path), ["/auth/login"]);
}));
