// A connection that stays open: the server-sent events of GET /events. The service ends it when the
// session ends, and says why.

import * as words from "./words.js";

/** The connection's part of the page. `page` gives `session()` and `attempt()`. */
export function createLive(page) {
  const $ = (id) => document.getElementById(id);
  let source = null;
  let ticks = 0;

  function show(state, text) {
    $("live").dataset.state = state;
    $("live-result").textContent = text;
    $("live-open").disabled = state === "open";
    $("live-close").disabled = state !== "open";
  }

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    close();
    ticks = 0;
    // The browser sends the cookies with the request. No script can add a header.
    const own = source = new EventSource("/events");
    show("open", words.live(ticks));
    const on = (name, act) => own.addEventListener(name, (event) => {
      if (own === source) act(event);
    });
    on("message", () => {
      ticks += 1;
      show("open", words.live(ticks));
    });
    on("session_ended", ({ data }) => {
      close();
      const { reason } = JSON.parse(data);
      show("ended", words.cut(reason));
      $("live").dataset.reason = reason;
      $("live-open").disabled = true;
      // The token has expired or the rights have changed: the client refreshes and continues.
      if (reason !== "revoked") {
        page.attempt(async () => {
          if ((await page.session().fetch("/me")).ok) open();
        });
      }
    });
    on("error", () => {
      // The browser reconnects by itself, unless the service refused the connection.
      if (own.readyState !== EventSource.CLOSED) return;
      close();
      show("failed", words.notOpened());
    });
  }

  return {
    open,
    /** Closes the connection, as leaving the page does. */
    close() {
      close();
      show("idle", "");
    },
    /** Offers the connection, or says why this session has none. */
    offer(possible) {
      close();
      show("idle", "");
      delete $("live").dataset.reason;
      $("live").hidden = false;
      $("live-open").disabled = !possible;
      $("live-none").hidden = possible;
    },
  };
}
