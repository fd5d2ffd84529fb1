/** A client of gatepass for browsers and Node 18 or newer. */

export interface Options {
  /**
   * The URL of the endpoints, default `/auth`. Outside of a page it must be a whole URL, such as
   * `https://example.com/auth`, and `fetch("/me")` then means `https://example.com/me`.
   */
  base?: string | URL;
  /**
   * How tokens travel. With `"cookie"` the browser keeps them and no script sees them. With
   * `"bearer"` (default) this client keeps them in memory, or in `storage`.
   */
  transport?: "bearer" | "cookie";
  /** Default `globalThis.fetch`. */
  fetch?: typeof fetch;
  /**
   * Keeps tokens beyond the life of the page or program. Bearer transport only; by default they are
   * in memory alone. The tokens are as good as a password: don't give them to `localStorage`, which
   * every script of the page can read.
   */
  storage?: TokenStorage;
  /**
   * Other origins whose requests carry the session, such as `["https://api.example.com"]`. The
   * origin of `base` does so by itself, and no other one gets a token.
   */
  origins?: (string | URL)[];
  /**
   * Whether this client shares its session with other tabs of the same origin. Default: `true` in
   * a page, `false` elsewhere. For example, two clients in one Node process may be of two users.
   */
  tabs?: boolean;
  /** Replaces the clocks and the browser's interfaces, for tests. */
  environment?: Partial<Environment>;
}

/** A place for tokens. The client calls one function after the other, never two at once. */
export interface TokenStorage {
  /** The value that was saved last, or `null`. */
  load(): Promise<StoredSession | null> | StoredSession | null;
  /** Called after a login and after each refresh. Replace the former value as a whole. */
  save(session: StoredSession): Promise<void> | void;
  /** Called when the session has ended. */
  clear(): Promise<void> | void;
}

/** A session with its tokens, which you can write as JSON. */
export interface StoredSession {
  id: string;
  scope: string;
  access_token: string;
  refresh_token: string;
  /** When the session began, by this machine's clock. */
  began: number;
  /** Counts the refreshes. */
  turn: number;
  /** When the tokens were asked for, by this machine's clock. The next two count from here. */
  at: number;
  refreshAfter: number;
  expiresAfter: number;
}

/** The clocks and the browser's interfaces. The default of each is the global one, if any. */
export interface Environment {
  /** A monotonic clock in milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  wallClock(): number;
  random(): number;
  setTimeout(task: () => void, delay: number): unknown;
  clearTimeout(timer: unknown): void;
  document: Document | undefined;
  page: EventTarget | undefined;
  location: Location | URL | undefined;
  localStorage: Pick<Storage, "getItem" | "setItem"> | undefined;
  locks: Pick<LockManager, "request"> | undefined;
  BroadcastChannel: typeof BroadcastChannel | undefined;
}

/** The known part of the current session. */
export interface State {
  sessionId: string;
  /** The scopes, separated by spaces. */
  scope: string;
  /** Milliseconds from now until the access token expires. */
  expiresIn: number;
  /** Milliseconds from now until the next refresh is due. */
  refreshIn: number;
}

export interface Credentials {
  username: string;
  /** Not there if the service logs in by something else, such as a one-time code. */
  password?: string;
  /** A name of the device for the list of sessions. */
  device?: string;
  /** Members that the service's own authenticator wants, such as a one-time code. */
  [member: string]: unknown;
}

/** A session in the list of a user's sessions. Times are in RFC 3339. */
export interface ListedSession {
  id: string;
  device: string | null;
  address: string | null;
  user_agent: string | null;
  created_at: string;
  /** In whole hours. The current session has neither this nor `expires_at`. */
  last_seen_at?: string;
  expires_at?: string;
  current: boolean;
}

export interface Exchange {
  method: string;
  /** The path without the query. */
  path: string;
  /** 0 if no answer came. */
  status: number;
  /** The `reason` of a refusal. */
  reason: string | undefined;
  /** The answer says that a refresh brings other rights. */
  refreshHint: "grant_changed" | undefined;
  durationMs: number;
  /** Bearer transport: tokens that were sent or received, shortened to `"eyJhbG…9fQx"`. */
  tokens: { access_token?: string; refresh_token?: string };
}

export interface SessionEventMap {
  /** A login, here or in another tab, or a session that `restore` has found. */
  began: SessionEvent<State>;
  /** A refresh, here or in another tab. */
  refreshed: SessionEvent<State>;
  /**
   * The session's scopes are others than before. Fires once in each tab, after `refreshed`. For
   * example, the service has taken a role away from the user, and the page hides a menu.
   *
   * The client can't read the claims of a token. If your rights are in claims, listen to
   * `refreshed` as well.
   */
  changed: SessionEvent<{ scope: string; previousScope: string }>;
  /** The session is over, for the reason in `detail`. Fires once in each tab. */
  ended: SessionEvent<{ reason: EndReason }>;
  /** The server doesn't answer, or answers 503. It will be asked again in `retryAfter` seconds. */
  unavailable: SessionEvent<{ retryAfter: number }>;
  /** The server answers again. */
  available: SessionEvent<undefined>;
  /** Each exchange with the server, when it ends. */
  exchange: SessionEvent<Exchange>;
}

/**
 * Why a session has ended. `logged_out`: by a logout here or in another tab. `reused`: a spent
 * refresh token came back, so that a thief may have the user's tokens. `missing`: the browser
 * has lost its cookies. Others are the reasons of a 401 in the wire protocol, given by an endpoint
 * of gatepass: a session that `fetch` found `revoked` ends with the reason of the refresh that was
 * refused then, such as `session_ended`.
 */
export type EndReason =
  | "logged_out" | "reused" | "revoked" | "session_ended" | "refresh_expired" | "unknown_session"
  | "missing" | (string & {});

export interface SessionEvent<Detail> extends Event {
  readonly detail: Detail;
}

export interface Session extends EventTarget {
  /** `null` while there is no session, or none is known yet. */
  readonly state: State | null;

