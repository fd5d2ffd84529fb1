import assert from "node:assert/strict";
import { test } from "node:test";

import { inWorld } from "./support/world.js";

const MINUTE = 60_000;
const DECADE = 10 * 365 * 24 * 60 * MINUTE;

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: a session is refreshed when the server said, and not before`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      assert.equal(session.state.refreshIn, 725_000);
      await world.advance(724_000);
      assert.equal(server.asked("/auth/refresh").length, 0);
      await world.advance(2_000);
      assert.equal(server.asked("/auth/refresh").length, 1);
      await world.advance(100 * MINUTE);
      assert.equal(server.asked("/auth/refresh").length, 9);
      assert.equal((await world.run(session.fetch("/me"))).status, 200);
    }));

  test(`${transport}: a wall clock that is wrong by years changes nothing`,
    inWorld(async (world, server) => {
      for (const error of [DECADE, -DECADE]) {
        world.wallError = error;
        const { session } = await world.login({ transport });
        const before = server.asked("/auth/refresh").length;
        await world.advance(724_000);
        assert.equal(server.asked("/auth/refresh").length, before);
        await world.advance(2_000);
        assert.equal(server.asked("/auth/refresh").length, before + 1);
        await world.run(session.logout());
      }
    }));
}

test("a wall clock that is set back doesn't delay a refresh", inWorld(async (world, server) => {
  await world.login();
  await world.advance(MINUTE);
  world.wallError = -DECADE;
  await world.advance(666_000);
  assert.equal(server.asked("/auth/refresh").length, 1);
}));

test("a wall clock that is set forward causes one early refresh at most",
  inWorld(async (world, server) => {
    const { tab } = await world.login();
    world.wallError = DECADE;
    for (let shown = 0; shown < 5; shown++) {
      tab.show();
      await world.advance(1_000);
    }
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));

test("the time of a slow answer counts as passed", inWorld(async (world, server) => {
  const { session } = world.open();
  server.fault = () => ({ hold: true });
  const login = session.login({ username: "alice", password: "wonderland" });
  await world.settle();
  await world.advance(9_000);
  server.fault = () => null;
  server.release();
  await login;
  assert.equal(session.state.refreshIn, 725_000 - 9_000);
}));

test("a tab whose timers were suspended refreshes when it is shown",
  inWorld(async (world, server) => {
    const { tab } = await world.login();
    tab.isFrozen = true;
    await world.advance(800_000);
    assert.equal(server.asked("/auth/refresh").length, 0);
    tab.show();
    await world.advance(1_000);
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));

for (const type of ["pageshow", "online"]) {
  test(`a page judges the time again on ${type}`, inWorld(async (world, server) => {
    const { tab } = await world.login({ transport: "cookie" });
    tab.isFrozen = true;
    await world.advance(800_000);
    tab.isFrozen = false;
    tab.page.dispatchEvent(new Event(type));
    await world.settle();
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));
}

test("a machine that slept refreshes, though its monotonic clock stood still",
  inWorld(async (world, server) => {
    const { tab } = await world.login({ transport: "cookie" });
    world.wallError = 730_000;
    tab.show();
    await world.settle();
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));

test("a request waits for a refresh if the token has expired", inWorld(async (world, server) => {
  const { session, tab } = await world.login();
  tab.isFrozen = true;
  await world.advance(899_000);
  tab.isFrozen = false;
  const response = await world.run(session.fetch("/me"));
  assert.equal(response.status, 200);
  const paths = server.log.map(({ path }) => path);
  assert.deepEqual(paths, ["/auth/login", "/auth/refresh", "/me"]);
}));

test("a request doesn't wait for a refresh that is merely due", inWorld(async (world, server) => {
  const { session, tab } = await world.login({ transport: "cookie" });
  tab.isFrozen = true;
  await world.advance(800_000);
  tab.isFrozen = false;
  server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
  assert.equal((await world.run(session.fetch("/me"))).status, 200);
  assert.equal(server.asked("/auth/refresh").length, 1);
  server.release();
  await world.settle();
}));

test("a closed client refreshes no more", inWorld(async (world, server) => {
  const { session } = await world.login();
  session.close();
  await world.advance(2_000_000);
  assert.equal(server.asked("/auth/refresh").length, 0);
}));
