import assert from "node:assert/strict";
import { test } from "node:test";

import { credentials, inWorld } from "./support/world.js";
import { unavailable } from "./support/server.js";

const refreshes = (server) => server.asked("/auth/refresh");

/** Faults for the next requests to `path`, one each. */
function faults(server, path, ...queue) {
  server.fault = (entry) => (entry.path === path ? queue.shift() : null);
}

for (const transport of ["bearer", "cookie"]) {
  for (const [fault, means] of [["drop", "a lost answer"], ["garble", "a truncated answer"]]) {
    test(`${transport}: the same refresh is sent again after ${means}`,
      inWorld(async (world, server) => {
        const { session, news } = await world.login({ transport });
        faults(server, "/auth/refresh", { [fault]: true }, { [fault]: true });
        await world.run(session.refresh());
        const sent = refreshes(server).map(({ body, headers }) => body + headers.cookie);
        assert.equal(sent.length, 3);
        // The browser takes the cookies of an answer even if its body breaks off.
        if (fault === "drop" || transport === "bearer") assert.equal(new Set(sent).size, 1);
        assert.deepEqual(news, ["began"]);
        assert.equal((await world.run(session.fetch("/me"))).status, 200);
      }));
  }

  test(`${transport}: a session lives for weeks though every third answer is dropped`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      server.dropEveryThird();
      for (let day = 0; day < 10; day++) {
        await world.advance(4 * 3_600_000);
        await world.run(session.sessions());
      }
      assert.ok(refreshes(server).length > 150);
      assert.equal(news.some((what) => what.startsWith("ended")), false, news.join());
      assert.notEqual(session.state, null);
    }));
}

test("an answer that doesn't come is waited for 15 seconds", inWorld(async (world, server) => {
  const { session } = await world.login();
  const queue = [{ hold: true }];
  server.fault = () => queue.shift();
  const refresh = session.refresh();
  await world.advance(14_000);
  assert.equal(refreshes(server).length, 1);
  await world.advance(3_000);
  assert.equal(refreshes(server).length, 2);
  await world.run(refresh);
}));

test("after four attempts the caller hears of it, and the refresh goes on without them",
  inWorld(async (world, server) => {
    const { session, events, news } = await world.login();
    server.fault = ({ path }) => (path === "/auth/refresh" ? { drop: true } : null);
    await assert.rejects(world.run(session.refresh()), { name: "UnavailableError" });
    assert.equal(refreshes(server).length, 4);
    assert.deepEqual(news, ["began", "unavailable"]);
    assert.ok(events.find(({ type }) => type === "unavailable").retryAfter >= 1);
    assert.notEqual(session.state, null);
    server.fault = () => null;
    await world.advance(10_000);
    assert.equal(refreshes(server).length, 5);
    assert.deepEqual(news, ["began", "unavailable", "available"]);
  }));

test("attempts in an outage of an hour get rare", inWorld(async (world, server) => {
  await world.login();
  server.fault = ({ path }) => (path === "/auth/refresh" ? { drop: true } : null);
  await world.advance(725_000);
  await world.advance(600_000);
  const before = refreshes(server).length;
  await world.advance(3_000_000);
  const more = refreshes(server).length - before;
  assert.ok(more > 100 && more < 300, `${more} attempts in 50 minutes`);
}));

test("a refresh waits as long as a 503 says", inWorld(async (world, server) => {
  const { session, events, news } = await world.login();
  world.chance = 0;
  faults(server, "/auth/refresh", { answer: unavailable(7) });
  const begin = world.time;
  await world.run(session.refresh());
  assert.ok(world.time - begin >= 7_000 && world.time - begin < 8_000);
  assert.deepEqual(news, ["began", "unavailable", "available"]);
  assert.equal(events.find(({ type }) => type === "unavailable").retryAfter, 7);
}));

