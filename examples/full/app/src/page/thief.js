// The theft, step by step. The service plays the thief, because no script can read the cookies with
// the tokens. It copies your refresh token, as malware on your computer would, and uses it.

import { duration } from "./words.js";

/** More than the difference between the clocks of the page and the service, in milliseconds. */
const MARGIN = 400;

const STORIES = {
  // You refresh twice. Then the thief comes with a token that is two refreshes old.
  you: (overlap) => [
    ["steal", "The thief copies your refresh token from the browser’s cookie file."],
    ["mine", "Your browser refreshes. The copy is spent now. The service answers it for another "
      + `${overlap} all the same, since a second tab or a retry also sends a spent token.`],
    ["mine", `Your browser refreshes once more, ${overlap} later: a session gets a new token at `
      + "most that often. Then the copy is two tokens old."],
    ["theirs", "The thief uses the copy."],
  ],
  // The thief refreshes twice while your browser sleeps. Then your own token is the old one.
  thief: (overlap) => [
    ["steal", "The thief copies your refresh token from the browser’s cookie file."],
    ["theirs", "The thief is faster and refreshes. Your browser sleeps."],
    ["theirs", `The thief refreshes once more, ${overlap} later: a session gets a new token at `
      + "most that often. Then your browser’s token is two tokens old."],
    ["mine", "Your browser wakes up and refreshes."],
  ],
};

/**
 * The thief's part of the page. `page` gives `session()`, `overlap` in milliseconds,
 * `log(exchange, note)`, and `watched(action)`, which measures when the second server learns that
 * `action` ended a session.
 */
export function createThief(page) {
  const $ = (id) => document.getElementById(id);
  let running = null;
  /** Whether the theft is at the step that ends the session. */
  let atLast = false;

  function steps(story) {
    $("thief-steps").replaceChildren(...story.map(([, text], index) => {
      const item = document.createElement("li");
      item.dataset.step = index + 1;
      item.dataset.state = "todo";
      item.textContent = text;
      return item;
    }));
  }

  function mark(index, state) {
    $("thief-steps").children[index].dataset.state = state;
    if (state === "now") $("thief-steps").children[index].setAttribute("aria-current", "step");
    else $("thief-steps").children[index].removeAttribute("aria-current");
  }

  function conclude(state, text) {
    $("thief").dataset.state = state;
    $("thief-result").textContent = text;
  }

  /** Waits, and shows the wait. */
  async function pause(milliseconds, signal) {
    if (milliseconds <= 0) return;
    const from = performance.now();
    const until = from + milliseconds + MARGIN;
    $("thief-waiting").hidden = false;
    $("thief-wait").max = until - from;
    while (performance.now() < until) {
      signal.throwIfAborted();
      const left = until - performance.now();
      $("thief-wait").value = until - from - left;
      $("thief-wait-text").textContent = `The next step is in ${duration(left)}.`;
      await new Promise((done) => setTimeout(done, Math.min(200, left)));
    }
    $("thief-waiting").hidden = true;
    signal.throwIfAborted();
  }

  async function ask(path) {
    const response = await page.session().fetch(path, { method: "POST" });
    const answer = await response.json();
    if (!response.ok) throw Object.assign(new Error(answer.error_description), answer);
    return answer;
  }

  /** The thief's own exchange with the service, which this page doesn't see. */
  async function replay() {
    const from = performance.now();
    const { status, reason } = await ask("/demo/replay");
    const durationMs = performance.now() - from;
    page.log({ method: "POST", path: "/auth/refresh", status, reason, durationMs }, "by the thief");
    return { status, reason };
  }

  async function play(who, signal) {
    const story = STORIES[who](duration(page.overlap));
    steps(story);
    let wait = 0;
    for (const [index, [kind]] of story.entries()) {
      const last = atLast = index === story.length - 1;
      mark(index, "now");
      // The last token needs no wait, because it is already two refreshes old.
      if (!last) await pause(wait, signal);
      if (kind === "steal") {
        wait = (await ask("/demo/steal")).wait_ms;
      } else if (kind === "mine") {
        await (last ? page.watched(() => page.session().refresh()) : page.session().refresh());
        wait = page.overlap;
      } else {
        const tried = await (last ? page.watched(replay) : replay());
        if (last) return verdict(tried, index);
        if (tried.status !== 200) return missed(tried);
        wait = page.overlap;
      }
      signal.throwIfAborted();
      mark(index, "done");
    }
    // The browser's own refresh succeeded: the tokens were not two refreshes apart.
    return missed({ status: 200 });
  }

  function verdict({ status, reason }, index) {
    if (status !== 401 || reason !== "reused") return missed({ status, reason });
    mark(index, "done");
    conclude("caught", "Caught: the service refused the copy (401, “reused”) and ended the session. "
      + "The thief has nothing, and you log in again with your password.");
    return "reused";
  }

  function missed({ status, reason }) {
    conclude("missed", status === 200
      ? "Not caught yet: another refresh came in between, for example one of another tab, and the "
        + "token was still good. Steal it once more."
      : `The thief was refused (${status}, “${reason}”), but not as a thief. Steal it once more.`);
    return null;
  }

  /** Plays the theft. Resolves with "reused" if the page must say that the thief was caught. */
  async function begin(who) {
    running?.abort();
    const own = running = new AbortController();
    atLast = false;
    $("thief").dataset.state = "running";
    $("thief-story").hidden = false;
    $("thief-result").textContent = "";
    busy(true);
    $("thief-story").scrollIntoView({ block: "nearest" });
    try {
      return await play(who, own.signal);
    } catch (error) {
      if (error.name !== "AbortError" && running === own) failed(error);
      return null;
    } finally {
      if (running === own) {
        running = null;
        busy(false);
      }
    }
  }

  function failed(error) {
    if (error.reason === "reused") {
      mark($("thief-steps").children.length - 1, "done");
      conclude("caught", "Caught: the service refused your browser’s old token (401, “reused”) and "
        + "ended the session. The thief’s newer token is refused as well.");
    } else {
      conclude("missed", `The theft stopped: ${error.message}`);
    }
  }

  function busy(yes) {
    for (const id of ["steal", "steal-first", "refresh"]) $(id).disabled = yes;
    $("thief-stop").hidden = !yes;
    if (!yes) $("thief-waiting").hidden = true;
  }

  return {
    begin,
    /** Whether a theft is under way. */
    get running() {
      return running !== null;
    },
    /** Learns that the session is over. The last step should cause that. */
    over() {
      if (!atLast) this.stop("The session is over, so the theft stops here.");
    },
    stop(text) {
      if (running === null) return;
      running.abort();
      running = null;
      busy(false);
      conclude("idle", text);
    },
    /** Clears the last theft. */
    clear() {
      if (running !== null) return;
      $("thief-story").hidden = true;
      $("thief").dataset.state = "idle";
    },
  };
}
