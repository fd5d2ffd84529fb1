// Compiled by `npm run test:types`, never run.
import {
  createClient, RefusedError, UnavailableError, type Session, type StoredSession,
} from "../gatepass.js";

let stored: StoredSession | null = null;
const session: Session = createClient({
  base: "https://example.com/auth",
  transport: "bearer",
  origins: ["https://api.example.com"],
  storage: {
    load: () => stored,
    save: async (value) => { stored = value; },
    clear: () => { stored = null; },
  },
});

session.addEventListener("ended", ({ detail }) => {
  const reason: string = detail.reason;
  // @ts-expect-error: an end has no such member
  detail.retryAfter;
  if (detail.reason === "reused") console.log(reason);
});
session.addEventListener("exchange", ({ detail }) => detail.status.toFixed());
session.addEventListener("exchange", ({ detail }) => detail.refreshHint === "grant_changed");
session.addEventListener("changed", ({ detail }) => {
  const [now, before]: [string, string] = [detail.scope, detail.previousScope];
  console.log(now.split(" "), before);
});

export async function use(): Promise<void> {
  try {
    const { sessionId } = await session.login({ username: "alice", password: "…", code: "123" });
    const response = await session.fetch(new Request("https://example.com/me"), { method: "GET" });
    const first = (await session.sessions())[0];
    if (response.ok && first?.current) await session.endSession(sessionId);
    const refreshIn: number | undefined = session.state?.refreshIn;
    if (refreshIn === undefined) await session.restore();
    await session.reauthenticate({ password: "…" });
    await session.reauthenticate({ code: "123456" });
  } catch (error) {
    if (error instanceof RefusedError && error.reason === "bad_credentials") return;
    if (error instanceof UnavailableError) console.log(error.retryAfter?.toFixed());
  } finally {
    session.close();
  }
  // @ts-expect-error: there is no such transport
  createClient({ transport: "query" });
}
