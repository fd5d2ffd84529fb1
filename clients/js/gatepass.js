/**
 * A client of gatepass for browsers and Node 18 or newer.
 *
 * `createClient` returns a session: log in with it, call its `fetch` as you would call `fetch`, and
 * listen to its events. README.md has examples, gatepass.d.ts documents each member.
 *
 * Rules that the code keeps:
 *
 * - No token is a property of anything that this module hands out. In cookie transport the module
 *   never sees one.
 * - A result counts only if the session for which it was asked is still the current one. For
 *   example, the answer to a refresh that arrives after a logout changes nothing.
 * - A request whose answer was lost is sent again only if the server answers it twice: a refresh, a
 *   logout, a list, never a login.
 */

/** Attempts of one request while a caller waits for it. */
const TRIES = 4;
/** The server bounds the time of its store to 3 s and that of its authenticator to 10 s. */
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
 * A right that is given to all users of a service is offered to all of their clients at once. This
 * spreads the refreshes, and a user who has just paid still sees the new menu within seconds.
 */
const OFFER_SPREAD = 5_000;
const LONGEST_TIMER = 2 ** 31 - 1;

/** Reasons of a 401 by which a session is over. */
const OVER = new Set(["revoked", "unknown_session", "session_ended", "refresh_expired", "reused"]);
/** Reasons of a 401 that come by and by to every good access token. */
const OUTDATED = new Set(["expired", "stale_grant"]);
/** Reasons of a 401 that another access token may mend. */
const RENEWABLE = new Set([
  ...OUTDATED, "malformed", "bad_signature", "unknown_key", "wrong_type", "wrong_issuer",
  "wrong_audience", "not_yet_valid",
]);
/** The value of `Gatepass-Refresh` by which a gate offers other rights. */
const OFFER = "grant_changed";
/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** Makes a client of the endpoints at `options.base`. It sends nothing before you call it. */
export function createClient(options = {}) {
  return new Session(options);
}

/** The server has refused, and said why. */
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

