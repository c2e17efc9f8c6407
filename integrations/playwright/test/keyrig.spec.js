// The fixture's own tests: a page of SITE asks, whose site verifies.
import { expect, Refused, test } from '@keyrig/playwright';

const site = process.env.SITE;
const creation = {
  rp: { id: 'example.com', name: 'Example' },
  user: { id: 'AQ', name: 'alice', displayName: 'Alice' },
  challenge: 'q83vEjRWeJA',
  pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
};

test('a rack is empty at first, and keys without a name have their own', async ({ keyrig }) => {
  expect(await keyrig.keys()).toEqual([]);
  const [first, second] = [await keyrig.key('yubikey-5.7'), await keyrig.key('yubikey-5.7', { pin: '1234' })];
  expect([first.name, second.name]).toEqual(['yubikey-5.7', 'yubikey-5.7-2']);
  await expect(keyrig.key('yubikey-9')).rejects.toMatchObject({ code: 'unknown-profile' });
});

test('the rack is empty again', async ({ keyrig }) => {
  expect(await keyrig.keys()).toEqual([]);
});

test('keyrig says of its own client who refused, and why', async ({ keyrig }) => {
  const key = await keyrig.key();
  const made = await keyrig.client('https://login.example.com', { on: [key] }).create(creation);
  expect(made.type).toBe('public-key');
  const refusal = await keyrig.client('https://login.example.net').create(JSON.stringify(creation)).catch((error) => error);
  expect(refusal).toBeInstanceOf(Refused);
  expect(refusal).toMatchObject({ code: 'rp-id-foreign', errorName: 'SecurityError', refusedBy: 'client' });
});

test('what a key keeps is put aside and brought back', async ({ page, keyrig }) => {
  const key = await keyrig.key();
  await page.goto(site);
  expect(await page.evaluate(() => register())).toBe('registered');
  const kept = await key.snapshot();
  await key.reset();
  await key.restore(kept);
  expect(await page.evaluate(() => logIn())).toBe('logged in');
});

test('a passkey needs no window, with a key that verifies its user', async ({ page, keyrig }) => {
  const key = await keyrig.key('keyrig-uv');
  await page.goto(site);
  const verified = await page.evaluate(async () => {
    const publicKey = {
      rp: { id: 'localhost', name: 'Example' },
      user: { id: new Uint8Array([1]), name: 'alice', displayName: 'Alice' },
      challenge: new Uint8Array([1, 2, 3]),
      pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    };
    const { response } = await navigator.credentials.create({ publicKey });
    return (new Uint8Array(response.getAuthenticatorData())[32] & 4) !== 0;
  });
  expect(verified).toBe(true);
  expect((await key.credentials()).map((one) => one.rp_id)).toEqual(['localhost']);
});

test.describe('by hand', () => {
  test.use({ touch: 'manual' });

  test('a key waits until it is touched', async ({ page, keyrig }) => {
    const key = await keyrig.key();
    await page.goto(site);
    let done = false;
    const registered = page.evaluate(() => register()).finally(() => { done = true; });
    await key.wait('touch');
    expect(done).toBe(false);
    await key.touch();
    expect(await registered).toBe('registered');
    const made = (await keyrig.trace()).filter((event) => event.command === 'authenticatorMakeCredential');
    expect(made.map((event) => event.event)).toEqual(expect.arrayContaining(['request', 'response']));
  });
});

// Run alone, by a name: it fails, and so tells what the keys were asked.
test('fails on purpose @fails', async ({ page, keyrig }) => {
  await keyrig.key('keyrig', { name: 'asked' });
  await page.goto(site);
  expect(await page.evaluate(() => register())).toBe('refused');
});

for (const name of ['first', 'lost']) {
  test(`its user refuses at ${name} @denied`, async ({ page, keyrig }) => {
    const key = await keyrig.key('keyrig', { name });
    await keyrig.touchPolicy('manual');
    await page.goto(site);
    // The browser tells its user in a window, and waits.
    await page.evaluate(() => { void register(); });
    await key.deny();
    expect(name).toBe('first');
  });
}

test('fails before a key is asked @none', async ({ page, keyrig }) => {
  await keyrig.key();
  await page.goto(site);
  await expect(page.getByText('registered')).toBeVisible({ timeout: 100 });
});

test('fails as the browser waits for a PIN @pin', async ({ page, keyrig }) => {
  const key = await keyrig.key('yubikey-5.7', { pin: '1234' });
  await page.goto(site);
  await page.evaluate((creation) => {
    const buffer = new Uint8Array([1, 2, 3]);
    const authenticatorSelection = { userVerification: 'required' };
    void navigator.credentials.create({
      publicKey: { ...creation, rp: { name: 'Example' }, user: { ...creation.user, id: buffer }, challenge: buffer, authenticatorSelection },
    });
  }, creation);
  await expect.poll(async () => (await keyrig.trace()).some((event) => event.subcommand === 'getPINRetries')).toBe(true);
  // So long a silence is a wait.
  await key.wait('touch', { timeout: 1500 });
});
