// Swagger UI in a browser without a screen: reads the description, logs in by the password flow,
// and tries a guarded operation. It does this on a page of the server's own, and on a page of
// another origin, for which jsdom enforces CORS.

import { readFileSync } from "node:fs";
import { JSDOM, VirtualConsole } from "jsdom";

import { PATIENCE, check, each, same } from "./servers.mjs";

const read = (path) => readFileSync(new URL(`../node_modules/${path}`, import.meta.url), "utf8");
const bundle = read("swagger-ui-dist/swagger-ui-bundle.js");
// Over XMLHttpRequest, because jsdom has no `fetch`. CORS applies to both.
const polyfill = read("whatwg-fetch/dist/fetch.umd.js");

await each("swagger-ui-dist", async (server) => {
  // First without a client, as most users leave the form, then with each configured client.
  await onPage(server, `${server.issuer}/`, [null, ...server.clients]);
  await onPage(server, "http://docs.example/", [null]);
  return "logs in by the password flow and tries a guarded operation, on its own origin and on another";
});

async function onPage(server, url, clients) {
  const virtualConsole = new VirtualConsole();
  const options = { url, runScripts: "outside-only", pretendToBeVisual: true, virtualConsole };
  const { window } = new JSDOM('<div id="ui"></div>', options);
  try {
    window.eval(polyfill);
    window.eval(bundle);
    const ui = await opened(window, `${server.issuer}/openapi.json`);
    for (const client of clients) {
      await converse(server, ui, client);
    }
  } finally {
    window.close();
  }
}

async function converse(server, ui, client) {
  const { authActions, authSelectors, errActions, errSelectors, specSelectors } = ui.getSystem();
  const schema = specSelectors.securityDefinitions().get("password");
  const form = {
    name: "password",
    // The fields as the dialog submits them, including empty ones.
    schema: schema.getIn(["flows", "password"]).set("type", "oauth2").set("flow", "password"),
    scopes: [],
    ...server.user,
    passwordType: ["client_secret_post", "none"].includes(client?.method) ? "request-body" : "basic",
    clientId: client?.id ?? "",
    clientSecret: client?.secret ?? "",
  };
  const told = () => errSelectors.allErrors().toJS().map((error) => error.message).join();

  authActions.authorizePassword({ ...form, password: "wrong" });
  await until(ui, "a wrong password is refused", told);
  check(`a wrong password is told as such, not as ${told()}`, told().includes("invalid_grant"));
  same("who has logged in", authSelectors.authorized().size, 0);
  same("a guarded operation, without a token", await tried(ui), 401);

  // As the dialog does before another attempt.
  errActions.clear({ authId: "password", type: "auth", source: "auth" });
  authActions.authorizePassword(form);
  await until(ui, "a login succeeds", () => authSelectors.authorized().size > 0 || told());
  same("what is wrong with a login", told(), "");
  same("a guarded operation, with the token", await tried(ui), 200);
  authActions.logout(["password"]);
}

// Resolves with the page once it has read the description.
function opened(window, url) {
  return new Promise((resolve, reject) => {
    const patience = setTimeout(() => reject(new Error("the page does not open")), PATIENCE);
    const ui = window.SwaggerUIBundle({
      url,
      dom_id: "#ui",
      // The page need not draw collapsed operations.
      docExpansion: "none",
      onComplete: () => {
        clearTimeout(patience);
        resolve(ui);
      },
    });
  });
}

// The answer of the list of sessions when a user tries it out.
async function tried(ui) {
  const [path, method] = ["/auth/sessions", "get"];
  const { specActions, specSelectors } = ui.getSystem();
  specActions.clearResponse(path, method);
  const operations = specSelectors.operations();
  const found = operations.find((one) => one.get("path") === path && one.get("method") === method);
  specActions.execute({ path, method, operation: found.get("operation") });
  const answer = () => specSelectors.responseFor(path, method);
  await until(ui, "a guarded operation is answered", () => answer()?.size);
  return answer().get("status");
}

// Waits until the page satisfies a condition.
function until(ui, what, holds) {
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      clearTimeout(patience);
      unsubscribe();
      settle(value);
    };
    const judge = () => holds() && end(resolve);
    const patience = setTimeout(() => end(reject, new Error(`not within ${PATIENCE} ms: ${what}`)), PATIENCE);
    const unsubscribe = ui.getSystem().getStore().subscribe(judge);
    judge();
  });
}
