/** The few assertions that the shared tests need, for browsers and Node alike. */

function fail(message) {
  throw new Error(message);
}

export const assert = {
  ok(value, message = "it isn't true") {
    if (!value) fail(message);
  },
  equal(actual, expected, message = "not equal") {
    const [got, wanted] = [actual, expected].map((value) => JSON.stringify(value));
    if (got !== wanted) fail(`${message}: ${got} instead of ${wanted}`);
  },
  async rejects(promise, reason) {
    const error = await promise.then(() => null, (error) => error);
    if (error?.reason !== reason) fail(`not refused as ${reason}: ${error}`);
  },
};