  /**
   * Logs in. A session that this client had before ends.
   *
   * A login whose answer was lost isn't sent again by itself: it rejects with `UnavailableError`.
   * Rejects with `RefusedError`, for example `bad_credentials`, or `too_many_attempts` with
   * `retryAfter`.
   */
  login(credentials: Credentials): Promise<State>;

  /**
   * Finds out whether a session goes on: from `storage`, other tabs, or in cookie transport from
   * the times in localStorage or one refresh. Call it once when the page or program begins.
   *
   * Resolves with `null` if there is no session. If it finds that a session has ended, `ended`
   * fires before. In cookie transport it may not ask the server: to learn whether the session
   * lives, call `refresh`. Rejects with `UnavailableError` if the server doesn't answer: the user
   * may still be logged in, so don't show the login. Also rejects with the error of `storage.load`.
   */
  restore(): Promise<State | null>;

  /**
   * Sends a request as `fetch` does, with the session's tokens. Without a session it is an ordinary
   * `fetch`. A 401 that a refresh doesn't mend is returned, and not thrown.
   *
   * It refreshes before if the token has expired, and sends the request once again after a 401
   * `expired`. It does the same after a 401 `stale_grant`: the rights of the session have changed.
   * It sends that request twice again if the first refresh began before the change. An answer may
   * offer more rights (`Gatepass-Refresh: grant_changed`). Then the client refreshes in the
   * background within 5 seconds. A 401 that calls the session over, such as `revoked`, makes it refresh as well: the
   * session ends only if the refresh is refused. After a 503 it waits and sends it again, a few
   * times, if nothing was done: a gate of gatepass says so, or the method is idempotent and the
   * answer has `Retry-After`. A body that is a stream is sent once.
   *
   * Rejects with `RefusedError` if the session turns out to be over before the request is sent,
   * with `UnavailableError` if no token can be had at present, and else as `fetch` does.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

  /** Refreshes now, unless another tab does at the same time. */
  refresh(): Promise<State>;

  /** Proves the password or another credential again, after a 401 `authentication_too_old`. */
  reauthenticate(credentials: { password?: string; [member: string]: unknown }): Promise<State>;

  /** The user's sessions, newest first. */
  sessions(): Promise<ListedSession[]>;
  /** Ends one of the user's sessions. */
  endSession(id: string): Promise<void>;
  /** Ends all of the user's sessions but this one. */
  endOthers(): Promise<void>;

  /**
   * Logs out in every tab at once, and then tells the server.
   *
   * Rejects with `UnavailableError` if the server didn't get it. Then the session still lives
   * there: call `logout` again later.
   */
  logout(): Promise<void>;
  /** Ends all of the user's sessions. This one ends when the server has confirmed it. */
  logoutAll(): Promise<void>;

  /** Stops the timers and the exchange with other tabs. The session itself goes on. */
  close(): void;

  addEventListener<Type extends keyof SessionEventMap>(
    type: Type,
    listener: ((event: SessionEventMap[Type]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Makes a client of the endpoints at `options.base`. It sends nothing before you call it. */
export function createClient(options?: Options): Session;

/** The server has refused, and said why. */
export class RefusedError extends Error {
  constructor(status: number, reason: string, description: string, retryAfter?: number);
  readonly status: number;
  /** A stable name for programs, such as `bad_credentials`. `unknown` if gatepass sent none. */
  readonly reason: string;
  /** A text for people. */
  readonly description: string;
  /** Seconds. */
  readonly retryAfter?: number;
}

/** The server has not answered, or said that it can't at present. It has refused nothing. */
export class UnavailableError extends Error {
  constructor(message: string, retryAfter?: number, cause?: unknown);
  /** Seconds, if the server has said so. */
  readonly retryAfter?: number;
}
