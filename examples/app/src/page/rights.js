// Rights that change while you are logged in. The service takes the scope "admin" away from your
// user, or gives it back. The client in gatepass.js does the rest.

import * as words from "./words.js";

/** The page's part of it. `page` gives `session()`. */
export function createRights(page) {
  const $ = (id) => document.getElementById(id);

  function show(state, text) {
    $("rights").dataset.state = state;
    $("rights-result").textContent = text;
  }

  return {
    /** Has the service do it ("demote" or "promote"), and sends a request that shows the effect. */
    async change(action) {
      show("changing", "");
      const response = await page.session().fetch(`/demo/${action}`, { method: "POST" });
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) {
        show("failed", words.refusal(response.status, answer.reason, answer.error_description));
        return;
      }
      if (answer.sessions === 0) show("unchanged", words.unchanged(action));
      else if (action === "promote") show("offered", words.offered());
      // It finds the token stale, or learns of the offer.
      await page.session().fetch("/me");
    },
    /** Learns that the session has other scopes. */
    changed({ scope, previousScope }) {
      const { state, text } = words.rights(previousScope, scope);
      show(state, text);
    },
    /** Forgets what the session before has shown. */
    clear() {
      show("idle", "");
    },
  };
}
