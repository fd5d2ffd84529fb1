/**
 * Runs the shared tests in a page. The query may have `base`, `transport`, `username`, `password`.
 * The final results are in `window.__results`, and as JSON in the document.
 */

import { createClient } from "../gatepass.js";
import { runAll } from "./shared/run.js";

const query = new URLSearchParams(location.search);
const results = await runAll({
  createClient,
  baseUrl: query.get("base") ?? "/auth",
  transport: query.get("transport") ?? "cookie",
  credentials: {
    username: query.get("username") ?? "alice",
    password: query.get("password") ?? "alice-in-wonderland",
  },
});
document.querySelector("#results").textContent = JSON.stringify(results, null, 2);
document.title = results.every(({ ok }) => ok) ? "passed" : "failed";
window.__results = results;