/** The server has not answered, or said that it can't at present. It has refused nothing. */
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
   * The current session, replaced as a whole by each refresh: its `id`, `scope`, when it `began`,
   * how many refreshes (`turn`) it has had, when the request for its tokens was `sent`, the times
   * after that, and in bearer transport `access` and `refresh`.
   */
  #session = null;
  /** Counts the sessions that were current. */
  #epoch = 0;
  /** Aborts a refresh when its session isn't the current one any more. */
  #current = new AbortController();
  /**
   * Sessions that are over, and since when. Tokens that were asked for later prove that one lives
   * after all, except after a logout: then the time is infinite.
   */
  #over = new Map();
  #endedBy = "missing";
  /** A session that was logged out here, which the server may not know yet. */
  #leaving = null;
  #logouts = 0;

  #refreshing = null;
  #timer;
  /** Begins the refresh that an offer of other rights leads to. */
  #offerTimer;
  /** That refresh, which never rejects. */
  #following = Promise.resolve();
  /** The session and turn of the last access token for which a tab has followed an offer. */
  #followed;
  /** Operations of `TRIES` attempts that have failed in a row: a refresh is owed. */
  #failures = 0;
  /** The server asked for no attempt before this, by the monotonic clock. */
  #notBefore = 0;
  /** The turn of an access token that was brought by a refresh since the server took no other. */
  #distrusted;
  /** When a refresh last proved that a session lives which a service had called over. */
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

  /** `null`, or what is known of the current session; times are milliseconds from now. */
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
      // By cookie, the server does this itself.
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
      // The cookies tell of a session that this browser's pages were not told the end of.
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
    // Two turns, so that this counts more than a refresh that another tab does at the same time.
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
      // A request's body can be read once, and this may have to send it twice.
      const target = isRequest ? input.clone() : url.href;
      const exchange = await this.#exchange(method, url, target, options, sent?.access);
      const { response, reason, retryAfter, refreshHint } = exchange;
      // An origin that gets no token from us can't say anything about it.
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
        // A gate asks the store before it calls the handler, so that nothing has happened yet.
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
    // The cookies may be those of another login when this is sent again. That login has ended ours.
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

  /** Ends sessions by `method` and `path`, and this one if it is among them. */
  async #endAtServer(method, path, endsOwn) {
    await this.#insist(async (tries) => {
      try {
        await this.#authorized(method, path, { endAs: endsOwn ? "logged_out" : undefined });
      } catch (error) {
        // The answer to the attempt before was lost, and it has done what this one asks for.
        const isDone = tries > 1 && (error.status === 404 || (endsOwn && isRefusal(error)));
        if (!isDone) throw error;
      }
    });
    if (endsOwn) await this.#end("logged_out");
  }

  async #leave(session) {
    const json = session?.refresh && { refresh_token: session.refresh };
    try {
      // The browser goes on sending it when the page is left.
      await this.#ask("POST", "/logout", { json, keepalive: true });
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }

  /** Ends a session that no tab has any more, as well as can be. */
  #retire(session) {
    this.#bury(session.id, "logged_out");
    this.#leave(session).catch(() => {});
  }

  /** Sends a request with the access token to an endpoint, again if a refresh helps. */
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
   * Acts on a 401 to a request of the session `sent`, which was sent again after `renewals`:
   * whether it should be sent again.
   *
   * An endpoint that calls the session over ends it `endAs`. The application may be mistaken or
   * relay the answer of another service, so that its 401 only makes the client ask by a refresh.
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
    // The access cookie may be gone while the other one is still there.
    const isRenewable = isOver || RENEWABLE.has(reason) || (this.#isCookie && reason === "missing");
    // The first new token may come from a refresh that was under way when the rights changed.
    const most = reason === "stale_grant" ? 2 : 1;
    if (!isRenewable || renewals >= most) return false;
    if (this.#session.turn === sent.turn) {
      // A service that takes no token at all must not cause a refresh by each request.
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

  /** Asks an endpoint of gatepass: the parsed body, or one of the two errors. */
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
      // A redirection would take a password or a refresh token elsewhere.
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

  /** Sends one request, and tells of it when it ends. An endpoint's answer is read as a whole. */
  async #exchange(method, url, target, options, access, isEndpoint = false) {
    const begin = this.#environment.now();
    let [status, reason, body, response, retryAfter, refreshHint] = [0, undefined, {}];
    try {
      response = await this.#fetch(target, options);
      if (isEndpoint) {
        body = parsed(await response.text());
        // An error in parsing would quote the text, which has tokens in it.
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

  /** Waits for a refresh if the token has expired; begins one beside the request if it is due. */
  async #ready() {
    if (!this.#session) return;
    if (this.#hasExpired()) {
      await this.#refresh();
      if (!this.#session) throw this.#noSession();
    } else if (this.state.refreshIn === 0 && !this.#outage) {
      this.#refresh().catch(() => {});
    }
  }

  /** Judges anew, since a timer may have been suspended with its tab or its machine. */
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
      // It has been refreshed, and the storage has failed to take it.
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
      // The session is another one now, and this one's end has been told.
      if (isWanted()) throw error;
    }
  }

  /**
   * Follows the offer of other rights that came with an answer to a request of the session `sent`.
   *
   * It asks once for each access token, in one tab of all. The token is good until it expires, so
   * an attempt that fails changes nothing. If its answer is lost, the server still takes the token
   * that it has spent when the next refresh is due.
   */
  #follow(sent) {
    const token = `${sent.id} ${sent.turn}`;
    const isDue = () => {
      this.#sync();
      // A refresh that has failed is sent again soon, and brings the rights as well.
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
        // Another tab has tried while this one waited for the lock.
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
    // Another tab has refreshed while this one waited for the lock.
    if (this.#epoch !== epoch || session?.turn !== turn) return;
    const sent = this.#moment();
    const json = session?.refresh && { refresh_token: session.refresh };
    try {
      const { signal } = this.#current;
      const answer = await this.#ask("POST", "/refresh", { json, signal });
      // The answer may be later than the news of a logout in another tab.
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

  /** Runs `task` again while the server doesn't answer, a bounded number of times. */
  async #insist(task, { isWanted = () => true, onFailure = () => {}, signal } = {}) {
    for (let tries = 1; ; tries++) {
      try {
        return await task(tries);
      } catch (error) {
        const wait = this.#pause(tries, error.retryAfter);
        // 429 comes from a proxy that bounds requests.
        const canWait = error instanceof UnavailableError || [429, 408, 500].includes(error.status);
        const isLast = !canWait || tries === TRIES || wait > LONGEST_WAIT;
        if (!isRefusal(error)) onFailure(error, wait, isLast);
        if (isLast || !isWanted()) throw error;
        await this.#sleep(wait, signal);
        if (!isWanted()) return undefined;
      }
    }
  }

  /** The pause before the next attempt. Chance keeps the clients of a server out of step. */
  #pause(tries, retryAfter) {
    const { random } = this.#environment;
    if (retryAfter !== undefined) return retryAfter * 1000 * (1 + random() / 10);
    return 2 ** tries * 100 * (0.5 + random());
  }

  /** A caller waits for this, so that Node must not exit before. */
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

  /** An answer to a request doesn't say that refreshes are answered, too. */
  #available(source) {
    if (source === "endpoint") this.#notBefore = 0;
    if (!this.#outage || (this.#outage === "endpoint" && source === "request")) return;
    this.#outage = null;
    this.#fire("available");
  }

  // The session

  /**
   * The session of an answer with tokens. Its times count from when the request was sent, so that
   * a slow answer can only make the client refresh early.
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

  /** Ends the current session in this tab, and in the others unless they told us. */
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

  /** Keeps a session from coming back by tokens that were asked for before its end. */
  #bury(id, reason, at) {
    const until = reason !== "logged_out" && Number.isFinite(at) ? at : Infinity;
    this.#over.set(id, Math.max(until, this.#over.get(id) ?? -Infinity));
  }

  #isOver({ id, sent }) {
    return sent.wall <= this.#over.get(id);
  }

  /** Takes over the end of a session that another tab has told of. */
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

  /** Runs the calls of the storage one after the other, so that no late `save` undoes a `clear`. */
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
   * The time since a session's tokens were asked for. The monotonic clock counts, since the other
   * one may be set back. If that one is ahead, the machine may have slept: better early than late.
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
      // Tabs without BroadcastChannel hear of each other by this alone.
      page?.addEventListener("storage", ({ key }) => {
        if (key === this.#name) this.#sync();
      }, options);
    }
    if (!BroadcastChannel) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(Object(data));
    // A listener would keep a program in Node from ending.
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
        // Browsers refuse it to some private windows. The channel does without.
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

  /** A tab that was frozen may have missed a refresh. The token that it has would be reused. */
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

  /** Learns what other tabs have written into localStorage. */
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

  /** The session as others can read it, by the clock that all tabs share. */
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
    // The clock was set back, and says nothing about how old this is: the next refresh is due.
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
    // The browser is set to keep nothing.
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

/** Whether gatepass, and not a proxy in front of it, has refused a token. */
function isRefusal(error) {
  return error instanceof RefusedError && error.status === 401 && error.reason !== "unknown";
}

function isStream(body) {
  const isIterable = typeof body?.[Symbol.asyncIterator] === "function";
  return isIterable || typeof body?.getReader === "function";
}

/** The JSON object that `text` is, and `{}` if it is empty; otherwise `null`. */
function parsed(text) {
  if (text === "") return {};
  try {
    const value = JSON.parse(text ?? null);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The reason that a gate gives in its body, or by its challenge if there is no body (HEAD). */
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

/** Names with the ends of tokens: enough to see that one has changed. */
function shortened(tokens) {
  const ends = (text) => (text.length > 24 ? `${text.slice(0, 6)}…${text.slice(-4)}` : "…");
  const known = Object.entries(tokens).filter(([, token]) => typeof token === "string");
  return Object.fromEntries(known.map(([name, token]) => [name, ends(token)]));
}
