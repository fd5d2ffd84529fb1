// The page of the example application. It uses the client in gatepass.js, as your own page can.

import { createClient, RefusedError, UnavailableError } from "./gatepass.js";
import { createLive } from "./live.js";
import { returnTo } from "./return_to.js";
import { createRights } from "./rights.js";
import { createThief } from "./thief.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
const MAX_EXCHANGES = 50;
const DEVICES = ["a phone", "a tablet", "an office computer"];

let config;
let session;
let transport = "cookie";
let shown = null; // the id of the session that the page shows
let user = null;
let refreshedAt = null;
let devices = 0;

const thief = createThief({
  session: () => session,
  get overlap() {
    return config.overlap_ms;
  },
  watched,
  log,
});

const rights = createRights({ session: () => session });
const live = createLive({ session: () => session, attempt });

// -- The state that the page shows ----------------------------------------------------------------

function show(state) {
  const lost = document.activeElement?.closest(".in, .out");
  document.body.dataset.state = state;
  if (lost && !lost.checkVisibility()) focusOn(state === "in" ? "who-title" : "notice");
}

/** Moves the focus away from an element that has vanished. */
function focusOn(id) {
  $(id).tabIndex = -1;
  $(id).focus({ preventScroll: true });
}

function notify(state, [heading, text] = [], reason = "") {
  const notice = $("notice");
  Object.assign(notice.dataset, { state, reason });
  notice.replaceChildren(...(heading ? [element("strong", heading), text] : []));
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

function showEnded(reason) {
  notify("ended", words.ending(reason), reason);
  thief.over();
  shown = null;
  user = null;
  show("out");
  $("sessions").replaceChildren();
}

async function showSession() {
  const { state } = session;
  if (!state || shown === state.sessionId) return;
  shown = state.sessionId;
  refreshedAt = null;
  thief.clear();
  rights.clear();
  notify("none");
  $("peer-card").hidden = true;
  delete $("peer-result").dataset.milliseconds;
  $("peer-result").textContent = "";
  $("who").textContent = "…";
  $("who-scope").textContent = state.scope || "none";
  $("who-session").textContent = state.sessionId;
  const cookies = transport === "cookie";
  $("who-tokens").textContent = cookies
    ? "in cookies that no script can read, this page’s own included"
    : "in this page’s memory; a reload forgets them";
  $("exchanges-note").textContent = cookies
    ? "The newest is on top. No token is shown: they are in cookies that no script can read."
    : "The newest is on top. Tokens are shortened.";
  live.offer(cookies);
  offerTheft(cookies ? null
    : "The theft works on cookies. Log out, and log in with the tokens in cookies.");
  show("in");
  tick();
  await attempt(async () => {
    const response = await session.fetch("/me");
    if (!response.ok) return;
    user = (await response.json()).subject;
    $("who").textContent = user;
    const isDemoUser = config.users.some(({ name }) => name === user);
    $("add-device").hidden = !isDemoUser;
    $("demote").disabled = $("promote").disabled = !isDemoUser;
    $("rights-none").hidden = isDemoUser;
    if (!isDemoUser) offerTheft("The theft works on demo users alone. Log in as one of them.");
    await listSessions();
  });
}

/** Offers the theft, or says why this session has none. */
function offerTheft(obstacle) {
  $("steal").disabled = $("steal-first").disabled = obstacle !== null;
  $("thief-none").hidden = obstacle === null;
  $("thief-none").textContent = obstacle ?? "";
}

/** Runs an action of the user, and shows a failure in the notice. */
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error instanceof UnavailableError) return unavailable(error.retryAfter);
    if (!(error instanceof RefusedError)) throw error;
    // The event "ended" shows why a session ended.
    if (shown !== null || document.body.dataset.state === "out") {
      const { status, reason, description, retryAfter } = error;
      const again = retryAfter ? ` Try again in ${retryAfter} s.` : "";
      if ($("notice").dataset.state !== "ended" || reason === "bad_credentials") {
        notify("refused", ["That didn’t work.",
          words.refusal(status, reason, description) + again], reason);
      }
    }
  }
}

// -- An outage ------------------------------------------------------------------------------------

let outage = null;

function unavailable(retryAfter) {
  notify("unavailable", words.outage(shown !== null), "store_unavailable");
  if (outage !== null) return;
  const again = async () => {
    const answer = await session.fetch(shown ? "/me" : "/ready").catch(() => null);
    if (answer && answer.status < 500) available();
    else outage = setTimeout(again, 2000);
  };
  outage = setTimeout(again, Math.min(retryAfter || 2, 5) * 1000);
}

function available() {
  clearTimeout(outage);
  outage = null;
  if ($("notice").dataset.state !== "unavailable") return;
  notify("available", words.recovery(shown !== null));
}

// -- The times ------------------------------------------------------------------------------------

