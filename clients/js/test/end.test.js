import assert from "node:assert/strict";
import { test } from "node:test";

import { credentials, inWorld } from "./support/world.js";
import { refused, unavailable } from "./support/server.js";

for (const transport of ["bearer", "cookie"]) {
  for (const reason of ["reused", "session_ended", "refresh_expired"]) {
    test(`${transport}: a refresh that is refused as ${reason} ends the session as such`,
      inWorld(async (world, server) => {
        const { session, news } = await world.login({ transport });
        server.end(reason);
        await assert.rejects(world.run(session.refresh()), { name: "RefusedError", reason });
        assert.equal(session.state, null);
        assert.deepEqual(news, ["began", `ended: ${reason}`]);
        await world.advance(2_000_000);
        assert.equal(server.asked("/auth/refresh").length, 1);
      }));
  }

  test(`${transport}: a logout whose answer is lost is sent again`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      const queue = [{ drop: true }];
      server.fault = ({ path }) => (path === "/auth/logout" ? queue.shift() : null);
      await world.run(session.logout());
      assert.equal(server.asked("/auth/logout").length, 2);
      assert.ok([...server.sessions.values()].every(({ ended }) => ended));
      assert.equal(world.jar.size, 0);
    }));

  test(`${transport}: a logout counts in every tab at once, even without a server`,
    inWorld(async (world, server) => {
      const { session, tab, news } = await world.login({ transport });
      const other = world.open({ transport });
      await world.run(other.session.restore());
      tab.network = () => Promise.reject(new TypeError("no network"));
      const logout = session.logout();
      logout.catch(() => {});
      assert.equal(session.state, null);
      await assert.rejects(world.run(logout), { name: "UnavailableError" });
      assert.deepEqual(news, ["began", "ended: logged_out"]);
      assert.deepEqual(other.news, ["began", "ended: logged_out"]);
      assert.ok([...server.sessions.values()].every(({ ended }) => !ended));
      tab.network = null;
      await world.run(session.logout());
      assert.ok([...server.sessions.values()].every(({ ended }) => ended));
      assert.deepEqual(news, ["began", "ended: logged_out"]);
    }));

  test(`${transport}: a logout waits for a store that is down for a moment`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      const queue = [{ answer: unavailable(4) }];
      server.fault = ({ path }) => (path === "/auth/logout" ? queue.shift() : null);
      await world.run(session.logout());
      assert.ok([...server.sessions.values()].every(({ ended }) => ended));
    }));

  test(`${transport}: a request and a refresh that were under way don't revive a session`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      server.fault = ({ path }) => (path === "/auth/logout" ? null : { hold: true });
      const refresh = session.refresh();
      refresh.catch(() => {});
      const request = session.fetch("/me");
      await world.advance(200);
      await world.run(session.logout());
      server.fault = () => null;
      server.release();
      await assert.rejects(world.run(refresh), { reason: "logged_out" });
      await world.run(request);
      await world.advance(2_000_000);
      assert.equal(session.state, null);
      assert.deepEqual(news, ["began", "ended: logged_out"]);
    }));

  test(`${transport}: a logout overtakes a login that is under way`,
    inWorld(async (world, server) => {
      const { session, news } = world.open({ transport });
      server.fault = ({ path }) => (path === "/auth/login" ? { hold: true } : null);
      const login = session.login(credentials("alice"));
      login.catch(() => {});
      await world.settle();
      await world.run(session.logout());
      server.release();
      await assert.rejects(world.run(login), { reason: "logged_out" });
      await world.settle();
      assert.equal(session.state, null);
      assert.deepEqual(news, []);
      assert.ok([...server.sessions.values()].every(({ ended }) => ended));
    }));

  test(`${transport}: a logout everywhere and the end of the own session are logouts`,
    inWorld(async (world, server) => {
      for (const way of [
        (session) => session.logoutAll(),
        (session) => session.endSession(session.state.sessionId),
      ]) {
        const { session, news } = await world.login({ transport });
        let count = 0;
        const isTheWay = ({ path }) => /logout-all|sessions\//.test(path);
        // The answer to the first attempt is lost, so the second finds the session over.
        server.fault = (entry) => (isTheWay(entry) && ++count === 1 ? { drop: true } : null);
        await world.run(way(session));
        assert.deepEqual(news, ["began", "ended: logged_out"]);
        assert.equal(count, 2);
      }
    }));

  test(`${transport}: a password that is proven again brings new tokens`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      const wrong = session.reauthenticate({ password: "x" });
      await assert.rejects(world.run(wrong), { reason: "bad_credentials", status: 401 });
      assert.deepEqual(news, ["began"]);
      await world.advance(60_000);
      const state = await world.run(session.reauthenticate({ password: "wonderland" }));
      assert.ok(state.refreshIn > 720_000);
      await world.advance(800_000);
      assert.equal(server.asked("/auth/refresh").at(-1).status, 200);
    }));
}

