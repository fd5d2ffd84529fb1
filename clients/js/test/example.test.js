/** Tests of the example's page that need no browser. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const ORIGIN = "http://127.0.0.1:3000";

/** Node would load a `.js` file as CommonJS without a package.json that says otherwise. */
async function load(name) {
  const url = new URL(`../../../examples/full/app/src/page/${name}`, import.meta.url);
  const text = await readFile(url, "utf8");
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
}

const { returnTo } = await load("return_to.js");
const words = await load("words.js");

test("a login leads to a path of this service", () => {
  for (const path of ["/account", "/", "/a/b?c=/../d#e", "/a//b", "/.well-known/x", "/a..b/..."]) {
    assert.equal(returnTo(path, ORIGIN)?.href, ORIGIN + path);
  }
});

test("a login doesn't lead to another site, however a link hides it", () => {
  for (const path of [
    null, "", "account", "https://evil.example", "//evil.example", "///evil.example",
    "/\\evil.example", "\\\\evil.example", "/a\\..\\\\evil.example", "javascript:alert(1)",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example",
    "/.//evil.example", "/a/..//evil.example", "/%2e//evil.example", "/.///evil.example",
    "/%2E%2e//evil.example", "/a/.%2e//evil.example", "/a/%2E.", "/a/..", "/..?b", "/.#c",
  ]) {
    assert.equal(returnTo(path, ORIGIN), null, JSON.stringify(path));
  }
});

test("the page says that a page of the server needs cookies", () => {
  assert.match(words.next("/account", "cookie"), /^After the login you go to \/account\.$/);
  assert.match(words.next("/account", "both"), /with cookies you go to \/account/);
  assert.match(words.next("/account", "bearer"), /You stay here/);
});

test("the page tells which rights came and went", () => {
  const lost = words.rights("admin profile", "profile");
  assert.equal(lost.state, "taken");
  assert.match(lost.text, /took “admin” away .*“stale_grant”.* gave no password/);
  const won = words.rights("", "admin profile");
  assert.equal(won.state, "given");
  assert.match(won.text, /^You have “admin” and “profile” now\./);
  assert.doesNotMatch(won.text, /took|stale/);
  assert.match(words.rights("a", "b").text, /took “a” away .*You have “b” now/);
});

test("an answer about the second server that isn't as expected is explained, not thrown", () => {
  const peer = (status, answer) => words.peer("http://127.0.0.1:3001", status, answer);
  assert.deepEqual(peer(502, null), {
    state: "unreachable",
    text: "The second server couldn’t be watched: the service answers 502",
  });
  assert.equal(peer(200, null).state, "unreachable");
  assert.match(peer(503, { error_description: "too many others watch" }).text, /too many others/);
  const measured = { own_ms: 300, peer_ms: 0.4, reason: "revoked" };
  assert.match(peer(200, measured).text, /3001 refused your token less than 1 ms .*“revoked”/);
  assert.equal(peer(200, { own_ms: null, peer_ms: null, reason: null }).state, "accepts");
  assert.match(peer(200, { own_ms: 3, peer_ms: null, reason: null }).text, /still accepts/);
});
