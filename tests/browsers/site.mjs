// A site of one user on npm's @simplewebauthn/server, with the page that is the argument. Prints its port.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import * as webauthn from '@simplewebauthn/server';

const [, , page] = process.argv;
const expectedRPID = 'localhost';
const userVerification = 'discouraged';
let options;
let credential;
let expectedOrigin;

const expected = () => ({
  expectedChallenge: options.challenge, expectedOrigin, expectedRPID, requireUserVerification: false,
});
const routes = {
  '/register/begin': async () => {
    options = await webauthn.generateRegistrationOptions({
      rpName: 'keys',
      rpID: expectedRPID,
      userName: 'alice',
      preferredAuthenticatorType: 'securityKey',
      authenticatorSelection: { residentKey: 'discouraged', userVerification },
    });
    return JSON.stringify(options);
  },
  '/register': async (response) => {
    const { registrationInfo } = await webauthn.verifyRegistrationResponse({ response, ...expected() });
    ({ credential } = registrationInfo);
    return `registered ${registrationInfo.fmt}`;
  },
  '/login/begin': async () => {
    options = await webauthn.generateAuthenticationOptions({
      rpID: expectedRPID,
      allowCredentials: [credential],
      userVerification,
    });
    // This version knows no hints for a login.
    return JSON.stringify({ ...options, hints: ['security-key'] });
  },
  '/login': async (response) => {
    const { verified } = await webauthn.verifyAuthenticationResponse({ response, credential, ...expected() });
    return verified ? 'logged in' : 'not verified';
  },
};

async function answer(request) {
  if (request.method === 'GET') return page;
  const body = await text(request);
  try {
    return await routes[request.url](body && JSON.parse(body));
  } catch (error) {
    // Whatever the library throws is a refusal.
    return `${error.name}: ${error.message}`;
  }
}

const server = createServer(async (request, response) => {
  const type = request.method === 'GET' ? 'text/html' : 'text/plain';
  response.writeHead(200, { 'content-type': type }).end(await answer(request));
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  expectedOrigin = `http://localhost:${port}`;
  console.log(port);
});
