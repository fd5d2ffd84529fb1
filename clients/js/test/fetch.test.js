import assert from "node:assert/strict";
import { test } from "node:test";

import { inWorld } from "./support/world.js";
import { FakeServer, refused, unavailable } from "./support/server.js";

/** Answers the next requests to `path` with `queue`. */
function answers(server, path, ...queue) {
  server.fault = (entry) => {
    const answer = entry.path === path ? queue.shift() : undefined;
    return answer && { answer };
  };
}

const statuses = (server, path) =>
  server.log.filter((entry) => entry.path === path).map(({ status }) => status);

const OVER = ["revoked", "unknown_session", "session_ended", "refresh_expired", "reused"];

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: a request is sent again once after a 401 expired`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport });
      answers(server, "/me", refused("expired"));
      assert.equal((await world.run(session.fetch("/me"))).status, 200);
      assert.deepEqual(statuses(server, "/me"), [401, 200]);
      assert.equal(server.asked("/auth/refresh").length, 1);
      answers(server, "/me", refused("expired"), refused("expired"), refused("expired"));
      assert.equal((await world.run(session.fetch("/me"))).status, 401);
      assert.deepEqual(statuses(server, "/me"), [401, 200, 401, 401]);
    }));

  test(`${transport}: ten requests that find the token expired cause one refresh`,
    inWorld(async (world, server) => {
      const { session } = await world.login({ transport, tabs: transport === "cookie" });
      answers(server, "/me", ...Array.from({ length: 10 }, () => refused("expired")));
      const all = Array.from({ length: 10 }, () => session.fetch("/me"));
      const responses = await world.run(Promise.all(all));
      assert.deepEqual(new Set(responses.map(({ status }) => status)), new Set([200]));
      assert.equal(server.asked("/auth/refresh").length, 1);
    }));

  for (const reason of ["reused", "session_ended", "unknown_session"]) {
    test(`${transport}: a 401 revoked ends the session in every tab, as ${reason} if a refresh is`,
      inWorld(async (world, server) => {
        const { session, news } = await world.login({ transport });
        const other = world.open({ transport });
        await world.run(other.session.restore());
        server.end(reason);
        const response = await world.run(session.fetch("/me"));
        assert.equal((await response.json()).reason, "revoked");
        await world.settle();
        assert.equal(session.state, null);
        assert.deepEqual(news, ["began", `ended: ${reason}`]);
        assert.deepEqual(other.news, ["began", `ended: ${reason}`]);
        assert.equal(server.asked("/auth/refresh").length, 1);
      }));
  }

  for (const reason of OVER) {
    test(`${transport}: a 401 ${reason} of the application ends no session that lives`,
      inWorld(async (world, server) => {
        const { session, news } = await world.login({ transport });
        const other = world.open({ transport });
        await world.run(other.session.restore());
        answers(server, "/me", refused(reason));
        assert.equal((await world.run(session.fetch("/me"))).status, 200);
        assert.deepEqual(statuses(server, "/me"), [401, 200]);
        assert.deepEqual([news, other.news], [["began"], ["began"]]);
      }));
  }

  test(`${transport}: a service that calls every session over causes one refresh each minute`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      const answer = refused("revoked");
      server.fault = ({ path }) => (path === "/me" ? { answer } : null);
      for (const refreshes of [1, 1, 2, 2]) {
        const requests = Array.from({ length: 5 }, () => session.fetch("/me"));
        const responses = await world.run(Promise.all(requests));
        for (const { status } of responses) assert.equal(status, 401);
        assert.equal(server.asked("/auth/refresh").length, refreshes);
        await world.advance(31_000);
      }
      assert.deepEqual(news, ["began"]);
    }));

  test(`${transport}: a 401 revoked waits for a store that is down, and ends nothing until then`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      server.end("session_ended");
      server.fault = ({ path }) => (path === "/auth/refresh" ? { answer: unavailable() } : null);
      await assert.rejects(world.run(session.fetch("/me")), { name: "UnavailableError" });
      assert.equal(news.some((what) => what.startsWith("ended")), false, news.join());
      server.fault = () => null;
      await world.advance(60_000);
      assert.equal(news.at(-1), "ended: session_ended");
    }));

  for (const [path, status] of [["/admin", 403], ["/billing", 401]]) {
    test(`${transport}: ${path} answers ${status}, which the caller gets`,
      inWorld(async (world, server) => {
        const { session, news } = await world.login({ transport });
        const response = await world.run(session.fetch(path));
        assert.equal(response.status, status);
        assert.ok((await response.json()).reason);
        assert.equal(server.asked("/auth/refresh").length, 0);
        assert.deepEqual(news, ["began"]);
      }));
  }

  test(`${transport}: a request is sent again after a gate's 503, whatever its method`,
    inWorld(async (world, server) => {
      const { session, news } = await world.login({ transport });
      world.chance = 0;
      answers(server, "/orders", unavailable(3), unavailable(3));
      const begin = world.time;
      const response = await world.run(session.fetch("/orders", { method: "POST", body: "tea" }));
      assert.equal(response.status, 201);
      assert.equal(world.time - begin, 6_000);
      assert.deepEqual(server.orders, ["tea"]);
      assert.deepEqual(news, ["began", "unavailable", "unavailable", "available"]);
    }));
}

