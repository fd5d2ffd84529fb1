import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "../gatepass.js";
import { runAll } from "./shared/run.js";
import { credentials, World } from "./support/world.js";
import { FakeServer } from "./support/server.js";

for (const transport of ["bearer", "cookie"]) {
  for (const isDropping of [false, true]) {
    const name = isDropping ? "a server that drops every third answer" : "a server";
    test(`${transport}: the tests that browsers run pass against ${name}`, async (context) => {
      const server = await new FakeServer().listen();
      if (isDropping) server.dropEveryThird();
      const world = Object.assign(new World(), { server });
      const results = await runAll({
        createClient, transport, baseUrl: `${server.origin}/auth`,
        credentials: credentials("alice"), options: () => world.tabInFastTime(),
      });
      server.close();
      for (const { name, ok, error } of results) {
        await context.test(name, () => assert.ok(ok, error));
      }
    });
  }
}
