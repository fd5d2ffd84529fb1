/**
 * A browser with tabs and a clock that the test moves by hand.
 *
 * Requests go over real sockets. `run` waits for all answers, and then moves to the next timer. So
 * a test of a pause of minutes takes milliseconds.
 */

import { createClient } from "../../gatepass.js";
import { FakeServer } from "./server.js";

const START = Date.UTC(2026, 10, 29, 12);

/** Calls `test` with a server and a world, and closes both. */
export function inWorld(test) {
  return async () => {
    const world = new World();
    const server = await new FakeServer(() => START + world.time).listen();
    world.server = server;
    try {
      await test(world, server);
    } finally {
      for (const session of world.sessions) session.close();
      server.close();
    }
  };
}

export class World {
  /** Milliseconds since the beginning, by the monotonic clock. */
  time = 0;
  /** The error of the wall clock. */
  wallError = 0;
  sessions = [];
  storage = new Map();
  jar = new Map();
  tabs = [];
  inFlight = 0;
  timers = new Set();
  locks = new FakeLocks();
  chance = 0.5;

  /** A client in its own tab, with `events` and `requests`. Its browser lacks `lacks`. */
  open({ transport = "bearer", lacks = [], ...options } = {}) {
    const tab = new Tab(this, lacks);
    this.tabs.push(tab);
    const session = createClient({
      base: `${this.server.origin}/auth`, transport, tabs: true,
      fetch: (...request) => tab.fetch(...request), environment: tab.environment, ...options,
    });
    this.sessions.push(session);
    const types = [
      "began", "refreshed", "changed", "ended", "unavailable", "available", "exchange",
    ];
    for (const type of types) {
      session.addEventListener(type, ({ detail }) => {
        tab.events.push({ type, ...detail });
        const isNews = type !== "exchange" && type !== "refreshed";
        if (isNews) tab.news.push(detail?.reason ? `${type}: ${detail.reason}` : type);
      });
    }
    return { session, tab, events: tab.events, news: tab.news };
  }

  /** The options of a client in its own tab, whose time runs five times as fast as ours. */
  tabInFastTime() {
    const tab = new Tab(this, []);
    this.tabs.push(tab);
    const { localStorage, locks, document, page, location } = tab.environment;
    return {
      fetch: (...request) => tab.fetch(...request),
      environment: {
        localStorage, locks, document, page, location,
        setTimeout: (task, delay) => setTimeout(task, delay / 5),
      },
    };
  }

  /** Opens a tab and logs in there. */
  async login(options, username = "alice") {
    const opened = this.open(options);
    await this.run(opened.session.login(credentials(username)));
    return opened;
  }

  /** Waits for `promise`. Moves the clock to the next timer whenever nothing else happens. */
  async run(promise) {
    let isDone = false;
    const end = () => { isDone = true; };
    promise.then(end, end);
    await this.settle();
    for (let steps = 0; !isDone; steps++) {
      const next = this.#nextTimer();
      if (!next || steps > 200) throw new Error("it waits for what doesn't come");
      this.#fire(next);
      await this.settle();
    }
    return promise;
  }

  /** Lets time pass, and runs everything that is due in it. */
  async advance(milliseconds) {
    const end = this.time + milliseconds;
    await this.settle();
    for (let next = this.#nextTimer(); next && next.at <= end; next = this.#nextTimer()) {
      this.#fire(next);
      await this.settle();
    }
    this.time = end;
  }

  /** Waits until every request is answered or held back, and its effects have happened. */
  async settle() {
    for (let quiet = 0; quiet < 12; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.inFlight > this.server.held.length) quiet = 0;
    }
  }

  #nextTimer() {
    return [...this.timers].filter((timer) => !timer.tab.isFrozen)
      .reduce((first, timer) => (!first || timer.at < first.at ? timer : first), null);
  }

  #fire(timer) {
    this.timers.delete(timer);
    this.time = Math.max(this.time, timer.at);
    timer.task();
  }
}