test("a gate's 503 is handed through after four attempts, and a long one at once",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    answers(server, "/me", ...Array.from({ length: 9 }, () => unavailable()));
    assert.equal((await world.run(session.fetch("/me"))).status, 503);
    assert.equal(statuses(server, "/me").length, 4);
    answers(server, "/me", unavailable(60));
    assert.equal((await world.run(session.fetch("/me"))).status, 503);
    assert.equal(statuses(server, "/me").length, 5);
  }));

test("an application's own 503 is waited for if the method is idempotent",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    const busy = { status: 503, json: { error: "busy" }, headers: { "retry-after": "1" } };
    answers(server, "/orders", busy, busy);
    const put = await world.run(session.fetch("/orders", { method: "PUT", body: "tea" }));
    assert.equal(put.status, 201);
    answers(server, "/orders", busy);
    const post = await world.run(session.fetch("/orders", { method: "POST", body: "tea" }));
    assert.equal(post.status, 503);
  }));

test("a caller can abort the wait for a 503", inWorld(async (world, server) => {
  const { session } = await world.login();
  answers(server, "/me", unavailable());
  const abort = new AbortController();
  const response = session.fetch("/me", { signal: abort.signal });
  response.catch(() => {});
  await world.settle();
  abort.abort();
  await assert.rejects(response, { name: "AbortError" });
}));

test("a Request with a body and headers is sent again as it was",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    answers(server, "/orders", refused("expired"));
    const request = new Request(`${server.origin}/orders`, {
      method: "POST", body: "tea", headers: { "x-note": "hot" },
    });
    assert.equal((await world.run(session.fetch(request))).status, 201);
    const sent = server.asked("/orders").map(({ body, headers }) => [body, headers["x-note"]]);
    assert.deepEqual(sent, [["tea", "hot"], ["tea", "hot"]]);
  }));

test("a stream is sent once, and the next request has a new token",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    for (const answer of [refused("expired"), unavailable()]) {
      answers(server, "/orders", answer);
      const body = new Blob(["tea"]).stream();
      const init = { method: "POST", body, duplex: "half" };
      assert.equal((await world.run(session.fetch("/orders", init))).status, answer.status);
    }
    assert.equal(server.asked("/orders").length, 2);
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));

test("headers and credentials of the caller stay", inWorld(async (world, server) => {
  const { session, tab } = await world.login();
  const headers = { authorization: "Basic YTpi", "x-note": "hot" };
  const init = { headers, credentials: "omit" };
  const response = await world.run(session.fetch("/me", init));
  assert.equal(response.status, 401);
  assert.equal(server.log.at(-1).headers.authorization, "Basic YTpi");
  assert.equal(server.log.at(-1).headers["x-note"], "hot");
  assert.equal(tab.requests.at(-1).init.credentials, "omit");
  assert.equal(server.asked("/auth/refresh").length, 0);
  assert.notEqual(session.state, null);
}));

