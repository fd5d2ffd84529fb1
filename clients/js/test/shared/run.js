import { assert } from "./assert.js";
import { tests } from "./tests.js";

/**
 * Runs every shared test with `createClient` against `baseUrl`, one after the other. Returns
 * `[{ name, ok, error, durationMs }]`.
 */
export async function runAll({
  createClient, baseUrl, transport, credentials, options = () => ({}),
}) {
  const results = [];
  for (const { name, run } of tests) {
    const sessions = [];
    const open = (more) => {
      const session = createClient({ base: baseUrl, transport, tabs: true, ...options(), ...more });
      sessions.push(session);
      return session;
    };
    const begin = performance.now();
    let error = null;
    try {
      await run({ open, assert, baseUrl, transport, credentials });
    } catch (thrown) {
      error = `${thrown?.name}: ${thrown?.message}`;
    }
    for (const session of sessions) session.close();
    const durationMs = Math.round(performance.now() - begin);
    results.push({ name, ok: error === null, error, durationMs });
  }
  return results;
}
