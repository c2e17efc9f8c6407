// What a page can be shown by keyrig's keys, and by Playwright's own credentials: the table of the README.
import { expect, test } from '@keyrig/playwright';

const asked = {
  'another RP ID': { rp: { id: 'example.com', name: 'Example' } },
  'given up before': { givenUp: true },
  'no user verification': {},
  'EdDSA alone': { pubKeyCredParams: [{ type: 'public-key', alg: -8 }] },
  attestation: { attestation: 'direct' },
};

/** What create() gives a page for these changes of its options: the name of an exception, or what the key says. */
const answers = (page) =>
  page.evaluate(async (asked) => {
    const told = {};
    for (const [name, { givenUp, ...change }] of Object.entries(asked)) {
      const publicKey = {
        rp: { id: 'localhost', name: 'Example' },
        user: { id: new Uint8Array([1]), name: 'alice', displayName: 'Alice' },
        challenge: new Uint8Array([1, 2, 3]),
        pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
        authenticatorSelection: { userVerification: 'discouraged' },
        ...change,
      };
      try {
        const { response } = await navigator.credentials.create({ publicKey, signal: givenUp && AbortSignal.abort() });
        const data = new Uint8Array(response.getAuthenticatorData());
        const aaguid = Array.from(data.slice(37, 53), (byte) => byte.toString(16).padStart(2, '0')).join('');
        told[name] = { algorithm: response.getPublicKeyAlgorithm(), verified: (data[32] & 4) !== 0, aaguid };
      } catch (error) {
        told[name] = error.name;
      }
    }
    return told;
  }, asked);

/** What is signed of a frame of the site in a page from elsewhere. */
const crossOrigin = async (page) => {
  const site = process.env.SITE;
  await page.goto(site.replace('localhost', '127.0.0.1'));
  await page.evaluate(
    (src) =>
      new Promise((loaded) => {
        const allow = 'publickey-credentials-create *; publickey-credentials-get *';
        document.body.replaceChildren(Object.assign(document.createElement('iframe'), { allow, src, onload: loaded }));
      }),
    site,
  );
  const frame = page.frames().find((one) => one.url().startsWith(site));
  return frame.evaluate(async () => {
    const about = { rp: { id: 'localhost', name: 'Example' }, user: { id: new Uint8Array([2]), name: 'bob', displayName: 'Bob' } };
    const publicKey = { ...about, challenge: new Uint8Array([1]), pubKeyCredParams: [{ type: 'public-key', alg: -7 }] };
    const { response } = await navigator.credentials.create({ publicKey });
    return JSON.parse(new TextDecoder().decode(response.clientDataJSON)).crossOrigin;
  });
};

test('by keyrig', async ({ page, keyrig }) => {
  await keyrig.key('yubikey-5.7');
  await page.goto(process.env.SITE);
  expect(await answers(page)).toEqual({
    'another RP ID': 'SecurityError',
    'given up before': 'AbortError',
    // Chromium writes zeros where no attestation was asked for.
    'no user verification': { algorithm: -7, verified: false, aaguid: '0'.repeat(32) },
    'EdDSA alone': { algorithm: -8, verified: false, aaguid: '0'.repeat(32) },
    attestation: { algorithm: -7, verified: false, aaguid: 'a25342c03cdc44148e46f4807fca511c' },
  });
  expect(await crossOrigin(page)).toBe(true);
});

test("by Playwright's own", async ({ page, context }) => {
  await context.credentials.install();
  await page.goto(process.env.SITE);
  const credential = { algorithm: -7, verified: true, aaguid: '0'.repeat(32) };
  expect(await answers(page)).toEqual({
    'another RP ID': credential,
    'given up before': credential,
    'no user verification': credential,
    'EdDSA alone': credential,
    attestation: credential,
  });
  expect(await crossOrigin(page)).toBe(false);
});
