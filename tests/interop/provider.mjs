// An OpenID Connect provider for the tests of logins: `oidc-provider` with its own login page,
// which accepts every name and password. Arguments: the origin of the service whose users log in,
// the path to which browsers come back, and the path that takes logout tokens. Prints the issuer
// once it listens. For each line that it reads, it replaces its signing key with a new one, and
// prints a line. It serves only this machine, and only this test knows its client.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

const [service, redirect, logout] = process.argv.slice(2);

function start(issuer, kid) {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'shop-web',
        client_secret: 'a secret of the tests',
        redirect_uris: [service + redirect],
        post_logout_redirect_uris: [service],
        backchannel_logout_uri: service + logout,
        backchannel_logout_session_required: true,
      },
    ],
    cookies: { keys: ['a key of the tests'] },
    // Its own dispatcher refuses addresses of this machine, and the service is here.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    features: { backchannelLogout: { enabled: true } },
    jwks: { keys: [{ ...key.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }] },
    pkce: { required: () => true },
  });
  // If the service refuses a logout token, the test fails. It reads this output.
  provider.on('backchannel.error', (_, error) => console.error('logout:', error));
  provider.on('server_error', (_, error) => console.error(error));
  return provider.callback();
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://localhost:${server.address().port}`;
  let keys = 1;
  // Providers in one process share their store, so logins survive.
  let answer = start(issuer, `key-${keys}`);
  server.on('request', (request, response) => answer(request, response));
  console.log(issuer);
  // The test keeps the other end open while it runs.
  createInterface(process.stdin)
    .on('line', () => {
      keys += 1;
      answer = start(issuer, `key-${keys}`);
      console.log(`key-${keys}`);
    })
    .on('close', () => process.exit());
});