export function credentials(username) {
  return { username, password: { alice: "wonderland", bob: "builder" }[username], device: "test" };
}

class Tab {
  isFrozen = false;
  events = [];
  /** The events except exchanges and refreshes, as short texts. */
  news = [];
  requests = [];
  /** A function that may answer in place of the network. */
  network = null;
  page = new EventTarget();
  channels = new Set();
  #world;

  constructor(world, lacks) {
    this.#world = world;
    const tab = this;
    const document = Object.assign(new EventTarget(), {
      visibilityState: "visible", baseURI: `${world.server.origin}/page`,
    });
    this.document = document;
    this.environment = {
      document,
      page: this.page,
      location: new URL(`${world.server.origin}/page`),
      localStorage: this.#localStorage(),
      locks: world.locks,
      BroadcastChannel: class extends FakeChannel {
        constructor(name) { super(name, tab, world); }
      },
      now: () => world.time,
      wallClock: () => START + world.time + world.wallError,
      random: () => world.chance,
      setTimeout: (task, delay) => {
        const timer = { tab, task, at: world.time + delay };
        world.timers.add(timer);
        return timer;
      },
      clearTimeout: (timer) => world.timers.delete(timer),
    };
    for (const name of lacks) this.environment[name] = undefined;
  }

  /** `fetch` with the browser's cookies. */
  async fetch(input, init = {}) {
    const world = this.#world;
    const url = new URL(input.url ?? input);
    const isHome = url.origin === world.server.origin;
    const sends = isHome ? init.credentials !== "omit" : init.credentials === "include";
    const headers = new Headers(init.headers ?? input.headers);
    const cookie = [...world.jar].map((pair) => pair.join("=")).join("; ");
    if (sends && cookie) headers.set("cookie", cookie);
    this.requests.push({ url: url.href, init });
    world.inFlight += 1;
    try {
      const response = await (this.network ?? fetch)(input, { ...init, headers });
      for (const line of sends ? response.headers.getSetCookie?.() ?? [] : []) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
        if (line.includes("Max-Age=0")) world.jar.delete(name);
        else world.jar.set(name, value);
      }
      return response;
    } finally {
      world.inFlight -= 1;
    }
  }

  show() {
    this.isFrozen = false;
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  #localStorage() {
    const { storage, tabs } = this.#world;
    return {
      getItem: (key) => storage.get(key) ?? null,
      setItem: (key, value) => {
        storage.set(key, value);
        for (const tab of tabs) {
          if (tab === this || tab.isFrozen) continue;
          const event = Object.assign(new Event("storage"), { key, newValue: value });
          setImmediate(() => tab.page.dispatchEvent(event));
        }
      },
    };
  }
}

/** Delivers to the other tabs. A frozen tab misses it, as in the back/forward cache. */
class FakeChannel {
  onmessage = null;
  #name;
  #tab;
  #world;

  constructor(name, tab, world) {
    [this.#name, this.#tab, this.#world] = [name, tab, world];
    tab.channels.add(this);
  }

  postMessage(message) {
    const data = structuredClone(message);
    for (const tab of this.#world.tabs) {
      for (const channel of tab.channels) {
        if (channel === this || channel.#name !== this.#name || tab.isFrozen) continue;
        setImmediate(() => channel.onmessage?.({ data }));
      }
    }
  }

  close() {
    this.#tab.channels.delete(this);
    this.onmessage = null;
  }
}

class FakeLocks {
  #tails = new Map();

  /** Holds a lock forever. */
  hold(name) {
    this.request(name, {}, () => new Promise(() => {}));
  }

  async request(name, { signal }, task) {
    const before = this.#tails.get(name) ?? Promise.resolve();
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    this.#tails.set(name, before.then(() => held));
    try {
      await Promise.race([before, new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
      })]);
      return await task();
    } finally {
      release();
    }
  }
}
