// Selenium's virtual authenticators, by its standard calls alone: written against Chromium's own, and run in front of any driver.
//
// suite.cjs BROWSER DRIVER [CASE...]: the path of the driver is all that differs; or its address. Prints a JSON object a case.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const { join } = require('node:path');
const { Builder, Capabilities } = require('selenium-webdriver');
const chrome = require('selenium-webdriver/chrome');
const firefox = require('selenium-webdriver/firefox');
const { Credential, VirtualAuthenticatorOptions } = require('selenium-webdriver/lib/virtual_authenticator');

const CHROME = [
  '--headless=new',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-sync',
  '--no-first-run',
  '--password-store=basic',
];

// A P-256 key in PKCS#8, made for this.
const PRIVATE_KEY = Buffer.from(
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8_zMDQDYAxlU-Qhk1Dwkf0v18GZca1DMF3SaJ9HPdmShRANCAASNYX5lyVCOZLzFZzrIKmeZ2jwURmgsJYxGP__fWN_S-j5sN4tT15XEpN_7QZnt14YvI6uvAgO0uJEboFaZlOEB',
  'base64url',
).toString('binary');

const page = `<!doctype html><title>a site</title><script>${fs.readFileSync(join(__dirname, 'page.js'))}</script>`;

const start = (browser, driver) => {
  const builder = new Builder();
  if (driver.startsWith('http://')) builder.usingServer(driver);
  if (browser === 'firefox') {
    const options = new firefox.Options().setBinary('/usr/bin/firefox-esr').addArguments('-headless');
    if (!driver.startsWith('http://')) builder.setFirefoxService(new firefox.ServiceBuilder(driver));
    return builder.forBrowser('firefox').setFirefoxOptions(options).build();
  }
  if (browser === 'webkit') {
    const folders = fs.globSync?.('/usr/lib/*/webkit2gtk-4.?') ?? ['4.0', '4.1'].map((version) => `/usr/lib/x86_64-linux-gnu/webkit2gtk-${version}`);
    const binary = folders.map((folder) => `${folder}/MiniBrowser`).find((one) => fs.existsSync(one));
    const options = { binary, args: ['--automation'] };
    return builder.withCapabilities(new Capabilities({ browserName: 'MiniBrowser', 'webkitgtk:browserOptions': options })).build();
  }
  const profile = fs.mkdtempSync(join(os.tmpdir(), 'chromium-'));
  const options = new chrome.Options().addArguments(...CHROME, `--user-data-dir=${profile}`);
  options.setChromeBinaryPath(browser === 'shell' ? '/usr/bin/chromium-headless-shell' : '/usr/bin/chromium');
  if (browser === 'shell') options.setBrowserName?.('chrome-headless-shell');
  if (process.getuid() === 0) options.addArguments('--no-sandbox');
  if (!driver.startsWith('http://')) builder.setChromeService(new chrome.ServiceBuilder(driver));
  return builder.forBrowser('chrome').setChromeOptions(options).build();
};

const of = (result, other = 'flags') => result[other] ?? result.error ?? null;
const id = (text) => [...Buffer.from(text)];
const name = async (what) => {
  try {
    await what();
    return null;
  } catch (error) {
    return error.name;
  }
};

class Cases {
  constructor(driver) {
    this.driver = driver;
  }

  run(call, options) {
    const script = 'const done = arguments[arguments.length - 1]; site[arguments[0]](arguments[1]).then(done);';
    return this.driver.executeAsyncScript(script, call, options);
  }

  create(options = {}) {
    return this.run('create', options);
  }

  get(made, options = {}) {
    const known = made.filter((one) => one.id !== undefined);
    const keys = Object.fromEntries(known.map((one) => [one.id, one.key]));
    return this.run('get', { allowed: known.map((one) => one.id), keys, ...options });
  }

  async add({ protocol, transport, residentKey, verification, verified, consenting } = {}) {
    const options = new VirtualAuthenticatorOptions();
    if (protocol !== undefined) options.setProtocol(protocol);
    if (transport !== undefined) options.setTransport(transport);
    if (residentKey !== undefined) options.setHasResidentKey(residentKey);
    if (verification !== undefined) options.setHasUserVerification(verification);
    if (verified !== undefined) options.setIsUserVerified(verified);
    if (consenting !== undefined) options.setIsUserConsenting(consenting);
    await this.driver.addVirtualAuthenticator(options);
  }

