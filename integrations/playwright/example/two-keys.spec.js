import { expect, test } from '@keyrig/playwright';

const site = process.env.SITE;

test('a second key replaces a lost one', async ({ page, keyrig }) => {
  const a = await keyrig.key('keyrig');
  const b = await keyrig.key('yubikey-5.7');
  await page.goto(site);
  for (const key of [a, b]) {
    await keyrig.finger(key);
    expect(await page.evaluate(() => register())).toBe('registered');
  }
  await a.unplug();
  expect(await page.evaluate(() => logIn())).toBe('logged in');
});

test('a page from elsewhere gets nothing', async ({ page, keyrig }) => {
  await keyrig.key();
  await page.goto(site.replace('localhost', '127.0.0.1'));
  const asked = page.evaluate(() => register());
  await expect(asked).rejects.toThrow(/SecurityError|invalid domain/);
});
