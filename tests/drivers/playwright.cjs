// The page script in Playwright's pages, on Debian's Chromium: by a function that the test exposes, and by fetching. Prints what came of it.
//
// Under 'keyrig exec --plug none --key a=keyrig-uv': the browser itself finds no key.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { chromium } = require('playwright-core');

const { KEYRIG_URL, KEYRIG_TOKEN } = process.env;
const site = fs.readFileSync(path.join(__dirname, 'page.js'), 'utf8');

// A page that puts something else in the place of what everybody uses, as soon as it can.
const HOSTILE = `
  const publicKey = {
    challenge: new Uint8Array(16), rp: { name: 'x' }, user: { id: new Uint8Array(4), name: 'x', displayName: 'x' },
    pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
  };
  const evil = () => { throw new Error('hostile'); };
  for (const name of ['map', 'join', 'push', 'slice', 'includes', 'every', 'some']) Array.prototype[name] = evil;
  Function.prototype.call = Function.prototype.apply = evil;
  Object.prototype.toJSON = evil;
  JSON.stringify = JSON.parse = evil;
  Promise.race = Promise.all = Promise.resolve = evil;
  String.prototype.indexOf = String.prototype.endsWith = String.prototype.slice = evil;
  globalThis.fetch = globalThis.Uint8Array = globalThis.DOMException = globalThis.TypeError = evil;
  Array.prototype[Symbol.iterator] = evil;
  Reflect.apply = Object.keys = Object.setPrototypeOf = evil;
  navigator.credentials.create({ publicKey }).then(
    (made) => { location.hash = made.type + ' ' + made.response.getPublicKeyAlgorithm(); },
    (error) => { location.hash = error.name + ': ' + error.message; },
  );
`;

const keyrig = async (method, what, body, signal) => {
  const headers = { authorization: `Bearer ${KEYRIG_TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(`${KEYRIG_URL}/v1/${what}`, { method, headers, signal, body: body && JSON.stringify(body) });
  return answer.text();
};

// What the exposed function does: where the page is, its driver knows.
const carryOut = () => {
  const under = new Map();
  return async ({ frame }, text) => {
    const { id, ceremony, ...asked } = JSON.parse(text);
    if (ceremony === 'abort') {
      under.get(id)?.abort();
      return 'null';
    }
    if (ceremony === 'capabilities') return keyrig('POST', 'client/capabilities', {});
    const chain = [];
    for (let at = frame; at !== null; at = at.parentFrame()) chain.push(new URL(at.url()).origin);
    const [origin, ...above] = chain;
    const place = above.length === 0 ? { origin } : { origin, top_origin: above.at(-1), ancestors: above.slice(0, -1) };
    const aborting = new AbortController();
    under.set(id, aborting);
    try {
      return await keyrig('POST', `client/${ceremony}`, { ...place, ...asked }, aborting.signal);
    } finally {
      under.delete(id);
    }
  };
};

const inPage = (page, call, options) => page.evaluate(([name, given]) => site[name](given), [call, options]);
const both = async (page) => {
  const made = await inPage(page, 'create', {});
  if (made.error) return { create: made.error };
  const used = await inPage(page, 'get', { allowed: [made.id], keys: { [made.id]: made.key } });
  return { create: made.flags, get: used.flags ?? used.error, signature: used.signature };
};

const cases = async (page, other) => {
  const found = { both: await both(page) };
  const passkey = await inPage(page, 'create', { resident: true, verified: 'required' });
  const used = await inPage(page, 'get', { allowed: [], keys: { [passkey.id]: passkey.key }, verified: 'required' });
  found.passkey = { create: passkey.flags ?? passkey.error, get: used.flags ?? used.error, signature: used.signature, user: used.user };
  found.origin = (await inPage(page, 'create', { rp: 'example.com' })).error;
  found.excluded = (await inPage(page, 'create', { excluded: [passkey.id] })).error;
  found.told = await page.evaluate(async () => {
    const caught = async (what) => {
      try {
        await what();
        return null;
      } catch (error) {
        return error instanceof DOMException ? error.name : `${error instanceof TypeError}: TypeError`;
      }
    };
    const publicKey = { challenge: new Uint8Array(16), rpId: 'localhost', userVerification: 'discouraged' };
    const reason = new DOMException('enough', 'AbortError');
    const aborted = AbortSignal.abort(reason);
    const later = new AbortController();
    const pending = caught(() => navigator.credentials.get({ publicKey, mediation: 'conditional', signal: later.signal }));
    later.abort();
    const many = await Promise.all(Array.from({ length: 1000 }, () => caught(() => navigator.credentials.get({ publicKey }))));
    const made = await navigator.credentials.create({ publicKey: {
      challenge: new Uint8Array(16), rp: { name: 'x' }, user: { id: new Uint8Array(4), name: 'x', displayName: 'x' },
      pubKeyCredParams: [{ type: 'public-key', alg: -7 }], extensions: { prf: {} },
    } });
    const json = made.toJSON();
    const parsed = PublicKeyCredential.parseRequestOptionsFromJSON({ challenge: 'AQID', allowCredentials: [{ type: 'public-key', id: made.id }] });
    return {
      'no challenge': await caught(() => navigator.credentials.get({ publicKey: { challenge: 'AQID' } })),
      'no dictionary': await caught(() => navigator.credentials.create({ publicKey: 1 })),
      'aborted before': await caught(() => navigator.credentials.get({ publicKey, signal: aborted })),
      'aborted while it waits': await pending,
      'a thousand at once': [...new Set(many)].sort(),
      store: await caught(() => navigator.credentials.store(made)),
      silent: await navigator.credentials.preventSilentAccess(),
      instances: [made instanceof PublicKeyCredential, made instanceof Credential, made.response instanceof AuthenticatorAttestationResponse],
      json: [json.id === made.id, Object.keys(json).sort().join(' '), typeof json.response.attestationObject],
      response: [made.response.getPublicKeyAlgorithm(), made.response.getTransports().join(' '), made.rawId.byteLength > 0, made.type],
      extensions: made.getClientExtensionResults(),
      parsed: [new Uint8Array(parsed.challenge).join(), parsed.allowCredentials[0].id instanceof ArrayBuffer],
      'not base64url': await caught(() => PublicKeyCredential.parseCreationOptionsFromJSON({ challenge: '?', user: { id: 'AA' } })),
      'platform': await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable(),
      conditional: await PublicKeyCredential.isConditionalMediationAvailable(),
      capabilities: (await PublicKeyCredential.getClientCapabilities()).conditionalGet,
      signals: [
        await caught(() => PublicKeyCredential.signalUnknownCredential({ rpId: 'localhost', credentialId: made.id })),
        await caught(() => PublicKeyCredential.signalUnknownCredential({ rpId: 'example.com', credentialId: made.id })),
        await caught(() => PublicKeyCredential.signalUnknownCredential({ rpId: 'localhost', credentialId: '?' })),
      ],
    };
  });
  // A frame of another origin, without and with its page's permission.
  found.frames = {};
  for (const [name, allow] of [['not allowed', ''], ['allowed', 'publickey-credentials-get *; publickey-credentials-create *']]) {
    await page.evaluate(([src, policy]) => new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.allow = policy;
      frame.onload = resolve;
      frame.src = src;
      document.body.replaceChildren(frame);
    }), [other, allow]);
    const frame = page.frames().find((one) => one.url().startsWith(other));
    const asked = await frame.evaluate(async () => {
      const { error } = await site.get({ allowed: ['AQID'], keys: {}, timeout: 1000 });
      return error;
    });
    found.frames[name] = asked;
  }
  return found;
};

const serve = async (host) => {
  const server = http.createServer((request, response) => {
    const body = request.url === '/hostile' ? `<script>${HOSTILE}</script>` : '';
    response.setHeader('content-type', 'text/html').end(`<!doctype html><body><script>${site}</script>${body}`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://${host}:${server.address().port}` };
};