  async both(properties) {
    await this.add(properties);
    const made = await this.create();
    if (made.error !== undefined) return { create: made.error };
    const used = await this.get([made]);
    return { create: made.flags, get: of(used), signature: used.signature };
  }

  ctap2 = () => this.both({});
  'ctap2 over nfc' = () => this.both({ transport: 'nfc' });
  'ctap2, internal' = () => this.both({ transport: 'internal' });
  'ctap2_1, verified' = () => this.both({ protocol: 'ctap2_1', verification: true, verified: true });
  'ctap1/u2f' = () => this.both({ protocol: 'ctap1/u2f' });

  passkey = async () => {
    await this.add({ residentKey: true, verification: true, verified: true });
    const made = await this.create({ resident: true, verified: 'required' });
    const used = await this.get([], { keys: { [made.id]: made.key }, verified: 'required' });
    return { create: of(made), get: of(used), signature: used.signature, user: used.user, same: used.id === made.id };
  };

  'passkey without verification' = async () => {
    await this.add({ residentKey: true });
    const made = await this.create({ resident: true, timeout: 1000 });
    const used = await this.get([], { timeout: 1000 });
    return { create: of(made), get: of(used) };
  };

  'user not verified' = async () => {
    await this.add({ verification: true, verified: false });
    return { create: of(await this.create({ verified: 'required', timeout: 1000 })) };
  };

  'user cannot be verified' = async () => {
    await this.add({});
    return { create: of(await this.create({ verified: 'required', timeout: 1000 })) };
  };

  'user verified again' = async () => {
    await this.add({ verification: true, verified: true });
    const made = await this.create({ verified: 'required' });
    await this.driver.setUserVerified(false);
    const refused = await this.get([made], { verified: 'required', timeout: 1000 });
    await this.driver.setUserVerified(true);
    const used = await this.get([made], { verified: 'required' });
    return { 'not verified': of(refused), verified: of(used) };
  };

  'user not consenting' = async () => {
    await this.add({ consenting: false });
    return { create: of(await this.create({ timeout: 1000 })) };
  };

  'credentials told' = async () => {
    await this.add({ residentKey: true, verification: true, verified: true });
    const made = [await this.create({ resident: true, verified: 'required' }), await this.create({ verified: 'required' })];
    const told = await this.driver.getCredentials();
    const found = made.map((one) => {
      const credential = told.find((other) => Buffer.from(other.id()).toString('base64url') === one.id);
      return credential && `${credential.isResidentCredential()} ${credential.rpId()} ${credential.signCount()}`;
    });
    return { count: told.length, passkey: found[0] ?? null, other: found[1] ?? null };
  };

  'credential added, a passkey' = async () => {
    await this.add({ residentKey: true, verification: true, verified: true });
    await this.driver.addCredential(new Credential().createResidentCredential(id('passkey-1'), 'localhost', id('user'), PRIVATE_KEY, 5));
    const used = await this.get([], { verified: 'required' });
    const [told] = await this.driver.getCredentials();
    return { get: of(used), user: used.user, count: used.count, told: told.signCount(), key: told.privateKey() === PRIVATE_KEY };
  };

  'credential added' = async () => {
    await this.add({});
    await this.driver.addCredential(new Credential().createNonResidentCredential(id('another-1'), 'localhost', PRIVATE_KEY, 0));
    const used = await this.get([], { allowed: [Buffer.from('another-1').toString('base64url')] });
    return { get: of(used), count: used.count };
  };

  'credential added to u2f' = async () => {
    await this.add({ protocol: 'ctap1/u2f' });
    await this.driver.addCredential(new Credential().createNonResidentCredential(id('key-handle-1'), 'localhost', PRIVATE_KEY, 0));
    const used = await this.get([], { allowed: [Buffer.from('key-handle-1').toString('base64url')] });
    return { get: of(used), count: used.count };
  };

  'credential removed' = async () => {
    await this.add({});
    const [gone, kept] = [await this.create(), await this.create()];
    await this.driver.removeCredential(gone.id);
    return { gone: of(await this.get([gone], { timeout: 1000 })), kept: of(await this.get([kept])) };
  };

