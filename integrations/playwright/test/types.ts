// Not run: the compiler's word on the types, for what the README shows and a mistake in each.
import { type Key, type Keyrig, type Refused, expect, test } from '@keyrig/playwright';

test.use({ touch: 'manual' });
test.use({ webauthn: 'page' });
// @ts-expect-error: there is no such way.
test.use({ webauthn: 'usb' });
test('typed', async ({ page, keyrig }) => {
  const rack: Keyrig = keyrig;
  await rack.touchPolicy('deny');
  const key: Key = await keyrig.key('yubikey-5.7', { name: 'a', pin: '1234' });
  await keyrig.finger(key);
  await key.wait('touch', { timeout: 1000 });
  expect((await keyrig.client('https://example.com', { on: [key] }).create({})).type).toBe('public-key');
  expect(await page.title()).toBe('');
  const refused = await keyrig.client('https://example.net').get('{}').catch((error: Refused) => error.refusedBy);
  expect(refused).toBe('client');
  // @ts-expect-error: a key is no name.
  await keyrig.finger('a');
  // @ts-expect-error: there is no such thing to wait for.
  await key.wait('lunch');
  // @ts-expect-error: a page has no origin of a number.
  keyrig.client(8006);
});
