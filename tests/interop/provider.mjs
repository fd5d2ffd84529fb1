// An OpenID Connect provider for the tests of logins: `oidc-provider` with its own login page, which
// takes every name and password. Arguments: the origin of the service whose users log in, the path to
// which browsers come back, and the path that takes logout tokens. Prints the issuer once it listens.
// Everything that it serves is on this machine, and its client is known to this test alone.

import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const [service, redirect, logout] = process.argv.slice(2);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://localhost:${server.address().port}`;
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
    // Its own dispatcher refuses addresses of this machine, where the service is.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    features: { backchannelLogout: { enabled: true } },
    pkce: { required: () => true },
  });
  // A logout token that was not taken is a failure of the test, which reads this.
  provider.on('backchannel.error', (_, error) => console.error('logout:', error));
  provider.on('server_error', (_, error) => console.error(error));
  server.on('request', provider.callback());
  console.log(issuer);
});
// The test keeps the other end open while it runs.
process.stdin.resume().on('end', () => process.exit());
