import assert from "node:assert/strict";
import { test } from "node:test";

import { credentials, inWorld } from "./support/world.js";
import { refused } from "./support/server.js";

const refreshes = (server) => server.asked("/auth/refresh").length;

/** Three tabs of one session. */
async function three(world, options) {
  const first = await world.login(options);
  const tabs = [first, world.open(options), world.open(options)];
  for (const { session } of tabs.slice(1)) await world.run(session.restore());
  return tabs;
}

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: three tabs refresh at once by one request`, inWorld(async (world, server) => {
    const tabs = await three(world, { transport });
    assert.equal(refreshes(server), 0);
    await world.run(Promise.all(tabs.map(({ session }) => session.refresh())));
    assert.equal(refreshes(server), 1);
    await world.advance(726_000);
    assert.equal(refreshes(server), 2);
    for (const { session, events } of tabs) {
      assert.equal((await world.run(session.fetch("/me"))).status, 200);
      assert.equal(events.filter(({ type }) => type === "refreshed").length, 2);
    }
  }));

  for (const lacks of [["locks"], ["locks", "BroadcastChannel"]]) {
    test(`${transport}: three tabs stay logged in without ${lacks.join(" and ")}`,
      inWorld(async (world) => {
        const options = { transport, lacks };
        // In bearer transport, tabs that can't reach each other have their own logins.
        const isAlone = transport === "bearer" && lacks.length > 1;
        const tabs = isAlone
          ? [await world.login(options), await world.login(options), await world.login(options)]
          : await three(world, options);
        await world.run(Promise.all(tabs.map(({ session }) => session.refresh())));
        await world.advance(3_600_000);
        for (const { session, news } of tabs) {
          assert.equal((await world.run(session.fetch("/me"))).status, 200);
          assert.deepEqual(news, ["began"]);
        }
      }));
  }

  test(`${transport}: a lock that is never released doesn't log tabs out`,
    inWorld(async (world, server) => {
      const tabs = await three(world, { transport });
      world.locks.hold(`gatepass:${server.origin}/auth`);
      await world.run(Promise.all(tabs.map(({ session }) => session.refresh())));
      for (const { session } of tabs) {
        assert.equal((await world.run(session.fetch("/me"))).status, 200);
      }
    }));

  test(`${transport}: a login in one tab begins in all`, inWorld(async (world) => {
    const other = world.open({ transport });
    const { session } = await world.login({ transport });
    assert.deepEqual(other.news, ["began"]);
    assert.equal(other.session.state.sessionId, session.state.sessionId);
    assert.equal((await world.run(other.session.fetch("/me"))).status, 200);
  }));

  test(`${transport}: a logout in one tab ends all, once each`, inWorld(async (world) => {
    const tabs = await three(world, { transport });
    await world.run(tabs[1].session.logout());
    await world.settle();
    for (const { session, news } of tabs) {
      assert.equal(session.state, null);
      assert.deepEqual(news, ["began", "ended: logged_out"]);
    }
  }));

  test(`${transport}: a refresh under way in a tab doesn't revive what another logged out`,
    inWorld(async (world, server) => {
      const tabs = await three(world, { transport });
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      const refresh = tabs[0].session.refresh();
      refresh.catch(() => {});
      await world.advance(200);
      assert.equal(server.held.length, 1);
      await world.run(tabs[1].session.logout());
      server.fault = () => null;
      server.release();
      await assert.rejects(refresh, { name: "RefusedError", reason: "logged_out" });
      await world.advance(1_000_000);
      for (const { session, news } of tabs) {
        assert.equal(session.state, null);
        assert.deepEqual(news, ["began", "ended: logged_out"]);
      }
      assert.equal(await world.run(world.open({ transport }).session.restore()), null);
    }));

  test(`${transport}: a login as another user replaces the session in all tabs`,
    inWorld(async (world, server) => {
      const [first, second] = await three(world, { transport });
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      world.locks.request = (name, options, task) => task();
      const refresh = first.session.refresh();
      await world.advance(200);
      await world.run(second.session.login(credentials("bob")));
      server.release();
      await world.run(refresh);
      await world.settle();
      const response = await world.run(first.session.fetch("/me"));
      assert.equal((await response.json()).user, "bob");
      assert.deepEqual(first.news, ["began", "began"]);
      const live = [...server.sessions.values()].filter(({ ended }) => !ended);
      assert.deepEqual(live.map(({ user }) => user), ["bob"]);
    }));

  test(`${transport}: a tab that missed refreshes doesn't send the token that it has`,
    inWorld(async (world, server) => {
      const [first, second] = await three(world, { transport });
      second.tab.isFrozen = true;
      await world.advance(2 * 3_600_000);
      const before = refreshes(server);
      second.tab.show();
      await world.advance(1_000);
      assert.equal(refreshes(server), before);
      for (const { session, news } of [first, second]) {
        assert.equal((await world.run(session.fetch("/me"))).status, 200);
        assert.deepEqual(news, ["began"]);
      }
    }));
}

test("cookie: tabs hear of each other by localStorage where BroadcastChannel is missing",
  inWorld(async (world) => {
    const tabs = await three(world, { transport: "cookie", lacks: ["BroadcastChannel"] });
    await world.run(tabs[0].session.logout());
    await world.settle();
    for (const { news } of tabs) assert.deepEqual(news, ["began", "ended: logged_out"]);
  }));

