// What automation in JavaScript does, by npm's two clients of Proxmox VE: session.cjs HOST:PORT, for root@pam with the password that comes on
// standard input; NODE_EXTRA_CA_CERTS names the CA. Prints what was done, a line each; any other end than the expected one is an exception.
const assert = require('node:assert');
const { createHmac } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { default: proxmoxApi } = require('proxmox-api');
const { PveClient } = require('@corsinvest/cv4pve-api-javascript');

const port = Number(process.argv[2].split(':').at(-1));
const password = readFileSync(0, 'utf8').trimEnd();
const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

// The code of SECRET (RFC 4648, section 6) at a moment in seconds (RFC 6238).
function code(at) {
  const bits = [...SECRET].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const number = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

(async () => {
  const pve = proxmoxApi({ host: 'localhost', port, username: 'root@pam', password });
  assert.strictEqual((await pve.version.$get()).release, '9.0');
  await pve.access.users.$post({ userid: 'ci@pve', password: 'a password of ci' });
  await pve.access.acl.$put({ path: '/', users: 'ci@pve', roles: 'PVEAuditor' });
  await pve.access.users.$('ci@pve').$put({ comment: 'über JavaScript' });
  assert.strictEqual((await pve.access.users.$('ci@pve').$get()).comment, 'über JavaScript');
  await assert.rejects(pve.access.users.$('nobody@pve').$get(), /no such user \('nobody@pve'\)/);
  const wrong = proxmoxApi({ host: 'localhost', port, username: 'root@pam', password: 'wrong' });
  await assert.rejects(wrong.version.$get(), ({ cause }) => /401: authentication failure/.test(cause.message));
  console.log('proxmox-api: password, users, rights');

  const made = await pve.access.users.$('ci@pve').token.$('js').$post({ privsep: false });
  const [tokenID, tokenSecret] = [made['full-tokenid'], made.value];
  const program = proxmoxApi({ host: 'localhost', port, tokenID, tokenSecret });
  assert.deepStrictEqual((await program.access.users.$get()).map(({ userid }) => userid).sort(), ['ci@pve', 'root@pam']);
  await assert.rejects(program.access.users.$('ci@pve').$delete(), /403/);
  await pve.access.users.$('ci@pve').token.$('js').$delete();
  await assert.rejects(program.version.$get(), /401/);
  console.log('proxmox-api: API token');

  const client = new PveClient('localhost', port);
  assert.strictEqual(await client.login('root', 'wrong'), false);
  assert.strictEqual(await client.login('root', password), true);
  assert.strictEqual((await client.version.version()).response.data.release, '9.0');
  const factors = '/access/tfa/root@pam';
  const totp = `otpauth://totp/cluster:root%40pam?secret=${SECRET}&issuer=cluster`;
  const now = Date.now() / 1000;
  const added = await client.create(factors, { type: 'totp', description: 'phone', totp, value: code(now), password });
  assert.strictEqual(added.isSuccessStatusCode, true, added.reasonPhrase);
  assert.strictEqual(await client.login('root', password, 'pam', code(now)), false, 'a code is taken once');
  assert.strictEqual(await client.login('root', password, 'pam', code(now + 30)), true);
  assert.deepStrictEqual((await client.get(factors)).response.data.map(({ type }) => type), ['totp']);
  console.log('cv4pve: password, TOTP');
})();
