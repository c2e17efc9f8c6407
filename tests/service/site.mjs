// A site to log in to by security keys, for one user, verified by npm's @simplewebauthn/server.
//
// node site.mjs CMD… runs CMD with the site's address in SITE.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import * as webauthn from '@simplewebauthn/server';

const [expectedOrigin, expectedRPID] = ['https://login.example.com', 'example.com'];
const registered = new Map();
// The challenge of the options that were given last.
let expectedChallenge;

const expected = () => ({ expectedChallenge, expectedOrigin, expectedRPID, requireUserVerification: false });

const routes = {
  'GET /register': () =>
    webauthn.generateRegistrationOptions({
      rpName: 'Example',
      rpID: expectedRPID,
      userName: 'alice',
      excludeCredentials: [...registered.values()],
    }),
  'POST /register': async (response) => {
    const { registrationInfo } = await webauthn.verifyRegistrationResponse({ response, ...expected() });
    registered.set(response.id, registrationInfo.credential);
    return { id: response.id };
  },
  'GET /login': () =>
    webauthn.generateAuthenticationOptions({ rpID: expectedRPID, allowCredentials: [...registered.values()] }),
  'POST /login': async (response) => {
    const credential = registered.get(response.id);
    const { verified, authenticationInfo } = await webauthn.verifyAuthenticationResponse({
      response,
      credential,
      ...expected(),
    });
    if (!verified) throw new Error('the signature is not of this credential');
    credential.counter = authenticationInfo.newCounter;
    return { id: response.id };
  },
};

const server = createServer(async (request, response) => {
  const tell = (status, what) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(what));
  try {
    const body = request.method === 'POST' ? await json(request) : undefined;
    const answer = await routes[`${request.method} ${request.url}`](body);
    if (request.method === 'GET') expectedChallenge = answer.challenge;
    tell(200, answer);
  } catch (error) {
    // Whatever the library throws is a refusal.
    tell(403, { refused: `${error.name}: ${error.message}` });
  }
});

server.listen(0, '127.0.0.1', () => {
  const env = { ...process.env, SITE: `http://127.0.0.1:${server.address().port}` };
  const [, , command, ...words] = process.argv;
  spawn(command, words, { stdio: 'inherit', env }).on('exit', (status) => process.exit(status ?? 1));
});
