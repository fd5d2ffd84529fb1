/**
 * A client of gatepass for browsers and Node 18 or newer.
 *
 * `createClient` returns a session: log in with it, call its `fetch` as you would call `fetch`, and
 * listen to its events. README.md has examples, gatepass.d.ts documents each member.
 *
 * Rules that the code keeps:
 *
 * - No object that this module returns has a token as a property. In cookie transport the module
 *   never sees one.
 * - A result counts only if its session is still the current one. For example, the answer to a
 *   refresh that arrives after a logout changes nothing.
 * - After a lost answer, the client repeats only a request that the server answers twice: a
 *   refresh, a logout or a list, and never a login.
 */

/** Attempts of one request while a caller waits for it. */
const TRIES = 4;
/** The server gives its store 3 s and its authenticator 10 s. */
const ANSWER_TIMEOUT = 15_000;
/** Longer than a tab holds the lock, which is one `ANSWER_TIMEOUT` and a question to other tabs. */
const LOCK_TIMEOUT = 16_000;
/** A caller doesn't wait longer than this before the next attempt. */
const LONGEST_WAIT = 10_000;
/** A proxy's `Retry-After` may be a day, which must not keep the user out after the outage. */
const SLOWEST_RETRY = 60_000;
/** A service that calls every session over causes a refresh no more often than this. */
const DOUBT_PAUSE = 60_000;
/** Other tabs answer in a few milliseconds, unless the browser has frozen them. */
const TABS_TIMEOUT = 100;
/** A token that expires sooner may have expired when the server reads it. */
const EXPIRY_MARGIN = 5_000;
/** gatepass's own `Retry-After`. A page of another origin can't read the header without CORS. */
const USUAL_RETRY_AFTER = 2;
/**
 * A service may offer a right to all of its users at once. This delay spreads their refreshes, and
 * a user who has just paid still sees the new menu within seconds.
 */
const OFFER_SPREAD = 5_000;
const LONGEST_TIMER = 2 ** 31 - 1;

/** Reasons of a 401 that say that a session is over. */
const OVER = new Set(["revoked", "unknown_session", "session_ended", "refresh_expired", "reused"]);
/** Reasons of a 401 that every good access token gets in time. */
const OUTDATED = new Set(["expired", "stale_grant"]);
/** Reasons of a 401 that another access token may fix. */
const RENEWABLE = new Set([
  ...OUTDATED, "malformed", "bad_signature", "unknown_key", "wrong_type", "wrong_issuer",
  "wrong_audience", "not_yet_valid",
]);
/** The value of `Gatepass-Refresh` that offers other rights. */
const OFFER = "grant_changed";
/** The methods of RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** Makes a client of the endpoints at `options.base`. It sends nothing before you call it. */
export function createClient(options = {}) {
  return new Session(options);
}

/** The server has refused, with a reason. */
export class RefusedError extends Error {
  constructor(status, reason, description, retryAfter) {
    super(description || reason);
    this.name = "RefusedError";
    this.status = status;
    this.reason = reason;
    this.description = description;
    this.retryAfter = retryAfter;
  }
}

/** The server didn't answer, or can't answer now. It has refused nothing. */
export class UnavailableError extends Error {
  constructor(message, retryAfter, cause) {
    super(message, cause && { cause });
    this.name = "UnavailableError";
    this.retryAfter = retryAfter;
  }
}

/** Node 18 has no global `CustomEvent`. */
class SessionEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

class Session extends EventTarget {
  #environment;
  #fetch;
  #base;
  #origins;
  #isCookie;
  #storage;
  /** The name of the lock, the channel, and the entry in localStorage. */
  #name;
  #channel = null;
  #onNews = () => {};
  #listening = new AbortController();

  /**
   * The current session. Each refresh replaces the whole object: its `id`, its `scope`, when it
   * `began`, the number of its refreshes (`turn`), when the client `sent` the request for its
   * tokens, the times from there on, and in bearer transport `access` and `refresh`.
   */
  #session = null;
  /** Counts the sessions that have been current. */
  #epoch = 0;
  /** Aborts a refresh when its session isn't the current one any more. */
  #current = new AbortController();
  /**
   * Ended sessions, with the time of the end. Tokens that the client asked for later prove that a
   * session lives after all. After a logout nothing does: its time is infinite.
   */
  #over = new Map();
  #endedBy = "missing";
  /** A session that the user ended here. The server may not know yet. */
  #leaving = null;
  #logouts = 0;

