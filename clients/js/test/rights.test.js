import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeServer, refused, unavailable } from "./support/server.js";
import { credentials, inWorld } from "./support/world.js";

const refreshes = (server) => server.asked("/auth/refresh").length;
const statuses = (server, path) =>
  server.log.filter((entry) => entry.path === path).map(({ status }) => status);
const changes = ({ events }) => events.filter(({ type }) => type === "changed")
  .map(({ scope, previousScope }) => [previousScope, scope]);

/** Sends a request by `session`, and returns its status. */
const me = async (world, session) => (await world.run(session.fetch("/me"))).status;

/** Tabs of one session. The first one has logged in. */
async function tabs(world, count, options) {
  const first = await world.login(options);
  const others = Array.from({ length: count - 1 }, () => world.open(options));
  for (const { session } of others) await world.run(session.restore());
  return [first, ...others];
}

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: a request is sent again after a right was taken away`,
    inWorld(async (world, server) => {
      const opened = await world.login({ transport });
      const { session, news } = opened;
      server.change("", true);
      assert.equal(await me(world, session), 200);
      assert.deepEqual(server.log.slice(-3).map(({ path, reason }) => [path, reason]),
        [["/me", "stale_grant"], ["/auth/refresh", undefined], ["/me", undefined]]);
      assert.equal(session.state.scope, "");
      assert.deepEqual(changes(opened), [["profile", ""]]);
      assert.deepEqual(news, ["began", "changed"]);
    }));

  test(`${transport}: ten requests that find their rights changed cause one refresh`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("", true);
      const all = Array.from({ length: 10 }, () => session.fetch("/me"));
      const responses = await world.run(Promise.all(all));
      assert.deepEqual(new Set(responses.map(({ status }) => status)), new Set([200]));
      assert.equal(refreshes(server), 1);
    }));

  test(`${transport}: rights may change again at once, and each time a refresh goes on with them`,
    inWorld(async (world, server) => {
      const opened = await world.login({ transport });
      for (const scope of ["", "profile", "admin profile"]) {
        server.change(scope, true);
        assert.equal(await me(world, opened.session), 200);
        assert.equal(opened.session.state.scope, scope);
      }
      assert.equal(refreshes(server), 3);
      assert.equal(changes(opened).length, 3);
    }));

  test(`${transport}: a refresh that was under way when the rights changed is done once more`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      const early = session.refresh();
      // In bearer transport it asks the other tabs first.
      await world.advance(200);
      assert.equal(server.held.length, 1);
      server.change("", true);
      server.fault = () => null;
      const response = session.fetch("/me");
      await world.settle();
      server.release();
      assert.equal((await world.run(response)).status, 200);
      await world.run(early);
      assert.deepEqual(statuses(server, "/me"), [401, 401, 200]);
      assert.equal(refreshes(server), 2);
      assert.equal(session.state.scope, "");
    }));

  test(`${transport}: a service that calls every token stale gets a request three times`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      const answer = refused("stale_grant");
      server.fault = ({ path }) => (path === "/me" ? { answer } : null);
      assert.equal(await me(world, session), 401);
      assert.deepEqual(statuses(server, "/me"), [401, 401, 401]);
      assert.deepEqual(news, ["began"]);
    }));

  test(`${transport}: an endpoint is asked again after a right was taken away`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("", true);
      assert.equal((await world.run(session.sessions())).length, 1);
      assert.deepEqual(statuses(server, "/auth/sessions"), [401, 200]);
    }));

  test(`${transport}: a right that is offered is fetched in the background, some seconds later`,
    inWorld(async (world, server) => {
      for (const [chance, delay] of [[0.2, 1_000], [0.999, 4_995]]) {
        const opened = await world.login({ transport });
        world.chance = chance;
        server.change("admin profile", false);
        const before = refreshes(server);
        const from = world.time;
        assert.equal(await me(world, opened.session), 200);
        assert.equal(world.time, from, "the request waits for nothing");
        await world.advance(delay - 1);
        assert.equal(refreshes(server), before);
        await world.advance(200);
        assert.equal(refreshes(server), before + 1);
        assert.equal(opened.session.state.scope, "admin profile");
        assert.deepEqual(changes(opened), [["profile", "admin profile"]]);
        await world.run(opened.session.logout());
      }
    }));

  test(`${transport}: twenty answers that offer a right cause one refresh`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("admin profile", false);
      for (let part = 0; part < 4; part++) {
        const requests = Array.from({ length: 5 }, () => session.fetch("/me"));
        await world.run(Promise.all(requests));
        await world.advance(200);
      }
      await world.advance(60_000);
      assert.equal(refreshes(server), 1);
      assert.equal(await me(world, session), 200);
      await world.advance(60_000);
      assert.equal(refreshes(server), 1, "the new token has it all");
    }));

  test(`${transport}: a refusal that comes with an offer leads to a request that is let in`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      const headers = { "gatepass-refresh": "grant_changed" };
      const answer = refused("insufficient_scope", 403, headers);
      server.fault = ({ path }) => (path === "/me" ? { answer } : null);
      assert.equal(await me(world, session), 403);
      server.fault = () => null;
      await world.advance(5_000);
      assert.equal(refreshes(server), 1);
    }));

  test(`${transport}: three tabs that are offered a right fetch it once, and each hears of it`,
    inWorld(async (world, server) => {
      const three = await tabs(world, 3, { transport });
      server.change("admin profile", false);
      for (const [index, { session }] of three.entries()) {
        // Two of them come at the same time.
        world.chance = index === 0 ? 0.9 : 0.5;
        await me(world, session);
      }
      await world.advance(60_000);
      assert.equal(refreshes(server), 1);
      for (const opened of three) {
        assert.equal(opened.session.state.scope, "admin profile");
        assert.deepEqual(changes(opened), [["profile", "admin profile"]]);
        assert.equal(await me(world, opened.session), 200);
      }
    }));

  for (const [failure, fault] of [
    ["is answered 503", { answer: unavailable(1) }],
    ["is answered 429", { answer: refused("too_many_requests", 429) }],
    ["is lost", { drop: true }],
  ]) {
    test(`${transport}: a refresh for an offered right that ${failure} changes nothing`,
      inWorld(async (world, server) => {
        const all = await tabs(world, 2, { transport });
        const [{ session, news }] = all;
        server.change("admin profile", false);
        server.fault = ({ path }) => (path === "/auth/refresh" ? fault : null);
        const exchanges = () => server.log.length;
        for (const opened of all) await me(world, opened.session);
        await world.advance(10_000);
        assert.equal(refreshes(server), 1, "one attempt, by one tab");
        assert.equal(session.state.scope, "profile");
        assert.deepEqual(news, ["began"]);
        server.fault = () => null;
        const before = exchanges();
        for (const opened of all) assert.equal(await me(world, opened.session), 200);
        await world.advance(60_000);
        assert.equal(exchanges(), before + 2, "and it isn't tried again for this token");
        await world.advance(session.state.refreshIn + 1_000);
        assert.equal(refreshes(server), 2, "until the next refresh is due");
        assert.equal(session.state.scope, "admin profile");
        for (const opened of all) assert.deepEqual(opened.news, ["began", "changed"]);
      }));
  }

  test(`${transport}: of two tabs that wait for a third one to follow an offer, one asks`,
    inWorld(async (world, server) => {
      const [third, ...two] = await tabs(world, 3, { transport });
      server.change("admin profile", false);
      const down = { answer: unavailable(60) };
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true, ...down } : null);
      const running = third.session.refresh();
      running.catch(() => {});
      await world.advance(200);
      for (const { session } of two) await me(world, session);
      await world.advance(5_000);
      assert.equal(refreshes(server), 1);
      server.fault = ({ path }) => (path === "/auth/refresh" ? down : null);
      server.release();
      await world.advance(1_000);
      assert.equal(refreshes(server), 2);
    }));

  test(`${transport}: an offer to a new access token needs no other answer`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("admin profile", false);
      world.chance = 0.9;
      await me(world, session);
      await world.run(session.refresh());
      server.change("profile", false);
      world.chance = 0.1;
      await me(world, session);
      await world.advance(10_000);
      assert.equal(session.state.scope, "profile");
    }));

  test(`${transport}: an offer that comes while a refresh is under way causes no other one`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport, lacks: ["locks"] });
      server.change("admin profile", false);
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      const running = session.refresh();
      await world.advance(200);
      await me(world, session);
      await world.advance(10_000);
      server.fault = () => null;
      server.release();
      await world.run(running);
      await world.advance(10_000);
      assert.equal(refreshes(server), 1);
    }));

  test(`${transport}: a refresh that another tab has under way is the one that fetches a right`,
    inWorld(async (world, server) => {
      const [first, second] = await tabs(world, 2, { transport });
      server.change("admin profile", false);
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      const running = first.session.refresh();
      await world.advance(200);
      await me(world, second.session);
      await world.advance(6_000);
      server.fault = () => null;
      server.release();
      await world.run(running);
      await world.advance(10_000);
      assert.equal(refreshes(server), 1);
      assert.deepEqual(changes(second), [["profile", "admin profile"]]);
    }));

  test(`${transport}: a refresh that begins between an offer and its time is the only one`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport, lacks: ["locks"] });
      server.change("admin profile", false);
      await me(world, session);
      server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true } : null);
      const running = session.refresh();
      await world.advance(10_000);
      server.fault = () => null;
      server.release();
      await world.run(running);
      await world.advance(10_000);
      assert.equal(refreshes(server), 1);
    }));

  test(`${transport}: an offer to a session that was replaced refreshes no other one`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("admin profile", false);
      server.fault = ({ path }) => (path === "/me" ? { hold: true } : null);
      const response = session.fetch("/me");
      await world.settle();
      await world.run(session.login(credentials("bob")));
      server.release();
      await world.run(response);
      await world.advance(10_000);
      assert.equal(refreshes(server), 0);
    }));

  test(`${transport}: the first of several offers says when, and others don't hasten it`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      server.change("admin profile", false);
      for (const chance of [0.9, 0.1, 0.1]) {
        world.chance = chance;
        await me(world, session);
      }
      await world.advance(4_400);
      assert.equal(refreshes(server), 0);
      await world.advance(300);
      assert.equal(refreshes(server), 1);
    }));

  test(`${transport}: a refresh that is owed isn't doubled by an offer`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      const down = { answer: unavailable(50) };
      server.fault = ({ path }) => (path === "/auth/refresh" ? down : null);
      await assert.rejects(world.run(session.refresh()), { name: "UnavailableError" });
      server.change("admin profile", false);
      await me(world, session);
      await world.advance(20_000);
      assert.equal(refreshes(server), 1);
    }));

  for (const [outcome, fault] of [["succeeds", {}], ["fails", { answer: unavailable(60) }]]) {
    test(`${transport}: a refresh that is wanted waits for one in the background, which ${outcome}`,
      inWorld(async (world, server) => {
        const { session } = await world.login({ transport, lacks: ["locks"] });
        server.change("admin profile", false);
        await me(world, session);
        server.fault = ({ path }) => (path === "/auth/refresh" ? { hold: true, ...fault } : null);
        await world.advance(5_000);
        assert.equal(server.held.length, 1);
        server.fault = () => null;
        await me(world, session);
        await world.advance(5_000);
        const wanted = session.refresh();
        await world.settle();
        assert.equal(refreshes(server), 1);
        server.release();
        assert.equal((await world.run(wanted)).scope, "admin profile");
        assert.equal(refreshes(server), outcome === "fails" ? 2 : 1);
      }));
  }

  test(`${transport}: an offer to a session that was ended elsewhere tells its end`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      server.change("admin profile", false);
      await me(world, session);
      server.end("reused");
      await world.advance(5_000);
      assert.equal(session.state, null);
      assert.deepEqual(news, ["began", "ended: reused"]);
    }));

  for (const leave of ["logout", "close"]) {
    test(`${transport}: an offer is followed no more after ${leave}`,
      inWorld(async (world, server) => {
        const { session } = await world.login({ transport });
        server.change("admin profile", false);
        await me(world, session);
        await world.run(Promise.resolve(session[leave]()));
        await me(world, session);
        await world.advance(10_000);
        assert.equal(refreshes(server), 0);
      }));
  }

  test(`${transport}: another origin can't offer anything`, inWorld(async (world, server) => {
    const elsewhere = await new FakeServer().listen();
    const headers = { "gatepass-refresh": "grant_changed", "access-control-allow-origin": "*" };
    elsewhere.fault = () => ({ answer: { status: 200, json: {}, headers } });
    const { session } = await world.login({ transport });
    await world.run(session.fetch(`${elsewhere.origin}/me`));
    await world.run(session.fetch(`/redirect?to=${elsewhere.origin}/me`));
    await world.advance(10_000);
    assert.equal(refreshes(server), 0);
    elsewhere.close();
  }));

  test(`${transport}: a hint of a later version of the server is ignored`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      const answer = { status: 200, json: {}, headers: { "gatepass-refresh": "keys_changed" } };
      server.fault = ({ path }) => (path === "/me" ? { answer } : null);
      assert.equal(await me(world, session), 200);
      await world.advance(10_000);
      assert.equal(refreshes(server), 0);
    }));

  test(`${transport}: a refresh that leaves the scopes as they are tells of no change`,
    inWorld(async (world) => {
      const opened = await world.login({ transport });
      await world.run(opened.session.refresh());
      assert.deepEqual(changes(opened), []);
    }));
}

test("an exchange says that it came with an offer", inWorld(async (world, server) => {
  const { session, events } = await world.login();
  await me(world, session);
  server.change("admin profile", false);
  await me(world, session);
  const hints = events.filter(({ path }) => path === "/me").map(({ refreshHint }) => refreshHint);
  assert.deepEqual(hints, [undefined, "grant_changed"]);
}));

test("a listener that logs out when it hears of a refresh hears of no change after the end",
  inWorld(async (world, server) => {
    const { session, news } = await world.login();
    session.addEventListener("refreshed", () => session.logout());
    server.change("", true);
    await world.run(session.fetch("/me").catch(() => {}));
    assert.deepEqual(news, ["began", "ended: logged_out"]);
  }));
