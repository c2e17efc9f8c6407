import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as keyrig from './keyrig.mjs';

const site = new keyrig.Site(process.env.SITE);
const origin = 'https://login.example.com';

test('a second key replaces a lost one', async () => {
  for (const key of ['a', 'b']) {
    await keyrig.finger(key);
    await site.post('/register', await keyrig.create(origin, await site.get('/register')));
  }
  await keyrig.unplug('a');
  await site.post('/login', await keyrig.get(origin, await site.get('/login')));
});

test('a page from elsewhere gets nothing', async () => {
  const options = await site.get('/login');
  const refused = { name: 'SecurityError', code: 'rp-id-foreign' };
  await assert.rejects(keyrig.get('https://login.example.net', options), refused);
});