  #refreshing = null;
  #timer;
  /** Starts the refresh after an offer of other rights. */
  #offerTimer;
  /** That refresh, which never rejects. */
  #following = Promise.resolve();
  /** The session and turn of the last access token for which a tab has followed an offer. */
  #followed;
  /** Failed operations in a row, of `TRIES` attempts each. If there are any, a refresh is due. */
  #failures = 0;
  /** The server asked for no attempt before this time (monotonic clock). */
  #notBefore = 0;
  /** The turn of an access token that a refresh brought after the server took no other. */
  #distrusted;
  /** When a refresh last proved that a session lives although a service had called it over. */
  #doubtedAt = -Infinity;
  #outage = null;
  #storing = Promise.resolve();

  constructor({ base = "/auth", transport = "bearer", fetch, storage, origins = [], tabs,
    environment } = {}) {
    super();
    if (transport !== "bearer" && transport !== "cookie") {
      throw new TypeError('`transport` is neither "bearer" nor "cookie"');
    }
    this.#environment = { ...surroundings(), ...environment };
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#base = absolute(base, this.#environment.location?.href);
    this.#origins = new Set([this.#base.origin, ...origins.map((own) => new URL(own).origin)]);
    this.#isCookie = transport === "cookie";
    this.#storage = this.#isCookie ? undefined : storage;
    this.#name = `gatepass:${this.#base.href}`;
    this.#listen(tabs ?? this.#environment.document !== undefined);
  }

  /** The known part of the current session, or `null`. Times are milliseconds from now. */
  get state() {
    const session = this.#session;
    if (!session) return null;
    const elapsed = this.#elapsed(session);
    return {
      sessionId: session.id,
      scope: session.scope,
      expiresIn: Math.max(0, session.expiresAfter - elapsed),
      refreshIn: Math.max(0, session.refreshAfter - elapsed),
    };
  }