  'all credentials removed' = async () => {
    await this.add({ residentKey: true, verification: true, verified: true });
    const made = await this.create();
    await this.create({ resident: true, verified: 'required' });
    await this.driver.removeAllCredentials();
    const left = await this.driver.getCredentials();
    return { left: left.length, get: of(await this.get([made], { timeout: 1000 })) };
  };

  'credential excluded' = async () => {
    await this.add({});
    const made = await this.create();
    return { create: of(await this.create({ excluded: [made.id], timeout: 1000 })) };
  };

  'authenticator removed' = async () => {
    await this.add({});
    const made = await this.create();
    await this.driver.removeVirtualAuthenticator();
    // Another one, which does not have it.
    await this.add({});
    return { get: of(await this.get([made], { timeout: 1000 })) };
  };

  'another origin' = async () => {
    await this.add({});
    return { create: of(await this.create({ rp: 'example.com', timeout: 1000 })) };
  };

  errors = async () => {
    await this.add({});
    const twice = new Credential().createNonResidentCredential(id('another-2'), 'localhost', PRIVATE_KEY, 0);
    await this.driver.addCredential(twice);
    const passkey = new Credential().createResidentCredential(id('passkey-2'), 'localhost', id('user'), PRIVATE_KEY, 0);
    const garbled = new Credential().createNonResidentCredential(id('another-3'), 'localhost', 'no key', 0);
    const found = {
      'a passkey': await name(() => this.driver.addCredential(passkey)),
      'no key': await name(() => this.driver.addCredential(garbled)),
      twice: await name(() => this.driver.addCredential(twice)),
      'no such credential': await name(() => this.driver.removeCredential('QUJD')),
    };
    const known = this.driver.virtualAuthenticatorId();
    this.driver.authenticatorId_ = 'unknown';
    found['no such authenticator'] = await name(() => this.driver.removeAllCredentials());
    this.driver.authenticatorId_ = known;
    return found;
  };

  capabilities = async () => {
    const told = await this.driver.getCapabilities();
    const ours = told.get('keyrig:webauthn') ?? null;
    const names = ['virtualAuthenticators', ...['credBlob', 'largeBlob', 'minPinLength', 'prf'].map((one) => `extension:${one}`)];
    return { webauthn: names.filter((one) => told.get(`webauthn:${one}`) === true).join(' '), keyrig: ours && [ours.mode, ...(ours.script ? [`script ${ours.script}`] : [])].join(', ') };
  };
}

// Selenium has nothing that starts WebKit's driver: keyrig does, and says where it is.
const startWebKit = async (keyrig) => {
  const child = spawn(keyrig, ['webdriver', '--listen', '0', '--webauthn', 'page', '--', 'WebKitWebDriver'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const chunk of child.stdout) {
    const [url] = /http:\/\/[0-9.:]+/.exec(String(chunk)) ?? [];
    if (url !== undefined) return { url, child };
  }
  throw new Error('keyrig webdriver did not say where it listens');
};

const main = async (browser, path, ...chosen) => {
  const { url: given, child } = browser === 'webkit' ? await startWebKit(path) : { url: path };
  const site = http.createServer((_, response) => response.setHeader('content-type', 'text/html').end(page));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const driver = await start(browser, given);
  try {
    await driver.manage().setTimeouts({ script: 60000 });
    const cases = new Cases(driver);
    await driver.get(`http://localhost:${site.address().port}/`);
    for (const [title, run] of Object.entries(cases).filter(([, run]) => typeof run === 'function')) {
      if (chosen.length > 0 && !chosen.includes(title)) continue;
      let result;
      try {
        result = await run();
      } catch (error) {
        result = { error: `${error.name}: ${String(error.message).split('\n')[0].slice(0, 100)}` };
      }
      process.stdout.write(`${JSON.stringify({ case: title, result })}\n`);
      if (driver.virtualAuthenticatorId()) await driver.removeVirtualAuthenticator().catch(() => {});
    }
  } finally {
    await driver.quit();
    site.close();
    site.closeAllConnections();
    if (child !== undefined) {
      child.kill();
      await new Promise((resolve) => child.once('exit', resolve));
    }
  }
};

main(...process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