function tick() {
  const state = session?.state;
  if (!state || shown === null) return;
  const bar = $("access-time");
  bar.max = Math.max(config.access_ttl_ms, state.expiresIn);
  bar.value = Math.max(0, state.expiresIn);
  say("access-left", words.duration(state.expiresIn));
  say("refresh-left", state.refreshIn > 0
    ? `The page refreshes it by itself in ${words.duration(state.refreshIn)}.`
    : "The page refreshes it with the next request.");
  say("refreshed", refreshedAt === null ? ""
    : `Last refreshed ${words.duration(performance.now() - refreshedAt)} ago.`);
}

/** Changes a text only if it differs, so that a screen reader doesn't repeat it. */
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// -- The sessions ---------------------------------------------------------------------------------

async function listSessions() {
  const sessions = await session.sessions();
  const items = sessions.map((one) => {
    const item = element("li", "");
    item.dataset.session = one.id;
    const about = element("div", "", { className: "about" });
    about.append(element("strong", one.device ?? "an unnamed device"));
    if (one.current) {
      item.dataset.current = "";
      about.append(" ", element("span", "this one", { className: "badge" }));
    }
    const from = one.address ? ` from ${one.address}` : "";
    const facts = element("div", "", { className: "quiet" });
    facts.append("First used ", words.time(one.created_at), from, ". ");
    if (one.current) {
      facts.append("In use now.");
    } else if (Date.parse(one.last_seen_at) <= Date.parse(one.created_at)) {
      // The server reveals only the hour.
      facts.append("Last used within the hour.");
    } else {
      facts.append("Last used about ", words.time(one.last_seen_at), ".");
    }
    if (one.user_agent) about.title = one.user_agent;
    about.append(facts);
    const end = element("button", "End", { type: "button" });
    end.dataset.end = one.id;
    end.setAttribute("aria-label", `End the session on ${one.device ?? "an unnamed device"}`
      + (one.current ? ", this one" : ""));
    item.append(about, end);
    return item;
  });
  $("sessions").replaceChildren(...items);
  $("end-others").disabled = sessions.length < 2;
}

/** Logs the same user in on another device: drops the cookies, and keeps the session. */
async function addDevice() {
  const { password } = config.users.find(({ name }) => name === user);
  const device = DEVICES[devices++ % DEVICES.length];
  const from = performance.now();
  const response = await fetch("/auth/login", {
    method: "POST",
    credentials: "omit",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: user, password, device, transport: "cookie" }),
  });
  log({
    method: "POST", path: "/auth/login", status: response.status, reason: null,
    durationMs: performance.now() - from,
  }, `on ${device}`);
  await listSessions();
}

// -- The second server ------------------------------------------------------------------------------

/**
 * Runs `action`, which ends this session, while the service asks the second server about its access
 * token. Shows how much later that server refused the token.
 */
async function watched(action) {
  if (!config.peer) return action();
  const watch = session.fetch("/demo/peer", { method: "POST" });
  watch.then(showPeer).catch(() => {});
  // Gives the service time to ask the second server once.
  await new Promise((done) => setTimeout(done, 300));
  return action();
}

async function showPeer(response) {
  // A proxy may answer in HTML.
  const answer = await response.json().catch(() => null);
  const { state, text } = words.peer(config.peer, response.status, answer);
  $("peer-card").hidden = false;
  $("peer-card").dataset.state = state;
  if (response.ok) $("peer-result").dataset.milliseconds = answer?.peer_ms ?? "";
  $("peer-result").textContent = text;
}

// -- The exchanges --------------------------------------------------------------------------------

function log({ method, path, status, reason, refreshHint, durationMs, tokens }, note = "") {
  const item = element("li", "");
  const hint = refreshHint ?? "";
  Object.assign(item.dataset, { method, path, status, reason: reason ?? "", hint });
  const kind = status >= 200 && status < 400 ? "good" : status >= 400 && status < 500 ? "bad"
    : "fault";
  item.className = `${kind} fresh`;
  item.append(element("span", status || "no answer", { className: "status" }),
    ` ${method} ${path} `);
  const details = [
    note,
    reason && `reason: ${reason}`,
    refreshHint && `Gatepass-Refresh: ${refreshHint}`,
    ...Object.entries(tokens ?? {}).map(([name, value]) => `${name}: ${value}`),
    `${Math.round(durationMs)} ms`,
  ];
  item.append(element("span", details.filter(Boolean).join(", "), { className: "detail" }));
  $("exchanges").prepend(item);
  while ($("exchanges").childElementCount > MAX_EXCHANGES) $("exchanges").lastChild.remove();
}

async function call(method, path) {
  const answer = $("answer");
  let status = 0;
  let body = {};
  try {
    const response = await session.fetch(path, { method });
    status = response.status;
    body = await response.json().catch(() => ({}));
  } catch (error) {
    ({ status = 0, reason: body.reason, description: body.error_description } = error);
  }
  Object.assign(answer.dataset, { status, reason: body.reason ?? "" });
  answer.replaceChildren(element("strong", `${method} ${path}: `));
  if (status === 200) answer.append("allowed. The answer is ", element("code", JSON.stringify(body)));
  else answer.append(words.refusal(status, body.reason, body.error_description));
}

