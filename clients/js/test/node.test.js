import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { createClient } from "../gatepass.js";
import { FakeServer } from "./support/server.js";
import { inWorld } from "./support/world.js";

const module = fileURLToPath(new URL("../gatepass.js", import.meta.url));

/** Runs a program with `session` and `base`. It must end by itself. */
async function program(text, base) {
  const source = `
    import { createClient } from ${JSON.stringify(module)};
    const base = ${JSON.stringify(base)};
    ${text}
    console.log("end");`;
  const options = { timeout: 10_000 };
  return promisify(execFile)(process.execPath, ["--input-type=module", "-e", source], options);
}

async function withServer(task) {
  const server = await new FakeServer().listen();
  try {
    await task(server);
  } finally {
    server.close();
  }
}

const LOGIN = 'await session.login({ username: "alice", password: "wonderland" });';

for (const tabs of [false, true]) {
  test(`a program ends although its session goes on, with tabs: ${tabs}`, () =>
    withServer(async (server) => {
      const { stdout } = await program(`
        const session = createClient({ base, tabs: ${tabs} });
        ${LOGIN}
        const response = await session.fetch("/me");
        console.log(response.status);`, `${server.origin}/auth`);
      assert.equal(stdout, "200\nend\n");
    }));
}

test("a program ends although it was offered other rights", () =>
  withServer(async (server) => {
    const headers = { "gatepass-refresh": "grant_changed" };
    const answer = { status: 200, json: {}, headers };
    server.fault = ({ path }) => (path === "/me" ? { answer } : null);
    await program(`
      Math.random = () => 0.4;
      const session = createClient({ base });
      ${LOGIN}
      await session.fetch("/me");`, `${server.origin}/auth`);
    assert.equal(server.asked("/auth/refresh").length, 0);
  }));

test("a program doesn't end while it waits for the next attempt", () =>
  withServer(async (server) => {
    const queue = [null, { drop: true }, { drop: true }];
    server.fault = () => queue.shift();
    const { stdout } = await program(`
      const session = createClient({ base });
      ${LOGIN}
      await session.refresh();`, `${server.origin}/auth`);
    assert.equal(stdout, "end\n");
    assert.equal(server.asked("/auth/refresh").length, 3);
  }));

test("outside of a page, a base without an origin is refused with advice", () => {
  assert.throws(() => createClient(), /whole URL/);
  assert.throws(() => createClient({ base: "/auth" }), /whole URL/);
});

test("outside of a page, a client shares its session only if told to", () => {
  class BroadcastChannel {
    static count = 0;
    constructor() { BroadcastChannel.count += 1; }
    close() {}
  }
  const options = { base: "https://example.com/auth", environment: { BroadcastChannel } };
  createClient(options).close();
  assert.equal(BroadcastChannel.count, 0);
  createClient({ ...options, tabs: true }).close();
  assert.equal(BroadcastChannel.count, 1);
});

test("an unknown transport is refused", () => {
  assert.throws(() => createClient({ transport: "query" }), TypeError);
});

/** A place for tokens that a second program could read. */
function storage() {
  return {
    value: null, calls: [],
    load() { return this.value && JSON.parse(this.value); },
    async save(session) {
      this.calls.push("save");
      await null;
      this.value = JSON.stringify(session);
    },
    async clear() {
      this.calls.push("clear");
      await null;
      this.value = null;
    },
  };
}

test("a session goes on from its storage in the next program",
  inWorld(async (world, server) => {
    const kept = storage();
    const first = await world.login({ tabs: false, storage: kept });
    first.session.close();
    await world.advance(600_000);
    const second = world.open({ tabs: false, storage: kept });
    const state = await world.run(second.session.restore());
    assert.deepEqual([state.refreshIn, state.expiresIn], [125_000, 300_000]);
    await world.advance(3_600_000);
    const third = world.open({ tabs: false, storage: kept });
    assert.notEqual(await world.run(third.session.restore()), null);
    await world.run(third.session.logout());
    assert.equal(kept.value, null);
    assert.equal(await world.run(world.open({ storage: kept }).session.restore()), null);
    assert.ok([...server.sessions.values()].every(({ ended }) => ended));
  }));

test("two programs that share a storage don't reuse each other's tokens",
  inWorld(async (world) => {
    const kept = storage();
    const first = await world.login({ tabs: false, storage: kept });
    const second = world.open({ tabs: false, storage: kept });
    await world.run(second.session.restore());
    first.tab.isFrozen = true;
    await world.advance(5 * 3_600_000);
    first.tab.isFrozen = false;
    assert.equal((await world.run(first.session.fetch("/me"))).status, 200);
    assert.deepEqual(first.news, ["began"]);
  }));

test("a session that expired in its storage is refreshed by restore, or found to be over",
  inWorld(async (world, server) => {
    const kept = storage();
    (await world.login({ tabs: false, storage: kept })).session.close();
    await world.advance(24 * 3_600_000);
    const second = world.open({ tabs: false, storage: kept });
    assert.notEqual(await world.run(second.session.restore()), null);
    second.session.close();
    server.end("revoked");
    await world.advance(3_600_000);
    const third = world.open({ tabs: false, storage: kept });
    assert.equal(await world.run(third.session.restore()), null);
    assert.deepEqual(third.news, ["began", "ended: revoked"]);
    assert.equal(kept.value, null);
  }));

test("a slow save doesn't bring tokens back after a logout", inWorld(async (world) => {
  const kept = storage();
  const { session } = await world.login({ tabs: false, storage: kept });
  let finish;
  kept.save = (value) => new Promise((resolve) => {
    finish = () => resolve(kept.value = JSON.stringify(value));
  });
  const refresh = session.refresh();
  refresh.catch(() => {});
  await world.settle();
  const logout = session.logout();
  await world.settle();
  finish();
  await world.run(logout);
  assert.equal(kept.value, null);
}));

test("a storage that fails is told to the caller, and the session goes on",
  inWorld(async (world) => {
    const kept = storage();
    const { session } = await world.login({ tabs: false, storage: kept });
    kept.save = () => { throw new Error("the disk is full"); };
    await assert.rejects(world.run(session.refresh()), /disk is full/);
    assert.equal((await world.run(session.fetch("/me"))).status, 200);
    kept.load = () => { throw new Error("the disk is gone"); };
    const second = world.open({ tabs: false, storage: kept });
    await assert.rejects(world.run(second.session.restore()), /disk is gone/);
  }));