const main = async () => {
  const [own, other] = [await serve('localhost'), await serve('127.0.0.1')];
  const script = await (await fetch(`${KEYRIG_URL}/v1/page.js`)).text();
  const sandbox = process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless=new', '--disable-dev-shm-usage', ...sandbox] });
  try {
    const found = {};
    const exposed = await browser.newContext();
    await exposed.exposeBinding('askKeyrig', carryOut());
    await exposed.addInitScript(`${script}({ ask: globalThis.askKeyrig })`);
    const page = await exposed.newPage();
    await page.goto(`${own.url}/`);
    found.exposed = await cases(page, other.url);
    const { token } = JSON.parse(await keyrig('POST', 'page-tokens', { origin: own.url }));
    const fetching = await browser.newContext();
    const way = JSON.stringify({ url: KEYRIG_URL, token });
    await fetching.addInitScript(`${script}({ service: ${way} })`);
    const fetched = await fetching.newPage();
    fetched.on('pageerror', (error) => process.stderr.write(`in the page: ${error}\n`));
    fetched.on('console', (message) => process.stderr.write(`in the page: ${message.text()}\n`));
    await fetched.goto(`${own.url}/`);
    found.fetched = await both(fetched);
    await fetched.goto(`${other.url}/`);
    found['fetched elsewhere'] = await both(fetched);
    await fetched.goto(`${own.url}/`);
    // What came of it is in the address: such a page breaks what tests are driven by, too.
    await fetched.goto(`${own.url}/hostile`);
    await fetched.waitForURL(/#/, { timeout: 8000 });
    found.hostile = decodeURIComponent(new URL(fetched.url()).hash);
    await fetched.goto(`${own.url}/`);
    await keyrig('DELETE', 'page-tokens', { token });
    found['fetched when revoked'] = await both(fetched);
    process.stdout.write(`${JSON.stringify(found, null, 1)}\n`);
  } finally {
    await browser.close();
    for (const { server } of [own, other]) server.close();
  }
};

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
