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
   * Other origins that get the session's tokens, such as `["https://api.example.com"]`. The origin
   * of `base` always gets them, and no other origin does.
   */
  origins?: (string | URL)[];
  /**
   * Whether this client shares its session with other tabs of the same origin. Default: `true` in a
   * page, `false` elsewhere. For example, two clients in one Node process may belong to two users.
   */
  tabs?: boolean;
  /** Replaces the clocks and the browser's interfaces, for tests. */
  environment?: Partial<Environment>;
}

/** A place for tokens. The client calls one function after the other, never two at once. */
export interface TokenStorage {
  /** The last saved value, or `null`. */
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
  /** When the client asked for the tokens, by this machine's clock. The next two count from it. */
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
  /** Missing if the service uses another credential, such as a one-time code. */
  password?: string;
  /** A name of the device for the list of sessions. */
  device?: string;
  /** Members for the service's own authenticator, such as a one-time code. */
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
  /** Bearer transport: the sent and received tokens, shortened to `"eyJhbG…9fQx"`. */
  tokens: { access_token?: string; refresh_token?: string };
}

export interface SessionEventMap {
  /** A login, here or in another tab, or a session that `restore` has found. */
  began: SessionEvent<State>;
  /** A refresh, here or in another tab. */
  refreshed: SessionEvent<State>;
  /**
   * The session's scopes have changed. Fires once in each tab, after `refreshed`. For example, the
   * service has taken a role away from the user, and the page hides a menu.
   *
   * The client can't read the claims of a token. If your rights are in claims, listen to
   * `refreshed` as well.
   */
  changed: SessionEvent<{ scope: string; previousScope: string }>;
  /** The session is over, for the reason in `detail`. Fires once in each tab. */
  ended: SessionEvent<{ reason: EndReason }>;
  /** The server doesn't answer, or answers 503. The client asks again in `retryAfter` seconds. */
  unavailable: SessionEvent<{ retryAfter: number }>;
  /** The server answers again. */
  available: SessionEvent<undefined>;
  /** Each exchange with the server, when it ends. */
  exchange: SessionEvent<Exchange>;
}

/**
 * Why a session has ended. `logged_out`: a logout here or in another tab. `reused`: a spent refresh
 * token came back, so a thief may have the user's tokens. `missing`: the browser has lost its
 * cookies. Any other reason is the reason of a 401 from an endpoint of gatepass. For example, if
 * `fetch` gets a 401 `revoked`, the client refreshes. The session then ends with the reason of the
 * refused refresh, such as `session_ended`.
 */
export type EndReason =
  | "logged_out" | "reused" | "revoked" | "session_ended" | "refresh_expired" | "unknown_session"
  | "missing" | (string & {});

export interface SessionEvent<Detail> extends Event {
  readonly detail: Detail;
}

export interface Session extends EventTarget {
  /** `null` if there is no session, or if the client doesn't know of one yet. */
  readonly state: State | null;

  /**
   * Logs in. If this client had a session before, that one ends.
   *
   * If the answer is lost, the client doesn't send the login again: it rejects with
   * `UnavailableError`. It rejects with `RefusedError` if the server refuses, for example with
   * `bad_credentials`, or with `too_many_attempts` and `retryAfter`.
   */
  login(credentials: Credentials): Promise<State>;

  /**
   * Finds out whether a session continues. It asks `storage` and other tabs. In cookie transport it
   * reads the times in localStorage, or refreshes once. Call it once when the page or program
   * begins.
   *
   * Resolves with `null` if there is no session. If it finds that a session has ended, `ended`
   * fires before. In cookie transport it may not ask the server: call `refresh` to learn whether
   * the session is live. It rejects with `UnavailableError` if the server doesn't answer. The user
   * may still be logged in then, so don't show the login. It also rejects with the error of
   * `storage.load`.
   */
  restore(): Promise<State | null>;

  /**
   * Sends a request as `fetch` does, with the session's tokens. Without a session it is an ordinary
   * `fetch`. It returns a 401 that a refresh can't fix, and doesn't throw it.
   *
   * It refreshes first if the token has expired, and sends the request again after a 401 `expired`.
   * It does the same after a 401 `stale_grant`: the rights of the session have changed. If the
   * first refresh began before that change, it sends the request a second time.
   *
   * An answer may offer more rights (`Gatepass-Refresh: grant_changed`). The client then refreshes
   * in the background within 5 seconds. It also refreshes after a 401 that says that the session is
   * over, such as `revoked`. The session ends only if the server refuses this refresh.
   *
   * After a 503 it waits and sends the request again, a few times, if that is safe: a gate of
   * gatepass has answered, so your handler has not run, or the method is idempotent and the answer
   * has `Retry-After`. It sends a stream only once.
   *
   * Rejects with `RefusedError` if the session turns out to be over before it sends the request,
   * and with `UnavailableError` if it can't get a token now. Otherwise it rejects as `fetch` does.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

  /** Refreshes now, unless another tab is doing so. */
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

  /** Stops the timers and the exchange with other tabs. The session itself continues. */
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

/** The server has refused, with a reason. */
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

/** The server didn't answer, or can't answer now. It has refused nothing. */
export class UnavailableError extends Error {
  constructor(message: string, retryAfter?: number, cause?: unknown);
  /** Seconds, if the server named them. */
  readonly retryAfter?: number;
}
