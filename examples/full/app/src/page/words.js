// Sentences for the reasons in the API, and for times.

/** Why a session is over. */
const ENDINGS = {
  logged_out: [
    "You are logged out.",
    "The service refuses this session’s tokens from now on, although they haven’t expired.",
  ],
  reused: [
    "A copy of your token was used, so your session was ended.",
    "Two places used the same refresh token, and one of them is a thief. The service can’t know "
      + "which one, so it ended the session for both. Log in again: only you have the password.",
  ],
  revoked: [
    "This session was ended somewhere else.",
    "For example, you ended it from another device, or a spent copy of its refresh token was used. "
      + "Log in again.",
  ],
  session_ended: [
    "This session is over.",
    "It was ended somewhere else, a copy of its token was used, or it has reached its longest "
      + "lifetime. Log in again.",
  ],
  refresh_expired: [
    "You were away for too long.",
    "The session wasn’t used for longer than it may be, so it has expired. Log in again.",
  ],
  unknown_session: [
    "The service doesn’t know this session any more.",
    "For example, it works with a new database now. Log in again.",
  ],
};

/** Why a request was refused. */
const REFUSALS = {
  missing: "You are not logged in, and this route wants an access token.",
  expired: "The access token has expired. A refresh brings a new one.",
  stale_grant: "Your rights have changed, so the access token with the old ones is refused. A "
    + "refresh brings a new one.",
  revoked: "The session was ended, so its access token is refused, although it hasn’t expired.",
  insufficient_scope: "You are logged in, but you may not do this: your session lacks the scope "
    + "that this route requires. Log in as root, or give yourself the right, to see it work.",
  authentication_too_old: "You are logged in, but you gave your password too long ago for this. "
    + "Log out and log in again.",
  authentication_too_weak: "You are logged in, but this wants another kind of login.",
  bad_credentials: "The user name or the password is wrong.",
  too_many_attempts: "There were too many attempts to log in.",
  cross_site: "Another site made your browser send this request, so the service refuses it.",
  reused: "This refresh token was spent long ago, so it is a copy. The session is ended.",
  session_ended: "The session is over.",
  refresh_expired: "The session wasn’t used for too long.",
  store_unavailable: "The service can’t reach its store, so it judges no token now. You are still "
    + "logged in.",
  internal: "The service made a mistake. Its log says which one.",
};

/** A heading and a sentence about an outage. */
export function outage(isLoggedIn) {
  return [
    "The service can’t reach its store, or you can’t reach the service.",
    (isLoggedIn
      ? "You are still logged in: the service doesn’t guess, and takes no session back. "
      : "You can log in as soon as it answers. ") + "This page asks again until then.",
  ];
}

/** A heading and a sentence about the end of an outage. */
export function recovery(isLoggedIn) {
  return [
    "The service answers again.",
    isLoggedIn ? "You are still logged in." : "You can log in.",
  ];
}

/** A heading and a sentence about the end of a session. */
export function ending(reason) {
  return ENDINGS[reason] ?? [
    "This session is over.", `The service gives the reason “${reason}”. Log in again.`,
  ];
}

/** A sentence about a refused request. */
export function refusal(status, reason, description) {
  if (REFUSALS[reason]) return REFUSALS[reason];
  if (status === 0) return "There was no answer.";
  if (status === 503) return REFUSALS.store_unavailable;
  return description ?? `The service answers ${status}.`;
}

/** A sentence about the page that a login leads to. The transport may be "both". */
export function next(path, transport) {
  if (transport === "cookie") return `After the login you go to ${path}.`;
  if (transport === "both") return `After a login with cookies you go to ${path}.`;
  return `The page ${path} needs cookies, which this service doesn’t use. You stay here after the `
    + "login.";
}

/** A sentence about a change of rights that has changed nothing. */
export function unchanged(action) {
  return action === "demote" ? "You don’t have the right, so there is nothing to take away."
    : "You have the right already.";
}

/** Sentences about a right that the page fetches soon. */
export function offered() {
  return "The service offers the right, and your old token stays good. The page refreshes by itself "
    + "within five seconds.";
}

/** The state of the demonstration, and sentences about scopes that have changed. */
export function rights(before, now) {
  const had = before.split(" ");
  const has = now.split(" ");
  const lost = had.filter((scope) => scope && !has.includes(scope));
  const won = has.filter((scope) => scope && !had.includes(scope));
  const names = (scopes) => scopes.map((scope) => `“${scope}”`).join(" and ");
  const gone = lost.length > 0;
  const facts = [
    gone && `The service took ${names(lost)} away and refused your old token (401, `
      + "“stale_grant”). The page refreshed, and sent its request again.",
    won.length > 0 && `You have ${names(won)} now. The page refreshed in the background.`,
    "You are still logged in, in the same session, and gave no password.",
  ];
  return { state: gone ? "taken" : "given", text: facts.filter(Boolean).join(" ") };
}

/** A sentence about a connection that is open. */
export function live(ticks) {
  return `The connection is open: ${ticks} ${ticks === 1 ? "event" : "events"} so far. Now end the `
    + "session, here or in another browser.";
}

/** A sentence about a connection that the service has ended. */
export function cut(reason) {
  const why = {
    revoked: "because the session is over",
    expired: "because the access token has expired",
    stale_grant: "because your rights have changed",
  }[reason] ?? "because it can’t reach its store";
  return `The service ended the connection ${why} (“${reason}”). It sent nothing after that.`;
}

/** A sentence about a connection that the service has not opened. */
export function notOpened() {
  return "The service didn’t open the connection. Log in again, or try later.";
}

/** The second server's state, and a sentence about its answer: `null` if that was no JSON. */
export function peer(url, status, answer) {
  if (status !== 200 || answer === null) {
    const why = answer?.error_description ?? `the service answers ${status}`;
    return { state: "unreachable", text: `The second server couldn’t be watched: ${why}` };
  }
  const { own_ms: own, peer_ms: milliseconds, reason } = answer;
  if (typeof milliseconds === "number") {
    const later = milliseconds < 1 ? "less than 1" : Math.round(milliseconds);
    return {
      state: "refuses",
      text: `${url} refused your token ${later} ms after this one did (“${reason}”). No request `
        + "asked the store about it.",
    };
  }
  return {
    state: "accepts",
    text: typeof own !== "number" ? "The session went on, so there is nothing to refuse."
      : `${url} still accepts your token ten seconds later. Does it work over the same store, `
        + "issuer and secret?",
  };
}

/** For example "1 min 5 s". */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (minutes < 60) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  const [hours, left] = [Math.floor(minutes / 60), minutes % 60];
  return left ? `${hours} h ${left} min` : `${hours} h`;
}

/** A `<time>` element for a time of the API. */
export function time(text) {
  const element = document.createElement("time");
  element.dateTime = text;
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  element.textContent = today
    ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return element;
}

/** The name of this browser, as the list of sessions shows it. */
export function browser() {
  const agent = navigator.userAgent;
  const name = [
    ["Firefox", /Firefox\//], ["Edge", /Edg\//], ["Chrome", /Chrome\//], ["Safari", /Safari\//],
  ].find(([, pattern]) => pattern.test(agent))?.[0] ?? "a browser";
  const system = [
    ["Android", /Android/], ["iPhone", /iPhone/], ["iPad", /iPad/], ["Windows", /Windows/],
    ["macOS", /Mac OS X/], ["Linux", /Linux/],
  ].find(([, pattern]) => pattern.test(agent))?.[0];
  return system ? `${name} on ${system}` : name;
}
