/**
 * Tests of the client that run in browsers and in Node, against any gatepass server.
 *
 * Each has a `name`, and `run({ open, assert, baseUrl, transport, credentials })`. `open()` returns
 * a client in a tab of its own. The network may lose answers: a test fails only if the user notices
 * a failure that the client should have fixed. Nothing here waits for real time.
 */

/**
 * Repeats a login, as a user would. The client doesn't send a login again, since each one makes a
 * session.
 */
async function login(session, credentials) {
  for (let tries = 1; ; tries++) {
    try {
      return await session.login(credentials);
    } catch (error) {
      if (error.name !== "UnavailableError" || tries === 5) throw error;
    }
  }
}

/** A request of the application, which may also be lost. Its user reloads the page. */
async function status(session, path, init) {
  for (let tries = 1; ; tries++) {
    try {
      return (await session.fetch(path, init)).status;
    } catch (error) {
      if (!(error instanceof TypeError) || tries === 5) throw error;
    }
  }
}

/** Waits until `isTrue`, for reports of other tabs. */
async function until(isTrue) {
  for (let tries = 0; tries < 200 && !isTrue(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return isTrue();
}

function endsOf(session) {
  const reasons = [];
  session.addEventListener("ended", ({ detail }) => reasons.push(detail.reason));
  return reasons;
}

function refreshesOf(...sessions) {
  const all = [];
  for (const session of sessions) {
    session.addEventListener("exchange", ({ detail }) => {
      if (detail.path.endsWith("/refresh")) all.push(detail.status);
    });
  }
  return all;
}

export const tests = [
  {
    name: "a login begins a session, and a request of it is let in",
    async run({ open, assert, baseUrl, credentials }) {
      const session = open();
      const state = await login(session, credentials);
      assert.ok(state.sessionId && state.expiresIn > 0 && state.refreshIn <= state.expiresIn);
      assert.equal(await status(session, `${baseUrl}/sessions`), 200);
      await session.logout();
      assert.equal(session.state, null);
      assert.equal(await status(session, `${baseUrl}/sessions`), 401);
    },
  },
  {
    name: "a wrong password is refused, and begins nothing",
    async run({ open, assert, credentials }) {
      const session = open();
      const wrong = { ...credentials, password: "not the password" };
      await assert.rejects(login(session, wrong), "bad_credentials");
      assert.equal(session.state, null);
    },
  },
  {
    name: "a session stays after twelve refreshes",
    async run({ open, assert, baseUrl, credentials }) {
      const session = open();
      const ends = endsOf(session);
      await login(session, credentials);
      for (let count = 0; count < 12; count++) await session.refresh();
      assert.equal(await status(session, `${baseUrl}/sessions`), 200);
      assert.equal(ends, []);
      await session.logout();
      assert.equal(ends, ["logged_out"]);
    },
  },
  {
    name: "three tabs that refresh at once stay logged in, by one refresh",
    async run({ open, assert, baseUrl, credentials }) {
      const tabs = [open(), open(), open()];
      await login(tabs[0], credentials);
      for (const tab of tabs) assert.ok(await tab.restore());
      const refreshes = refreshesOf(...tabs);
      await Promise.all(tabs.map((tab) => tab.refresh()));
      const answered = refreshes.filter((status) => status === 200);
      if (globalThis.navigator?.locks) assert.equal(answered.length, 1);
      for (const tab of tabs) assert.equal(await status(tab, `${baseUrl}/sessions`), 200);
      await tabs[2].logout();
    },
  },
  {
    name: "a logout in one tab signs the others out, and tells each once",
    async run({ open, assert, credentials }) {
      const tabs = [open(), open(), open()];
      const ends = tabs.map(endsOf);
      await login(tabs[0], credentials);
      for (const tab of tabs) await tab.restore();
      await tabs[1].logout();
      assert.ok(await until(() => tabs.every(({ state }) => state === null)));
      assert.equal(ends, [["logged_out"], ["logged_out"], ["logged_out"]]);
    },
  },
  {
    name: "a page that is loaded anew finds its session",
    async run({ open, assert, baseUrl, credentials }) {
      const first = open();
      const { sessionId } = await login(first, credentials);
      const second = open();
      assert.equal((await second.restore())?.sessionId, sessionId);
      assert.equal(await status(second, `${baseUrl}/sessions`), 200);
      await second.logout();
      assert.equal(await open().restore(), null);
    },
  },
  {
    name: "the list has this session, and another one can be ended",
    async run({ open, assert, credentials }) {
      const session = open();
      const { sessionId } = await login(session, { ...credentials, device: "a test" });
      const own = (await session.sessions()).filter(({ current }) => current);
      assert.equal(own.map(({ id, device }) => [id, device]), [[sessionId, "a test"]]);
      await session.endOthers();
      assert.equal((await session.sessions()).length, 1);
      const ends = endsOf(session);
      await session.endSession(sessionId);
      assert.equal(ends, ["logged_out"]);
    },
  },
  {
    name: "a logout everywhere ends this session",
    async run({ open, assert, baseUrl, credentials }) {
      const session = open();
      const ends = endsOf(session);
      await login(session, credentials);
      await session.logoutAll();
      assert.equal(ends, ["logged_out"]);
      assert.equal(await status(session, `${baseUrl}/sessions`), 401);
    },
  },
  {
    name: "a session that was ended elsewhere is over here, and says why",
    async run({ open, assert, baseUrl, credentials, transport }) {
      // This needs two sessions in one browser, and cookies have room for one.
      if (transport === "cookie") return;
      const [one, other] = [open({ tabs: false }), open({ tabs: false })];
      const ends = endsOf(one);
      const { sessionId } = await login(one, credentials);
      await login(other, credentials);
      await other.endSession(sessionId);
      // Another node of the server may learn of it a little later.
      for (let tries = 0; tries < 50 && ends.length === 0; tries++) {
        await status(one, `${baseUrl}/sessions`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.ok(["revoked", "session_ended"].includes(ends[0]), ends[0]);
      await other.logout();
    },
  },
  {
    name: "no token is in the page's storage, its cookies, its URLs, an event or the client",
    async run({ open, assert, credentials, transport }) {
      const session = open();
      const seen = [];
      for (const type of ["began", "refreshed", "exchange"]) {
        session.addEventListener(type, ({ detail }) => seen.push(detail));
      }
      await login(session, credentials);
      await session.refresh();
      await session.sessions();
      seen.push(session, Object.getOwnPropertyNames(session), session.state);
      seen.push(globalThis.document?.cookie);
      for (const place of ["localStorage", "sessionStorage"]) {
        if (globalThis.document) seen.push({ ...globalThis[place] });
      }
      seen.push(globalThis.performance?.getEntriesByType?.("resource").map(({ name }) => name));
      const text = JSON.stringify(seen);
      // A refresh token, a whole access token, and the tokens of the fake server.
      assert.ok(!/gpr_[\w-]{8}|eyJ[\w-]+\.|access-of-/.test(text), "a token can be seen");
      const exchanges = seen.filter((detail) => detail?.path);
      assert.ok(exchanges.length >= 3);
      const names = new Set(exchanges.flatMap(({ tokens }) => Object.keys(tokens)));
      const expected = transport === "cookie" ? [] : ["access_token", "refresh_token"];
      assert.equal([...names].sort(), expected);
      await session.logout();
    },
  },
];