// -- A login --------------------------------------------------------------------------------------

/** The page of this service that asked for the login, if any. */
const wanted = returnTo(new URLSearchParams(location.search).get("return_to"), location.origin);

async function logIn(username, password) {
  const chosen = config.transport !== "both" ? config.transport
    : $("transport-bearer").checked ? "bearer" : "cookie";
  if (chosen !== transport) open(chosen);
  $("login").disabled = true;
  await attempt(async () => {
    await session.login({ username, password, device: words.browser() });
    $("login-form").reset();
    // Another page can't use tokens that are in the memory of this one.
    if (wanted && transport === "cookie") return location.assign(wanted.href);
    await showSession();
  });
  $("login").disabled = false;
}

/** Replaces the client with one for this transport. */
function open(chosen) {
  session?.close();
  transport = chosen;
  const own = session = createClient({ base: "/auth", transport });
  // Ignore events of a client that was replaced.
  const on = (name, act) => own.addEventListener(name, (event) => {
    if (own === session) act(event.detail);
  });
  on("began", () => showSession());
  on("refreshed", () => {
    refreshedAt = performance.now();
    tick();
  });
  on("changed", (change) => {
    $("who-scope").textContent = change.scope || "none";
    rights.changed(change);
  });
  on("ended", ({ reason }) => showEnded(reason));
  on("unavailable", ({ retryAfter }) => unavailable(retryAfter));
  on("available", available);
  // In the demonstrations, an answer's reason is the one that the thief or the second server got.
  on("exchange", ({ reason, ...exchange }) => {
    log({ ...exchange, reason: exchange.status < 400 && exchange.status > 0 ? null : reason });
  });
}

// -- The controls ---------------------------------------------------------------------------------

function press(id, action) {
  $(id).addEventListener("click", () => attempt(action));
}

function control() {
  $("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    logIn($("username").value, $("password").value);
  });
  $("demo-users").addEventListener("click", (event) => {
    const chosen = config.users.find(({ name }) => name === event.target.dataset.user);
    if (chosen) logIn(chosen.name, chosen.password);
  });
  press("refresh", () => session.refresh());
  press("logout", () => watched(() => session.logout()));
  press("logout-all", () => watched(() => session.logoutAll()));
  press("update-sessions", listSessions);
  press("add-device", addDevice);
  press("end-others", async () => {
    await session.endOthers();
    await listSessions();
  });
  $("sessions").addEventListener("click", (event) => {
    const id = event.target.dataset.end;
    if (!id) return;
    attempt(async () => {
      if (id === shown) return watched(() => session.logout());
      await session.endSession(id);
      await listSessions();
      focusOn("sessions-title");
    });
  });
  const steal = async (who) => {
    if (await thief.begin(who) !== "reused") return;
    // Don't wait until the page learns of it by chance.
    if (shown !== null) await attempt(() => session.fetch("/me"));
    if (shown === null) notify("ended", words.ending("reused"), "reused");
  };
  press("steal", () => steal("you"));
  press("steal-first", () => steal("thief"));
  press("demote", () => rights.change("demote"));
  press("promote", () => rights.change("promote"));
  press("live-open", () => live.open());
  press("live-close", () => live.close());
  press("thief-stop", () => thief.stop("You have stopped the theft."));
  $("try-routes").addEventListener("click", (event) => {
    const { call: asked } = event.target.dataset;
    if (asked) call(...asked.split(" "));
  });
}

async function configured() {
  for (;;) {
    const response = await fetch("/demo/config").catch(() => null);
    if (response?.ok) return response.json();
    notify("unavailable", words.outage(false), "store_unavailable");
    await new Promise((done) => setTimeout(done, 2000));
  }
}

async function start() {
  config = await configured();
  notify("none");
  $("demo").hidden = config.users.length === 0;
  $("demo-users").replaceChildren(...config.users.map(({ name, scope }) => {
    const button = element("button", `Log in as ${name}`, { type: "button" });
    button.dataset.user = name;
    button.title = scope ? `May: ${scope}` : "";
    return button;
  }));
  $("transport").hidden = config.transport !== "both";
  $("terminal").hidden = !config.transcript;
  $("transcript").textContent = config.transcript ?? "";
  $("peer").hidden = !config.peer;
  $("peer-url").textContent = config.peer ?? "";
  $("thief").hidden = !config.theft;
  $("rights").hidden = !config.rights;
  $("thief-about").textContent = `It takes about ${words.duration(config.overlap_ms)}.`;
  $("return-to").hidden = wanted === null;
  if (wanted) {
    $("return-to").textContent = words.next(wanted.pathname + wanted.search, config.transport);
  }
  control();
  open(config.transport === "bearer" ? "bearer" : "cookie");
  setInterval(tick, 250);
  show("out");
  await attempt(() => session.restore());
  await showSession();
}

start();
