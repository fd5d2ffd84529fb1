/**
 * A server that keeps gatepass's protocol as far as clients can see, with faults on command.
 *
 * It treats a spent refresh token as `docs/wire.md` and `docs/defaults.md` say: an overlap of 30 s,
 * the recovery of one lost answer within an hour, and otherwise the end of the session.
 */

import http from "node:http";

const OVERLAP = 30_000;
const RECOVERY = 3_600_000;
const IDLE_TTL = 14 * 24 * 3_600_000;
const ACCESS_TTL = 900;
const REFRESH_AFTER = 725;

export class FakeServer {
  /** The requests: `{ method, path, url, headers, body, status, reason }`. */
  log = [];
  /** Called with each request's log entry. It may return one of the faults below. */
  fault = () => null;
  /** Requests whose answers wait for `release()`. */
  held = [];
  sessions = new Map();
  orders = [];
  passwords = new Map([["alice", "wonderland"], ["bob", "builder"]]);
  #access = new Map();
  #serial = 0;
  #http;

  constructor(clock = () => Date.now()) {
    this.clock = clock;
  }

  async listen() {
    this.#http = http.createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    this.origin = `http://127.0.0.1:${this.#http.address().port}`;
    return this;
  }

  close() {
    this.release();
    this.#http.closeAllConnections?.();
    this.#http.close();
  }

  asked(path, method = "POST") {
    return this.log.filter((entry) => entry.path === path && entry.method === method);
  }

  /** Sends the answers that `{ hold: true }` kept back. */
  release() {
    for (const send of this.held.splice(0)) send();
  }

  /** Ends sessions as another device would. */
  end(reason = "session_ended") {
    for (const session of this.sessions.values()) session.ended ??= reason;
  }

  /** Changes the rights of all sessions: refuses older access tokens, or offers the change. */
  change(scope, isEnforced) {
    for (const session of this.sessions.values()) {
      session.scope = scope;
      session.version += 1;
      if (isEnforced) session.staleBelow = session.version;
    }
  }