  async login(credentials) {
    const logouts = this.#logouts;
    const json = this.#isCookie ? { ...credentials, transport: "cookie" } : credentials;
    // The lock keeps a refresh's late answer from putting the former session's cookies over these.
    return this.#exclusively(async () => {
      const sent = this.#moment();
      const session = this.#read(await this.#ask("POST", "/login", { json }), sent, null);
      if (this.#logouts !== logouts) {
        this.#retire(session);
        throw new RefusedError(401, "logged_out", "a logout has overtaken the login");
      }
      const replaced = this.#session ?? this.#leaving;
      this.#leaving = null;
      await this.#keep(session, "began");
      // In cookie transport, the server does this itself.
      if (replaced && !this.#isCookie) this.#retire(replaced);
      return this.state;
    });
  }

  async restore() {
    const wasEnded = this.#stored()?.ended !== undefined;
    await this.#catchUp(true);
    if (!this.#session && !this.#isCookie) return null;
    if (this.#session && !this.#hasExpired()) {
      this.#wake();
      return this.state;
    }
    const wasKnown = this.#session !== null;
    try {
      await this.#refresh();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // The cookies told of a session whose end this browser's pages haven't learned.
      const isNews = !wasKnown && !wasEnded && error.reason !== "missing";
      if (isNews) {
        const at = this.#environment.wallClock();
        this.#tell({ type: "ended", id: "", reason: error.reason, at });
        this.#fire("ended", { reason: error.reason });
      }
    }
    return this.state;
  }

  async refresh() {
    if (this.#session || this.#isCookie) await this.#refresh();
    if (!this.#session) throw this.#noSession();
    return this.state;
  }

  async reauthenticate(credentials) {
    const sent = this.#moment();
    const answer = await this.#authorized("POST", "/reauthenticate", { json: credentials });
    const session = this.#session;
    if (!session) throw this.#noSession();
    // Two turns, so this counts more than a refresh of another tab at the same time.
    await this.#keep(this.#read(answer, sent, session, 2), "refreshed");
    return this.state;
  }

  async fetch(input, init = {}) {
    const isRequest = typeof input?.url === "string";
    const url = absolute(isRequest ? input.url : input, this.#documentBase());
    if (!this.#origins.has(url.origin)) return this.#fetch(isRequest ? input : url.href, init);
    const method = (init.method ?? (isRequest ? input.method : "GET")).toUpperCase();
    const signal = init.signal ?? (isRequest ? input.signal : undefined);
    const canResend = !isStream(init.body);
    let renewals = 0;
    for (let tries = 1; ; tries++) {
      await this.#ready();
      const headers = new Headers(init.headers ?? (isRequest ? input.headers : undefined));
      const sent = headers.has("authorization") ? null : this.#session;
      if (sent?.access) headers.set("authorization", `Bearer ${sent.access}`);
      const options = { ...init, headers, ...this.#credentials(url, init, isRequest && input) };
      // A body can be read only once, and this may have to send it twice.
      const target = isRequest ? input.clone() : url.href;
      const exchange = await this.#exchange(method, url, target, options, sent?.access);
      const { response, reason, retryAfter, refreshHint } = exchange;
      // An origin that gets no token from us can't judge it.
      const isOurs = !response.redirected || this.#origins.has(new URL(response.url).origin);
      if (!sent || !isOurs) return response;
      if (response.status !== 503) this.#available("request");
      if (refreshHint) this.#follow(sent);
      if (response.status === 401) {
        const mayResend = await this.#judge(reason, sent, renewals).catch((error) => {
          if (isRefusal(error)) return false;
          throw error;
        });
        if (!mayResend || !canResend) return response;
        renewals += 1;
      } else if (response.status === 503 && canResend && tries < TRIES) {
        // A gate asks the store before it calls the handler, so nothing has happened yet.
        const isGate = reason === "store_unavailable";
        const wait = this.#pause(tries, retryAfter);
        const isSafe = isGate || (IDEMPOTENT.has(method) && response.headers.has("retry-after"));
        if (isGate) this.#unavailable("request", wait);
        if (!isSafe || wait > LONGEST_WAIT) return response;
        await this.#sleep(wait, signal);
        if (this.#session?.id !== sent.id) return response;
      } else {
        return response;
      }
      response.body?.cancel().catch(() => {});
    }
  }

  async sessions() {
    const all = [];
    const seen = new Set();
    let next;
    do {
      if (seen.has(next)) throw new Error("the server's list of sessions has no end");
      seen.add(next);
      const path = next ? `/sessions?after=${encodeURIComponent(next)}` : "/sessions";
      const page = await this.#insist(() => this.#authorized("GET", path));
      all.push(...page.sessions);
      next = page.next;
    } while (next);
    return all;
  }

  async endSession(id) {
    const isOwn = id === this.#session?.id;
    await this.#endAtServer("DELETE", `/sessions/${encodeURIComponent(id)}`, isOwn);
  }

  async endOthers() {
    await this.#endAtServer("DELETE", "/sessions", false);
  }

  async logoutAll() {
    await this.#endAtServer("POST", "/logout-all", true);
  }

  async logout() {
    this.#logouts += 1;
    this.#sync();
    const session = this.#session ?? this.#leaving;
    const cleared = this.#end("logged_out");
    if (!session && !this.#isCookie) return;
    this.#leaving = session;
    const epoch = this.#epoch;
    // By the second attempt, the cookies may belong to another login, which has ended ours.
    const isWanted = () => !this.#isCookie || this.#epoch === epoch;
    await this.#insist(() => this.#leave(session), { isWanted });
    if (this.#leaving === session) this.#leaving = null;
    await cleared;
  }

  close() {
    this.#environment.clearTimeout(this.#timer);
    this.#dropOffer();
    this.#listening.abort();
    this.#current.abort();
    this.#channel?.close();
    this.#channel = null;
  }

  // Requests

  /** Ends sessions by `method` and `path`, including this one if it is among them. */
  async #endAtServer(method, path, endsOwn) {
    await this.#insist(async (tries) => {
      try {
        await this.#authorized(method, path, { endAs: endsOwn ? "logged_out" : undefined });
      } catch (error) {
        // The attempt before this one has succeeded, and its answer was lost.
        const isDone = tries > 1 && (error.status === 404 || (endsOwn && isRefusal(error)));
        if (!isDone) throw error;
      }
    });
    if (endsOwn) await this.#end("logged_out");
  }

  async #leave(session) {
    const json = session?.refresh && { refresh_token: session.refresh };
    try {
      // The browser sends it even if the user leaves the page.
      await this.#ask("POST", "/logout", { json, keepalive: true });
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }

  /** Tries to end a session that no tab has any more. */
  #retire(session) {
    this.#bury(session.id, "logged_out");
    this.#leave(session).catch(() => {});
  }

  /** Sends a request with the access token to an endpoint, and again if a refresh helps. */
  async #authorized(method, path, { json, endAs } = {}) {
    for (let renewals = 0; ; renewals++) {
      await this.#ready();
      const session = this.#session;
      if (!session && !this.#isCookie) throw this.#noSession();
      try {
        return await this.#ask(method, path, { json, access: session?.access });
      } catch (error) {
        if (!isRefusal(error) || session === null) throw error;
        const { reason } = error;
        if (!(await this.#judge(reason, session, renewals, endAs ?? reason))) throw error;
      }
    }
  }

  /**
   * Acts on a 401 to a request of the session `sent`. `renewals` says how often the client has sent
   * the request again. Returns whether to send it once more.
   *
   * If an endpoint says that the session is over, this ends it with the reason `endAs`. The
   * application may be mistaken, or relay the answer of another service. So after its 401 the
   * client only refreshes.
   */
  async #judge(reason, sent, renewals, endAs) {
    this.#sync();
    const isCurrent = () => this.#session?.id === sent.id;
    if (!isCurrent()) return false;
    const isOver = OVER.has(reason);
    if (isOver && endAs) {
      this.#end(endAs);
      return false;
    }
    // The access cookie may be gone while the refresh cookie is still there.
    const isRenewable = isOver || RENEWABLE.has(reason) || (this.#isCookie && reason === "missing");
    // The first new token may come from a refresh that began before the rights changed.
    const most = reason === "stale_grant" ? 2 : 1;
    if (!isRenewable || renewals >= most) return false;
    if (this.#session.turn === sent.turn) {
      // If a service accepts no token at all, not every request may cause a refresh.
      if (isOver) {
        if (this.#environment.now() - this.#doubtedAt < DOUBT_PAUSE) return false;
      } else if (!OUTDATED.has(reason) && sent.turn === this.#distrusted) {
        return false;
      }
      await this.#refresh();
      if (isOver) this.#doubtedAt = this.#environment.now();
      else this.#distrusted = this.#session?.turn;
    }
    return isCurrent();
  }

  /** Asks an endpoint of gatepass. Returns the parsed body, or throws one of the two errors. */
  async #ask(method, path, { json, access, keepalive, signal } = {}) {
    const { setTimeout, clearTimeout } = this.#environment;
    const url = new URL(this.#base.href + path);
    const headers = new Headers({ accept: "application/json" });
    if (json) headers.set("content-type", "application/json");
    if (access) headers.set("authorization", `Bearer ${access}`);
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), ANSWER_TIMEOUT);
    const abort = () => timeout.abort();
    signal?.addEventListener("abort", abort);
    try {
      // A redirect would take a password or a refresh token elsewhere.
      const { response, body, reason, retryAfter } = await this.#exchange(method, url, url.href, {
        method, headers, keepalive, body: json && JSON.stringify(json), cache: "no-store",
        redirect: "error", signal: timeout.signal, ...this.#credentials(url),
      }, access, true);
      if (response.ok) {
        this.#available("endpoint");
        return body;
      }
      if (response.status === 503 || (response.status >= 500 && !reason)) {
        throw new UnavailableError("the server can't answer at present", retryAfter);
      }
      const description = typeof body.error_description === "string" ? body.error_description : "";
      throw new RefusedError(response.status, reason ?? "unknown", description, retryAfter);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Sends one request, and reports it when it ends. Reads an endpoint's whole answer. */
  async #exchange(method, url, target, options, access, isEndpoint = false) {
    const begin = this.#environment.now();
    let [status, reason, body, response, retryAfter, refreshHint] = [0, undefined, {}];
    try {
      response = await this.#fetch(target, options);
      if (isEndpoint) {
        body = parsed(await response.text());
        // A parsing error would quote the text, which has tokens in it.
        if (response.ok && !body) throw new UnavailableError("the answer is not what was sent");
        body ??= {};
        reason = typeof body.reason === "string" ? body.reason : undefined;
      } else if (response.status >= 400) {
        reason = await reasonOf(response);
      }
      status = response.status;
      retryAfter = retryAfterOf(response, this.#environment.wallClock());
      if (response.headers.get("gatepass-refresh") === OFFER) refreshHint = OFFER;
    } catch (error) {
      if (!isEndpoint || error instanceof UnavailableError) throw error;
      throw new UnavailableError("the server has not answered", undefined, error);
    } finally {
      const tokens = { access_token: body?.access_token ?? access,
        refresh_token: body?.refresh_token };
      this.#fire("exchange", {
        method, path: url.pathname, status, reason, refreshHint,
        durationMs: this.#environment.now() - begin,
        tokens: this.#isCookie ? {} : shortened(tokens),
      });
    }
    return { response, body, reason, retryAfter, refreshHint };
  }

  #credentials(url, init, request) {
    const isElsewhere = url.origin !== (this.#environment.location?.origin ?? this.#base.origin);
    const isChosen = init?.credentials || (request && request.credentials !== "same-origin");
    return this.#isCookie && isElsewhere && !isChosen ? { credentials: "include" } : {};
  }

  // Refreshing

  /** Waits for a refresh if the token has expired. Otherwise starts one if it is due. */
  async #ready() {
    if (!this.#session) return;
    if (this.#hasExpired()) {
      await this.#refresh();
      if (!this.#session) throw this.#noSession();
    } else if (this.state.refreshIn === 0 && !this.#outage) {
      this.#refresh().catch(() => {});
    }
  }

  /** Checks again what is due, since a timer may have been suspended with its tab or machine. */
  #wake() {
    this.#sync();
    if (!this.#session) return;
    if (this.state.refreshIn === 0 || this.#failures > 0) {
      this.#refresh().catch(() => {});
    } else {
      this.#schedule(this.state.refreshIn);
    }
  }

  #schedule(delay) {
    const { setTimeout, clearTimeout } = this.#environment;
    clearTimeout(this.#timer);
    if (this.#listening.signal.aborted) return;
    const bounded = Math.min(Math.max(delay, 1000), LONGEST_TIMER);
    this.#timer = setTimeout(() => this.#wake(), bounded);
    // A program in Node may end before its next refresh.
    this.#timer?.unref?.();
  }

  /** One refresh at a time in this tab; the lock makes it one in all tabs. */
  #refresh() {
    if (this.#refreshing) return this.#refreshing;
    const running = this.#refreshWithRetries().finally(() => {
      if (this.#refreshing === running) this.#refreshing = null;
    });
    this.#refreshing = running;
    return running;
  }

  async #refreshWithRetries() {
    const epoch = this.#epoch;
    const turn = this.#session?.turn;
    const { signal } = this.#current;
    // If it succeeds, there is nothing left to do.
    await this.#following;
    const early = this.#notBefore - this.#environment.now();
    if (early > LONGEST_WAIT) {
      throw new UnavailableError("the server can't answer at present", Math.ceil(early / 1000));
    }
    const isWanted = () => this.#epoch === epoch;
    const onFailure = (error, wait, isLast) => {
      // The refresh has succeeded, but the storage has failed to save it.
      if (!isWanted() || this.#session?.turn !== turn) return;
      const isToldLater = error.retryAfter !== undefined;
      const bounded = Math.min(wait, SLOWEST_RETRY);
      if (isToldLater) this.#notBefore = this.#environment.now() + bounded;
      const slow = Math.min(SLOWEST_RETRY, 2 ** this.#failures * 2000);
      const later = Math.max(bounded, slow * (0.5 + this.#environment.random() / 2));
      if (isLast) this.#failures += 1;
      if (isLast && this.#session) this.#schedule(later);
      if (isToldLater || isLast) this.#unavailable("endpoint", isLast ? later : wait);
    };
    try {
      if (early > 0) await this.#sleep(early, signal);
      const once = () => this.#exclusively(() => this.#refreshOnce(epoch, turn));
      await this.#insist(once, { isWanted, onFailure, signal });
      this.#failures = 0;
    } catch (error) {
      // The session is another one now, and the old one's end has been reported.
      if (isWanted()) throw error;
    }
  }

  /**
   * Follows an offer of other rights that came with an answer to a request of the session `sent`.
   *
   * It refreshes once for each access token, in only one tab. The token is good until it expires,
   * so a failed attempt changes nothing. If the answer is lost, the server still accepts the spent
   * refresh token when the next refresh is due.
   */
  #follow(sent) {
    const token = `${sent.id} ${sent.turn}`;
    const isDue = () => {
      this.#sync();
      // The client will soon repeat a failed refresh, which also brings the rights.
      const isUnderWay = this.#refreshing || this.#failures > 0;
      return this.#session === sent && !isUnderWay && this.#followed !== token;
    };
    const { setTimeout, random } = this.#environment;
    if (this.#offerTimer !== undefined || this.#listening.signal.aborted || !isDue()) return;
    this.#offerTimer = setTimeout(() => {
      this.#offerTimer = undefined;
      if (!isDue()) return;
      const epoch = this.#epoch;
      this.#following = this.#exclusively(async () => {
        // Another tab has tried while this tab waited for the lock.
        if (this.#followed === token) return;
        this.#followed = token;
        this.#channel?.postMessage({ type: "follows", token });
        await this.#refreshOnce(epoch, sent.turn);
      }).catch(() => {});
    }, random() * OFFER_SPREAD);
    this.#offerTimer?.unref?.();
  }

  #dropOffer() {
    this.#environment.clearTimeout(this.#offerTimer);
    this.#offerTimer = undefined;
  }

  async #refreshOnce(epoch, turn) {
    await this.#catchUp(false);
    const session = this.#session;
    // Another tab has refreshed while this tab waited for the lock.
    if (this.#epoch !== epoch || session?.turn !== turn) return;
    const sent = this.#moment();
    const json = session?.refresh && { refresh_token: session.refresh };
    try {
      const { signal } = this.#current;
      const answer = await this.#ask("POST", "/refresh", { json, signal });
      // The answer may arrive after another tab has reported a logout.
      this.#sync();
      if (this.#epoch !== epoch) return;
      await this.#keep(this.#read(answer, sent, session), "refreshed");
    } catch (error) {
      if (this.#epoch === epoch && isRefusal(error)) this.#end(error.reason);
      throw error;
    }
  }

  /**
   * Runs `task` while no other tab does, as far as the browser can.
   *
   * Without Web Locks, or if another tab holds the lock for too long, the task runs at once. This
   * is safe: for 30 seconds (`overlap`) the server answers every refresh with a token that another
   * one has just spent, and all of these answers bring the same refresh token.
   */
  async #exclusively(task) {
    const { locks, setTimeout, clearTimeout } = this.#environment;
    if (!this.#channel && !this.#isCookie) return task();
    if (!locks) return task();
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), LOCK_TIMEOUT);
    let isGranted = false;
    try {
      return await locks.request(this.#name, { signal: patience.signal }, () => {
        isGranted = true;
        clearTimeout(timer);
        return task();
      });
    } catch (error) {
      if (isGranted) throw error;
      return task();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Runs `task` up to `TRIES` times while the server doesn't answer. */
  async #insist(task, { isWanted = () => true, onFailure = () => {}, signal } = {}) {
    for (let tries = 1; ; tries++) {
      try {
        return await task(tries);
      } catch (error) {
        const wait = this.#pause(tries, error.retryAfter);
        // A 429 comes from a proxy that limits requests.
        const canWait = error instanceof UnavailableError || [429, 408, 500].includes(error.status);
        const isLast = !canWait || tries === TRIES || wait > LONGEST_WAIT;
        if (!isRefusal(error)) onFailure(error, wait, isLast);
        if (isLast || !isWanted()) throw error;
        await this.#sleep(wait, signal);
        if (!isWanted()) return undefined;
      }
    }
  }

  /** The pause before the next attempt. It is random, so clients don't retry in step. */
  #pause(tries, retryAfter) {
    const { random } = this.#environment;
    if (retryAfter !== undefined) return retryAfter * 1000 * (1 + random() / 10);
    return 2 ** tries * 100 * (0.5 + random());
  }

  /** Waits. A caller depends on this, so Node must not exit before. */
  #sleep(delay, signal) {
    const { setTimeout, clearTimeout } = this.#environment;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, Math.max(0, delay));
      return signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #unavailable(source, wait) {
    if (this.#outage !== "endpoint") this.#outage = source;
    this.#fire("unavailable", { retryAfter: Math.ceil(wait / 1000) });
  }

  /** Reports that the server answers. An answer to a request doesn't prove that refreshes work. */
  #available(source) {
    if (source === "endpoint") this.#notBefore = 0;
    if (!this.#outage || (this.#outage === "endpoint" && source === "request")) return;
    this.#outage = null;
    this.#fire("available");
  }

  // The session

  /**
   * Reads the session from an answer with tokens. Its times count from the request, so a slow
   * answer can only make the client refresh early.
   */
  #read(body, sent, previous, turns = 1) {
    const { session_id: id, scope, expires_in: seconds, access_token, refresh_token } = body;
    if (typeof id !== "string" || !(seconds >= 0)) {
      throw new UnavailableError("the answer is not what was sent");
    }
    if (this.#isCookie !== (access_token === undefined)) {
      const other = this.#isCookie ? "bearer" : "cookie";
      throw new TypeError(`the server's transport is "${other}": give it to createClient`);
    }
    const isSame = previous?.id === id;
    const ahead = body.refresh_at - body.server_time;
    const wall = this.#environment.wallClock();
    return {
      id,
      scope: String(scope ?? ""),
      began: isSame ? previous.began : Math.max(wall, (this.#session?.began ?? 0) + 1),
      turn: isSame ? previous.turn + turns : 1,
      sent,
      refreshAfter: (Number.isFinite(ahead) ? ahead : seconds * 0.8) * 1000,
      expiresAfter: seconds * 1000,
      access: access_token,
      refresh: refresh_token ?? (isSame ? previous.refresh : undefined),
    };
  }

  /** Makes `session` the current one and tells the other tabs and the storage. */
  async #keep(session, type) {
    if (!this.#adopt(session)) return;
    this.#tell({ type, record: this.#record(session) });
    await this.#store(async () => {
      if (this.#session === session) await this.#storage?.save(this.#record(session));
    });
  }

  /** Makes `session` the current one, unless a later state is known. */
  #adopt(session) {
    const current = this.#session;
    if (!session || this.#isOver(session)) return false;
    const isSame = current?.id === session.id;
    const isOlder = isSame ? session.turn <= current?.turn : session.began <= current?.began;
    if (isOlder) return false;
    if (!isSame) this.#changeEpoch();
    this.#session = session;
    this.#failures = 0;
    this.#dropOffer();
    this.#schedule(this.state.refreshIn);
    this.#fire(isSame ? "refreshed" : "began", this.state);
    const { scope } = session;
    // A listener may have ended the session.
    if (isSame && scope !== current.scope && this.#session === session) {
      this.#fire("changed", { scope, previousScope: current.scope });
    }
    return true;
  }

  /** Ends the current session in this tab, and in the others unless they reported the end. */
  #end(reason, isOurs = true) {
    const session = this.#session;
    if (!session) return this.#storing;
    // The clock may have been set back since.
    const at = Math.max(session.sent.wall, this.#environment.wallClock());
    this.#bury(session.id, reason, at);
    this.#session = null;
    this.#endedBy = reason;
    this.#changeEpoch();
    this.#environment.clearTimeout(this.#timer);
    if (isOurs) this.#tell({ type: "ended", id: session.id, reason, at });
    const cleared = this.#store(() => this.#storage?.clear());
    cleared.catch(() => {});
    this.#fire("ended", { reason });
    return cleared;
  }

  /** Keeps tokens that were asked for before the end of a session from reviving it. */
  #bury(id, reason, at) {
    const until = reason !== "logged_out" && Number.isFinite(at) ? at : Infinity;
    this.#over.set(id, Math.max(until, this.#over.get(id) ?? -Infinity));
  }

  #isOver({ id, sent }) {
    return sent.wall <= this.#over.get(id);
  }

  /** Ends a session that another tab has reported as ended. */
  #learnEnd(id, reason, at) {
    this.#bury(id, reason, at);
    const session = this.#session;
    if (session?.id === id && this.#isOver(session)) this.#end(String(reason), false);
  }

  #changeEpoch() {
    this.#epoch += 1;
    this.#doubtedAt = -Infinity;
    this.#refreshing = null;
    this.#distrusted = undefined;
    this.#failures = 0;
    this.#current.abort();
    this.#current = new AbortController();
  }

  /** Calls the storage for one task after the other, so no late `save` undoes a `clear`. */
  #store(task) {
    const done = this.#storing.then(task);
    this.#storing = done.catch(() => {});
    return done;
  }

  #noSession() {
    return new RefusedError(401, this.#endedBy, "there is no session");
  }

  #hasExpired() {
    const margin = Math.min(EXPIRY_MARGIN, this.#session.expiresAfter / 10);
    return this.state.expiresIn <= margin;
  }

  #moment() {
    return { mono: this.#environment.now(), wall: this.#environment.wallClock() };
  }

  /**
   * The time since the client asked for a session's tokens. It uses the monotonic clock, since the
   * wall clock may be set back. If the wall clock is ahead, the machine may have slept: better
   * early than late.
   */
  #elapsed({ sent }) {
    const { mono, wall } = this.#moment();
    return Math.max(mono - sent.mono, wall - sent.wall);
  }

  #fire(type, detail) {
    this.dispatchEvent(new SessionEvent(type, detail));
  }

  // Other tabs

  #listen(isShared) {
    const { document, page, BroadcastChannel } = this.#environment;
    const options = { signal: this.#listening.signal };
    document?.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "hidden") this.#wake();
    }, options);
    for (const type of ["pageshow", "online"]) {
      page?.addEventListener(type, () => this.#wake(), options);
    }
    if (!isShared) return;
    if (this.#isCookie) {
      // Tabs without BroadcastChannel learn of each other only this way.
      page?.addEventListener("storage", ({ key }) => {
        if (key === this.#name) this.#sync();
      }, options);
    }
    if (!BroadcastChannel) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(Object(data));
    // A listener would keep a Node program from ending.
    this.#channel.unref?.();
  }

  #tell(message) {
    if (this.#isCookie) {
      const { record, id, reason, at } = message;
      const known = this.#stored();
      // The end of one session must not hide that another tab has begun the next.
      const isOther = !record && known && known.id !== id;
      const text = JSON.stringify(record ?? { id, ended: reason, at });
      try {
        if (!isOther) this.#environment.localStorage?.setItem(this.#name, text);
      } catch {
        // Browsers refuse localStorage to some private windows. The channel works without it.
      }
    }
    this.#channel?.postMessage(message);
  }

  #hear({ type, id, reason, at, record, token }) {
    if (type === "ask") {
      const session = this.#session;
      if (session) this.#channel?.postMessage({ type: "have", record: this.#record(session) });
    } else if (type === "ended") {
      this.#learnEnd(id, reason, at);
    } else if (type === "follows") {
      this.#followed = token;
    } else {
      if (this.#adopt(this.#restored(record))) this.#onNews();
    }
  }

  /** Learns what the storage and the other tabs know. */
  async #catchUp(isFirst) {
    this.#sync();
    try {
      const record = await this.#store(() => this.#storage?.load());
      this.#adopt(this.#restored(record));
    } catch (error) {
      if (isFirst) throw error;
    }
    const hasNoOther = !this.#isCookie || !this.#environment.localStorage;
    if (this.#channel && hasNoOther) await this.#askTabs();
  }

  /** Asks the other tabs. A frozen tab may have missed a refresh, and would reuse a spent token. */
  async #askTabs() {
    const { setTimeout, clearTimeout } = this.#environment;
    let timer;
    await new Promise((resolve) => {
      timer = setTimeout(resolve, TABS_TIMEOUT);
      this.#onNews = resolve;
      this.#channel.postMessage({ type: "ask" });
    });
    clearTimeout(timer);
  }

  /** Reads the entries of other tabs from localStorage. */
  #sync() {
    const record = this.#stored();
    if (!record) return;
    if (record.ended === undefined) {
      this.#adopt(this.#restored(record));
    } else {
      this.#learnEnd(record.id, record.ended, record.at);
    }
  }

  #stored() {
    if (!this.#isCookie) return null;
    try {
      return parsed(this.#environment.localStorage?.getItem(this.#name));
    } catch {
      return null;
    }
  }

  /** The session for other tabs, by the clock that all tabs share. */
  #record(session) {
    const { sent, access, refresh, ...record } = session;
    record.at = this.#environment.wallClock() - this.#elapsed(session);
    return this.#isCookie ? record : { ...record, access_token: access, refresh_token: refresh };
  }

  #restored(record) {
    const { id, scope, began, turn, at, refreshAfter, expiresAfter, access_token: access,
      refresh_token: refresh } = Object(record);
    const numbers = [began, turn, at, refreshAfter, expiresAfter];
    const isWhole = typeof id === "string" && numbers.every(Number.isFinite);
    if (!isWhole || this.#isCookie !== (access === undefined)) return null;
    const { mono, wall } = this.#moment();
    // The clock was set back, so the age is unknown: the next refresh is due.
    const elapsed = wall < at ? refreshAfter : wall - at;
    const sent = { mono: mono - elapsed, wall: wall - elapsed };
    return { id, scope, began, turn, sent, refreshAfter, expiresAfter, access, refresh };
  }

  #documentBase() {
    return this.#environment.document?.baseURI ?? this.#base.href;
  }
}