test("cookie: a page finds its session without a request", inWorld(async (world, server) => {
  const { session } = await world.login({ transport: "cookie" });
  await world.advance(100_000);
  const before = server.log.length;
  const restored = await world.run(world.open({ transport: "cookie" }).session.restore());
  assert.deepEqual(restored, session.state);
  assert.equal(restored.refreshIn, 625_000);
  assert.equal(server.log.length, before);
}));

test("cookie: a page without a stored time asks the server once", inWorld(async (world, server) => {
  await world.login({ transport: "cookie" });
  world.storage.clear();
  const { session, news } = world.open({ transport: "cookie" });
  assert.notEqual(await world.run(session.restore()), null);
  assert.equal(refreshes(server), 1);
  assert.deepEqual(news, ["began"]);
}));

test("cookie: a visitor without a session gets null and no event", inWorld(async (world) => {
  const { session, news } = world.open({ transport: "cookie" });
  assert.equal(await world.run(session.restore()), null);
  assert.deepEqual(news, []);
}));

test("cookie: the end that no page has heard of is told once", inWorld(async (world, server) => {
  await world.login({ transport: "cookie" });
  world.storage.clear();
  server.end("reused");
  world.tabs.length = 0;
  const { session, news } = world.open({ transport: "cookie" });
  assert.equal(await world.run(session.restore()), null);
  assert.deepEqual(news, ["ended: reused"]);
  const later = world.open({ transport: "cookie" });
  assert.equal(await world.run(later.session.restore()), null);
  assert.deepEqual(later.news, []);
}));

test("two clients in one Node process share nothing unless told to", inWorld(async (world) => {
  const alice = await world.login({ tabs: false });
  const bob = await world.login({ tabs: false }, "bob");
  const user = async ({ session }) => (await (await world.run(session.fetch("/me"))).json()).user;
  assert.equal(await user(alice), "alice");
  assert.equal(await user(bob), "bob");
}));

test("cookie: a refresh whose answer comes after an unheard logout changes nothing",
  inWorld(async (world, server) => {
    const [first, second] = await three(world, { transport: "cookie" });
    server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
    const refresh = first.session.refresh();
    await world.settle();
    first.tab.isFrozen = true;
    server.fault = () => null;
    await world.run(second.session.logout());
    server.release();
    await assert.rejects(refresh, { reason: "logged_out" });
    assert.equal(first.session.state, null);
    assert.match([...world.storage.values()].join(), /"ended":"logged_out"/);
  }));

test("cookie: the end of a session doesn't hide the login that another tab has done since",
  inWorld(async (world, server) => {
    const [first, second] = await three(world, { transport: "cookie" });
    const answer = refused("session_ended");
    server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true, answer } : null);
    world.locks.request = (name, options, task) => task();
    const refresh = first.session.refresh();
    await world.settle();
    first.tab.isFrozen = true;
    server.fault = () => null;
    await world.run(second.session.login(credentials("bob")));
    server.release();
    await assert.rejects(refresh, { reason: "session_ended" });
    const state = await world.run(world.open({ transport: "cookie" }).session.restore());
    assert.equal(state.sessionId, second.session.state.sessionId);
    assert.equal(refreshes(server), 1);
  }));

test("bearer: news of a refresh that comes after a logout revives nothing",
  inWorld(async (world, server) => {
    const { session, news } = await world.login();
    const { tab } = world.open();
    const channel = new tab.environment.BroadcastChannel(`gatepass:${server.origin}/auth`);
    const heard = [];
    channel.onmessage = ({ data }) => heard.push(data);
    await world.run(session.refresh());
    const late = heard.find(({ type }) => type === "refreshed");
    await world.run(session.logout());
    channel.postMessage({ ...late, record: { ...late.record, turn: 9 } });
    await world.settle();
    assert.equal(session.state, null);
    assert.deepEqual(news, ["began", "ended: logged_out"]);
  }));

test("bearer: a proven password counts more than a refresh in another tab at the same time",
  inWorld(async (world, server) => {
    const [first, second] = await three(world, { lacks: ["locks"] });
    server.fault = () => ({ hold: true });
    const refresh = first.session.refresh();
    await world.advance(200);
    const proof = second.session.reauthenticate({ password: "wonderland" });
    await world.settle();
    server.fault = () => null;
    server.release();
    await world.run(Promise.all([refresh, proof]));
    await world.settle();
    await world.run(first.session.fetch("/me"));
    await world.run(second.session.fetch("/me"));
    const [one, other] = server.log.slice(-2).map(({ headers }) => headers.authorization);
    assert.equal(one, other);
  }));

test("cookie: times in the storage that are ahead of the clock mean that a refresh is due",
  inWorld(async (world, server) => {
    (await world.login({ transport: "cookie" })).session.close();
    world.wallError = -3_600_000;
    const state = await world.run(world.open({ transport: "cookie" }).session.restore());
    await world.settle();
    assert.equal(state.refreshIn, 0);
    assert.equal(refreshes(server), 1);
  }));