test("cookie: an endpoint ends a session, and a later refresh that is answered brings it back",
  inWorld(async (world, server) => {
    const { session, news } = await world.login({ transport: "cookie" });
    const other = world.open({ transport: "cookie" });
    await world.run(other.session.restore());
    const answer = refused("revoked");
    server.fault = ({ path }) => (path === "/auth/sessions" ? { answer } : null);
    await assert.rejects(world.run(session.sessions()), { reason: "revoked" });
    await world.settle();
    assert.deepEqual([session.state, other.session.state], [null, null]);
    await world.advance(1);
    assert.notEqual(await world.run(session.restore()), null);
    await world.settle();
    for (const tab of [news, other.news]) {
      assert.deepEqual(tab, ["began", "ended: revoked", "began"]);
    }
    assert.doesNotMatch([...world.storage.values()].join(), /ended/);
    assert.equal((await world.run(other.session.fetch("/me"))).status, 200);
  }));

test("cookie: a session that was logged out here stays over, though the server didn't hear of it",
  inWorld(async (world, server) => {
    const { session, tab } = await world.login({ transport: "cookie" });
    const other = world.open({ transport: "cookie" });
    await world.run(other.session.restore());
    tab.network = () => Promise.reject(new TypeError("no network"));
    await assert.rejects(world.run(session.logout()), { name: "UnavailableError" });
    tab.network = null;
    await world.advance(60_000);
    for (const one of [session, other.session, world.open({ transport: "cookie" }).session]) {
      assert.equal(await world.run(one.restore()), null);
    }
    assert.equal(server.asked("/auth/refresh").at(-1).status, 200);
    assert.match([...world.storage.values()].join(), /"ended":"logged_out"/);
  }));

test("cookie: a logout that is sent again doesn't end the next login",
  inWorld(async (world, server) => {
    const { session, news } = await world.login({ transport: "cookie" });
    const queue = [{ drop: true, answer: { status: 503 } }];
    server.fault = ({ path }) => (path === "/auth/logout" ? queue.shift() : null);
    const logout = session.logout();
    await world.settle();
    await session.login(credentials("bob"));
    await world.run(logout);
    await world.advance(60_000);
    assert.equal(server.asked("/auth/logout").length, 1);
    assert.deepEqual(news, ["began", "ended: logged_out", "began"]);
  }));

test("the sessions of other devices can be ended", inWorld(async (world, server) => {
  const { session, news } = await world.login({ tabs: false });
  const other = await world.login({ tabs: false });
  await world.login({ tabs: false });
  await world.run(session.endSession(other.session.state.sessionId));
  assert.equal((await world.run(session.sessions())).length, 2);
  await world.run(session.endOthers());
  assert.equal((await world.run(session.sessions())).length, 1);
  assert.deepEqual(news, ["began"]);
  assert.equal((await world.run(other.session.fetch("/me"))).status, 401);
  assert.deepEqual(other.news, ["began", "ended: session_ended"]);
  assert.equal(server.asked("/auth/refresh").length, 1);
}));

test("a wrong password and too many of them are told apart", inWorld(async (world, server) => {
  const { session } = world.open();
  const wrong = { username: "alice", password: "x" };
  await assert.rejects(world.run(session.login(wrong)), {
    name: "RefusedError", status: 401, reason: "bad_credentials", retryAfter: undefined,
  });
  const answer = refused("too_many_attempts", 429, { "retry-after": "30" });
  server.fault = () => ({ answer });
  await assert.rejects(world.run(session.login(wrong)), {
    name: "RefusedError", status: 429, reason: "too_many_attempts", retryAfter: 30,
  });
  assert.equal(server.log.length, 2);
}));

test("without a session, what needs one is refused without a request",
  inWorld(async (world, server) => {
    const { session } = world.open();
    await world.run(session.logout());
    for (const way of ["refresh", "sessions", "logoutAll", "endOthers"]) {
      await assert.rejects(session[way](), { name: "RefusedError", reason: "missing" }, way);
    }
    assert.equal(server.log.length, 0);
    assert.equal((await world.run(session.fetch("/public"))).status, 200);
  }));

for (const [transport, other] of [["bearer", "cookie"], ["cookie", "bearer"]]) {
  test(`${transport}: a server of the transport ${other} is told to the programmer`,
    inWorld(async (world, server) => {
      const { session } = world.open({ transport });
      const json = { session_id: "s", expires_in: 900, refresh_at: 10, server_time: 0 };
      if (other === "bearer") Object.assign(json, { access_token: "a", refresh_token: "r" });
      server.fault = () => ({ answer: { status: 200, json } });
      const login = session.login(credentials("alice"));
      await assert.rejects(world.run(login), { name: "TypeError", message: new RegExp(other) });
    }));
}