function surroundings() {
  const { document, location, navigator, performance, BroadcastChannel } = globalThis;
  const page = document && globalThis;
  let localStorage;
  try {
    localStorage = page?.localStorage;
  } catch {
    // The browser's settings forbid it to keep anything.
  }
  return {
    document, page, location, localStorage, BroadcastChannel,
    locks: navigator?.locks,
    now: () => performance.now(),
    wallClock: () => Date.now(),
    random: () => Math.random(),
    setTimeout: (task, delay) => globalThis.setTimeout(task, delay),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
  };
}

function absolute(url, base) {
  try {
    return new URL(url, base);
  } catch {
    throw new TypeError("outside of a page `base` must be a whole URL, such as https://host/auth");
  }
}

/** Whether gatepass has refused a token, and not a proxy in front of it. */
function isRefusal(error) {
  return error instanceof RefusedError && error.status === 401 && error.reason !== "unknown";
}

function isStream(body) {
  const isIterable = typeof body?.[Symbol.asyncIterator] === "function";
  return isIterable || typeof body?.getReader === "function";
}

/** The JSON object in `text`, or `{}` if it is empty. `null` if it is no object. */
function parsed(text) {
  if (text === "") return {};
  try {
    const value = JSON.parse(text ?? null);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The reason in a gate's body, or in its challenge if there is no body (HEAD). */
async function reasonOf(response) {
  if (/^application\/json\b/i.test(response.headers.get("content-type") ?? "")) {
    const body = parsed(await response.clone().text().catch(() => null));
    if (typeof body?.reason === "string") return body.reason;
  }
  const challenge = response.headers.get("www-authenticate") ?? "";
  return response.status === 401 && /^Bearer .*error="invalid_token"/i.test(challenge)
    ? "expired" : undefined;
}

/** `Retry-After` in seconds: a number or a date (RFC 9110 §10.2.3). */
function retryAfterOf(response, wall) {
  const value = response.headers.get("retry-after");
  const seconds = /^\d+$/.test(value ?? "") ? Number(value) : (Date.parse(value) - wall) / 1000;
  if (Number.isFinite(seconds)) return Math.max(0, Math.ceil(seconds));
  return response.status === 503 ? USUAL_RETRY_AFTER : undefined;
}

/** Token names with the ends of the tokens: enough to see that one has changed. */
function shortened(tokens) {
  const ends = (text) => (text.length > 24 ? `${text.slice(0, 6)}…${text.slice(-4)}` : "…");
  const known = Object.entries(tokens).filter(([, token]) => typeof token === "string");
  return Object.fromEntries(known.map(([name, token]) => [name, ends(token)]));
}