for (const transport of ["bearer", "cookie"]) {
  test(`${transport}: another origin gets no credentials and ends no session`,
    inWorld(async (world, server) => {
      const elsewhere = await new FakeServer().listen();
      elsewhere.fault = () => ({ answer: refused("revoked") });
      const { session, tab, news } = await world.login({ transport });
      await world.run(session.fetch(`${elsewhere.origin}/me`));
      await world.run(session.fetch(new URL(`${elsewhere.origin}/me`)));
      await world.run(session.fetch(new Request(`${elsewhere.origin}/me`)));
      await world.run(session.fetch(`/redirect?to=${elsewhere.origin}/me`));
      assert.equal(elsewhere.log.length, 4);
      for (const { headers } of elsewhere.log) assert.equal(headers.authorization, undefined);
      const toOthers = tab.requests.filter(({ url }) => url.startsWith(elsewhere.origin));
      for (const { init } of toOthers) assert.equal(init.credentials, undefined);
      assert.deepEqual(news, ["began"]);
      elsewhere.close();
    }));

  test(`${transport}: an origin that the application names gets them`,
    inWorld(async (world) => {
      const api = await new FakeServer().listen();
      api.fault = () => ({ answer: { status: 200, json: {} } });
      const { session, tab } = await world.login({ transport, origins: [api.origin] });
      await world.run(session.fetch(`${api.origin}/me`));
      const isBearer = transport === "bearer";
      assert.equal(/^Bearer access-of/.test(api.log[0].headers.authorization), isBearer);
      assert.equal(tab.requests.at(-1).init.credentials, isBearer ? undefined : "include");
      api.close();
    }));

  test(`${transport}: an origin that the application names ends no session that lives`,
    inWorld(async (world) => {
      const api = await new FakeServer().listen();
      api.fault = () => ({ answer: refused("revoked") });
      const { session, news } = await world.login({ transport, origins: [api.origin] });
      assert.equal((await world.run(session.fetch(`${api.origin}/me`))).status, 401);
      assert.equal((await world.run(session.fetch("/me"))).status, 200);
      assert.deepEqual(news, ["began"]);
      api.close();
    }));
}

test("a token that is taken nowhere causes one refresh, not one by each request",
  inWorld(async (world, server) => {
    const { session, news } = await world.login();
    const answer = refused("wrong_audience");
    server.fault = ({ path }) => (path === "/me" ? { answer } : null);
    for (let request = 0; request < 5; request++) {
      assert.equal((await world.run(session.fetch("/me"))).status, 401);
    }
    assert.equal(server.asked("/auth/refresh").length, 1);
    assert.deepEqual(news, ["began"]);
  }));

test("a HEAD that finds the token expired refreshes, though its 401 has no body",
  inWorld(async (world, server) => {
    const { session } = await world.login();
    answers(server, "/me", refused("expired"));
    assert.equal((await world.run(session.fetch("/me", { method: "HEAD" }))).status, 200);
  }));

test("an application's own 401 is handed through", inWorld(async (world, server) => {
  const { session, news } = await world.login();
  answers(server, "/me", { status: 401, json: { message: "the door is locked" } });
  const response = await world.run(session.fetch("/me"));
  assert.deepEqual(await response.json(), { message: "the door is locked" });
  assert.equal(server.asked("/auth/refresh").length, 0);
  assert.deepEqual(news, ["began"]);
}));

test("cookie: a lost access cookie is made anew by one refresh",
  inWorld(async (world, server) => {
    const { session } = await world.login({ transport: "cookie" });
    world.jar.delete("gatepass");
    assert.equal((await world.run(session.fetch("/me"))).status, 200);
    assert.equal(server.asked("/auth/refresh").length, 1);
  }));

test("cookie: a browser that has lost its cookies ends the session",
  inWorld(async (world) => {
    const { session, news } = await world.login({ transport: "cookie" });
    world.jar.clear();
    assert.equal((await world.run(session.fetch("/me"))).status, 401);
    assert.deepEqual(news, ["began", "ended: missing"]);
  }));

test("the list of sessions has every page", inWorld(async (world) => {
  const { session } = await world.login({ tabs: false });
  for (let more = 0; more < 4; more++) await world.login({ tabs: false });
  const listed = await world.run(session.sessions());
  assert.equal(listed.length, 5);
  assert.deepEqual(listed.map(({ current }) => current), [true, false, false, false, false]);
}));

test("a list of sessions that has no end is an error", inWorld(async (world, server) => {
  const { session } = await world.login();
  for (const pages of [["1"], ["1", "2"]]) {
    let asked = 0;
    server.fault = ({ path }) => {
      const next = pages[asked % pages.length];
      if (path !== "/auth/sessions") return null;
      asked += 1;
      return { answer: { status: 200, json: { sessions: [], next } } };
    };
    await assert.rejects(world.run(session.sessions()), { name: "Error", message: /no end/ });
    assert.equal(asked, pages.length + 1);
  }
}));

test("a request that was answered as for another user's session isn't repeated for this one",
  inWorld(async (world, server) => {
    const { session } = await world.login({ transport: "cookie" });
    const fault = { hold: true, answer: refused("revoked") };
    server.fault = ({ path }) => (path === "/me" ? fault : null);
    const response = session.fetch("/me");
    await world.settle();
    server.fault = () => null;
    await world.run(session.login({ username: "bob", password: "builder" }));
    server.release();
    assert.equal((await world.run(response)).status, 401);
    assert.notEqual(session.state, null);
    assert.equal(statuses(server, "/me").length, 1);
  }));

