// A connection that stays open: server-sent events of GET /events. The service ends it when the
// session ends, and says why.

import * as words from "./words.js";

/** The page's part of it. `page` gives `session()` and `attempt()`. */
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
    // The browser sends the cookies with it. No script can add a header.
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
      // The token has expired, or the rights have changed: the client refreshes, and goes on.
      if (reason !== "revoked") {
        page.attempt(async () => {
          if ((await page.session().fetch("/me")).ok) open();
        });
      }
    });
    on("error", () => {
      // The browser connects again by itself, unless it was refused.
      if (own.readyState !== EventSource.CLOSED) return;
      close();
      show("failed", words.notOpened());
    });
  }

  return {
    open,
    /** Ends it, as you leave a page. */
    close() {
      close();
      show("idle", "");
    },
    /** Offers it, or says why there is none for this session. */
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
