// Rights that change while you are logged in. The service takes the scope "admin" away from your
// user, or gives it back. The client in gatepass.js does the rest.

import * as words from "./words.js";

/** The rights' part of the page. `page` gives `session()`. */
export function createRights(page) {
  const $ = (id) => document.getElementById(id);

  function show(state, text) {
    $("rights").dataset.state = state;
    $("rights-result").textContent = text;
  }

  return {
    /** Asks the service to "demote" or "promote" the user, then sends a request that shows it. */
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
      // The request's token is stale, or its answer announces the offer.
      await page.session().fetch("/me");
    },
    /** Learns that the session has other scopes. */
    changed({ scope, previousScope }) {
      const { state, text } = words.rights(previousScope, scope);
      show(state, text);
    },
    /** Forgets the results of the previous session. */
    clear() {
      show("idle", "");
    },
  };
}