test("a caller isn't kept waiting for a minute, and doesn't hasten the next attempt",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    faults(server, "/auth/refresh", { answer: unavailable(50) });
    const waits = { name: "UnavailableError" };
    await assert.rejects(world.run(session.refresh()), waits);
    await world.advance(30_000);
    await assert.rejects(world.run(session.refresh()), waits);
    assert.equal(refreshes(server).length, 1);
    await world.advance(30_000);
    assert.equal(refreshes(server).length, 2);
  }));

test("a Retry-After of a day holds the client back for a minute at most",
  inWorld(async (world, server) => {
    const { session, events } = await world.login();
    faults(server, "/auth/refresh", { answer: unavailable(86_400) });
    await assert.rejects(world.run(session.refresh()), { name: "UnavailableError" });
    assert.equal(events.find(({ type }) => type === "unavailable").retryAfter, 60);
    await world.advance(59_000);
    assert.equal(refreshes(server).length, 1);
    await world.advance(2_000);
    assert.equal(refreshes(server).length, 2);
  }));

test("a login ends the wait that Retry-After asked of the session before",
  inWorld(async (world, server) => {
    const { session, news } = await world.login();
    faults(server, "/auth/refresh", { answer: unavailable(86_400) });
    await assert.rejects(world.run(session.refresh()), { name: "UnavailableError" });
    await world.run(session.login(credentials("alice")));
    const begin = world.time;
    await world.run(session.refresh());
    assert.ok(world.time - begin < 1_000, world.time - begin);
    assert.deepEqual(news, ["began", "unavailable", "available", "began"]);
  }));

test("a date in Retry-After counts by the wall clock", inWorld(async (world, server) => {
  const { session } = await world.login();
  const answer = unavailable();
  const wall = Date.UTC(2026, 10, 29, 12) + world.time;
  answer.headers["retry-after"] = new Date(wall + 5_000).toUTCString();
  faults(server, "/auth/refresh", { answer });
  const begin = world.time;
  await world.run(session.refresh());
  assert.ok(world.time - begin >= 4_000 && world.time - begin < 7_000, world.time - begin);
}));

for (const status of [401, 404, 502]) {
  test(`a ${status} of a proxy doesn't end the session`, inWorld(async (world, server) => {
    const { session, news } = await world.login();
    const answer = { status, json: { message: "a proxy's page" } };
    server.fault = ({ path }) => (path === "/auth/refresh" ? { answer } : null);
    await assert.rejects(world.run(session.refresh()));
    assert.notEqual(session.state, null);
    server.fault = () => null;
    await world.advance(100_000);
    assert.equal(refreshes(server).at(-1).status, 200);
    assert.equal(news.includes("ended: unknown"), false);
  }));
}

test("a valid token is used while refreshes fail", inWorld(async (world, server) => {
  const { session } = await world.login();
  server.fault = ({ path }) => (path === "/auth/refresh" ? { answer: unavailable() } : null);
  await world.advance(800_000);
  const before = world.time;
  assert.equal((await world.run(session.fetch("/me"))).status, 200);
  assert.equal(world.time, before);
  await world.advance(120_000);
  await assert.rejects(world.run(session.fetch("/me")), { name: "UnavailableError" });
}));

test("a login whose answer was lost isn't sent again", inWorld(async (world, server) => {
  const { session } = world.open();
  faults(server, "/auth/login", { drop: true });
  await assert.rejects(world.run(session.login(credentials("alice"))),
    { name: "UnavailableError" });
  assert.equal(server.asked("/auth/login").length, 1);
}));

test("an ended session whose answer was lost counts as ended", inWorld(async (world, server) => {
  const { session } = await world.login({ tabs: false });
  const other = await world.login({ tabs: false });
  const path = `/auth/sessions/${other.session.state.sessionId}`;
  const faulty = [{ drop: true }, { answer: { status: 404, json: { reason: "not_found" } } }];
  faults(server, path, ...faulty);
  await world.run(session.endSession(other.session.state.sessionId));
  assert.equal(server.asked(path, "DELETE").length, 2);
}));
