// login.test.mjs: keyrig exec --key a=keyrig --key b=yubikey-5.7 -- node --test login.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as webauthn from '@simplewebauthn/server';

const [expectedOrigin, expectedRPID] = ['https://login.example.com', 'example.com'];

async function keyrig(method, path, body = {}) {
  const headers = { authorization: `Bearer ${process.env.KEYRIG_TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(`${process.env.KEYRIG_URL}/v1/${path}`, { method, headers, body: JSON.stringify(body) });
  const json = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(json.error.message), json.error);
  return json;
}

async function register(key, origin = expectedOrigin) {
  await keyrig('PUT', 'finger', { key });
  const options = await webauthn.generateRegistrationOptions({ rpName: 'Example', rpID: expectedRPID, userName: 'alice' });
  const response = await keyrig('POST', 'client/create', { origin, pin: '1234', options });
  const expected = { expectedChallenge: options.challenge, expectedOrigin, expectedRPID, requireUserVerification: false };
  return (await webauthn.verifyRegistrationResponse({ response, ...expected })).registrationInfo.credential;
}

async function logIn(credentials) {
  const options = await webauthn.generateAuthenticationOptions({ rpID: expectedRPID, allowCredentials: credentials });
  const response = await keyrig('POST', 'client/get', { origin: expectedOrigin, pin: '1234', options });
  const credential = credentials.find(({ id }) => id === response.id);
  const expected = { expectedChallenge: options.challenge, expectedOrigin, expectedRPID, requireUserVerification: false };
  assert((await webauthn.verifyAuthenticationResponse({ response, credential, ...expected })).verified);
  return credential;
}

test('a second key replaces a lost one', async () => {
  const [a, b] = [await register('a'), await register('b')];
  assert.equal((await logIn([a, b])).id, b.id);
  await keyrig('POST', 'keys/b/unplug');
  await keyrig('PUT', 'finger', { key: 'a' });
  assert.equal((await logIn([a, b])).id, a.id);
});

test('a page from elsewhere gets nothing', async () => {
  await assert.rejects(register('a', 'https://login.example.net'), { code: 'rp-id-foreign', name: 'SecurityError' });
});