  /** Acts on every third request, and then destroys its connection. */
  dropEveryThird() {
    let count = 0;
    this.fault = () => (++count % 3 === 0 ? { drop: true } : null);
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url, this.origin);
    const entry = {
      method: request.method, path: url.pathname, url: request.url, headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    };
    this.log.push(entry);
    const fault = this.fault(entry) ?? {};
    const answer = fault.answer ?? this.#answer(entry, url);
    entry.status = answer.status;
    entry.reason = answer.json?.reason;
    const send = () => {
      if (fault.drop) return request.socket.destroy();
      const whole = answer.json && JSON.stringify(answer.json);
      const body = fault.garble ? '{"access_token":"tok' : whole;
      const type = body && { "content-type": "application/json" };
      const offer = entry.isOutdated && { "gatepass-refresh": "grant_changed" };
      response.writeHead(answer.status, { ...type, ...offer, ...answer.headers });
      return response.end(request.method === "HEAD" ? undefined : body);
    };
    if (fault.hold) this.held.push(send);
    else send();
  }

  #answer(entry, url) {
    const { method, path, body, headers } = entry;
    const json = body && headers["content-type"] === "application/json" ? JSON.parse(body) : {};
    const jar = cookies(headers.cookie);
    const isBearer = headers.authorization !== undefined;
    const access = headers.authorization?.replace(/^Bearer /, "") ?? jar.gatepass;
    switch (`${method} ${path}`) {
      case "POST /auth/login": return this.#login(json, jar);
      case "POST /auth/refresh": return this.#refresh(json.refresh_token, jar["gatepass-refresh"]);
      case "POST /auth/logout": {
        const token = json.refresh_token ?? jar["gatepass-refresh"] ?? access;
        const session = this.#sessionOf(token);
        if (!session) return refused("missing");
        session.ended ??= "session_ended";
        return { status: 204, headers: json.refresh_token ? {} : setCookies(null) };
      }
      case "GET /redirect":
        return { status: 302, headers: { location: url.searchParams.get("to") } };
      case "GET /public": return { status: 200, json: { public: true } };
      default:
    }
    const judged = this.#judge(access);
    if (judged.reason) return refused(judged.reason);
    const { session } = judged;
    // Gates say this, and endpoints don't.
    entry.isOutdated = judged.isOutdated && !path.startsWith("/auth/");
    const mine = [...this.sessions.values()].filter((own) => own.user === session.user);
    const live = mine.filter((own) => !own.ended);
    const id = /^\/auth\/sessions\/(.+)$/.exec(path)?.[1];
    if (id && method === "DELETE") {
      const own = mine.find((other) => other.id === id);
      if (!own) return refused("not_found", 404);
      own.ended ??= "session_ended";
      return { status: 204 };
    }
    switch (`${method} ${path}`) {
      case "GET /auth/sessions": {
        // Two sessions per page, so a test needs few logins.
        const from = Number(url.searchParams.get("after") ?? 0);
        const sessions = live.slice(from, from + 2).map((own) => ({
          id: own.id, device: own.device, address: "127.0.0.1", user_agent: null,
          created_at: "2026-11-21T08:38:10Z", current: own === session,
        }));
        const next = from + 2 < live.length ? String(from + 2) : null;
        return { status: 200, json: { sessions, next } };
      }
      case "DELETE /auth/sessions":
        for (const own of live) if (own !== session) own.ended = "session_ended";
        return { status: 204 };
      case "POST /auth/logout-all":
        for (const own of live) own.ended = "session_ended";
        return { status: 204 };
      case "POST /auth/reauthenticate": {
        if (json.password !== this.passwords.get(session.user)) return refused("bad_credentials");
        this.#advance(session);
        return this.#issue(session, isBearer);
      }
      case "GET /me": case "HEAD /me":
        return { status: 200, json: { user: session.user, session: session.id } };
      case "POST /orders": case "PUT /orders":
        this.orders.push(body);
        return { status: 201, json: { order: body } };
      case "GET /admin": return refused("insufficient_scope", 403);
      case "GET /billing": return refused("authentication_too_old");
      default: return { status: 404, json: { error: "no such page" } };
    }
  }

  #login({ username, password, device = null, transport }, jar) {
    if (this.passwords.get(username) !== password) return refused("bad_credentials");
    const id = `session-${++this.#serial}`;
    const session = {
      id, user: username, device, generation: 0, spentAt: [], recovered: null,
      scope: "profile", version: 0, staleBelow: 0,
    };
    this.sessions.set(id, session);
    if (transport === "cookie") {
      const replaced = this.#sessionOf(jar["gatepass-refresh"]);
      if (replaced) replaced.ended ??= "session_ended";
    }
    return this.#issue(session, transport !== "cookie");
  }

  #refresh(inBody, inCookie) {
    const token = inBody ?? inCookie;
    if (!token) return refused("missing");
    const session = this.#sessionOf(token);
    if (!session) return refused("malformed");
    const now = this.clock();
    if (session.ended) return refused(session.ended);
    if (now - session.usedAt > IDLE_TTL) return refused("refresh_expired");
    const presented = Number(token.split("_")[2]);
    const last = session.spentAt.at(-1);
    const spentAt = session.spentAt[presented];
    const isRecoverable = presented + 1 === session.generation && now - spentAt <= RECOVERY
      && session.recovered !== presented;
    if (presented === session.generation && !(now - last <= OVERLAP)) {
      this.#advance(session);
    } else if (presented < session.generation && !(now - spentAt <= OVERLAP)) {
      if (!isRecoverable) {
        session.ended = "session_ended";
        return refused("reused");
      }
      session.recovered = presented;
    }
    return this.#issue(session, inBody !== undefined);
  }

  #advance(session) {
    session.spentAt[session.generation] = this.clock();
    session.generation += 1;
  }

  #issue(session, inBody) {
    const access = `access-of-${session.id}-number-${++this.#serial}-${"x".repeat(20)}`;
    const refresh = `gpr_${session.id}_${session.generation}_${"secret".repeat(6)}`;
    session.usedAt = this.clock();
    const { scope, version } = session;
    this.#access.set(access, { session, version, until: this.clock() + ACCESS_TTL * 1000 });
    const serverTime = Math.floor(this.clock() / 1000);
    const json = {
      expires_in: ACCESS_TTL, scope, session_id: session.id,
      refresh_at: serverTime + REFRESH_AFTER, server_time: serverTime,
    };
    if (!inBody) return { status: 200, json, headers: setCookies(access, refresh) };
    Object.assign(json, { access_token: access, token_type: "Bearer", refresh_token: refresh });
    return { status: 200, json };
  }

  #sessionOf(token = "") {
    return this.sessions.get(token.split("_")[1]) ?? this.#access.get(token)?.session;
  }

  #judge(access) {
    if (!access) return { reason: "missing" };
    const known = this.#access.get(access);
    if (!known) return { reason: "bad_signature" };
    if (known.until <= this.clock()) return { reason: "expired" };
    const { session, version } = known;
    if (session.ended) return { reason: "revoked" };
    if (version < session.staleBelow) return { reason: "stale_grant" };
    return { session, isOutdated: version < session.version };
  }
}

export function refused(reason, status = 401, headers = {}) {
  const error = reason === "missing" ? "" : ', error="invalid_token"';
  const challenge = status === 401 ? { "www-authenticate": `Bearer realm="test"${error}` } : {};
  const json = { error: "refused", error_description: `refused as ${reason}`, reason };
  return { status, json, headers: { ...challenge, ...headers } };
}

export function unavailable(seconds = 2) {
  return refused("store_unavailable", 503, { "retry-after": String(seconds) });
}

function setCookies(access, refresh) {
  const age = access ? "Max-Age=3600" : "Max-Age=0";
  const cookie = (name, value) => `${name}=${value ?? ""}; HttpOnly; SameSite=Lax; Path=/; ${age}`;
  return { "set-cookie": [cookie("gatepass", access), cookie("gatepass-refresh", refresh)] };
}

function cookies(header = "") {
  const pairs = header.split("; ").filter(Boolean).map((pair) => pair.split("="));
  return Object.fromEntries(pairs);
}
