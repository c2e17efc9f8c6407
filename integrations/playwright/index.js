// Playwright's test with security keys: each worker's Chromium finds the keys of a rack of its own, by 'keyrig exec'; pages of other
// browsers get a script in the place of navigator.credentials, whose rules are keyrig's.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test as base, expect } from '@playwright/test';
import { Keyrig, KeyrigError } from './keyrig.js';

export { Key, Keyrig, KeyrigError, Refused } from './keyrig.js';
export { expect };

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function program() {
  const named = process.env.KEYRIG || 'keyrig';
  try {
    execFileSync(named, ['--version'], { stdio: 'pipe' });
  } catch (error) {
    throw new KeyrigError({ code: 'no-program', message: `${named} cannot be run (put keyrig on PATH, or name it in KEYRIG): ${error.message}` });
  }
  return named;
}

/** What keys are asked for a credential by. */
const ASKS = /^(authenticatorMakeCredential|authenticatorGetAssertion|U2F_)/;

// Reporters show the first 300 characters.
const NO_KEY_WAS_ASKED = `In this test no key was asked for a credential:
the page did not get as far (look at what it shows: a dialog of its own?),
or its browser refused by itself (the page has its exception),
or waits for a PIN in a window, which a headless one does not show.
`;

/** Why a browser was not launched: what keyrig says, if it is that. */
function notLaunched(error) {
  const [, said] = /\berror: (keys cannot be plugged .*)/.exec(error.message) ?? [];
  if (!said) return error;
  if (!said.includes("'keyrig exec' around")) return new KeyrigError({ code: 'exec-no-view', message: said });
  const message = "these tests run under a 'keyrig exec', and each worker's browser has one of its own, which cannot be within another: run them without it";
  return new KeyrigError({ code: 'exec-no-view', message });
}

/** Chromium's wrapper starts it under 'keyrig exec', and says where the rack is. */
async function rackOfBrowser(directory, chromium, use) {
  const [wrapper, told, trace] = ['chromium', 'rack', 'trace.jsonl'].map((name) => join(directory, name));
  const keyrig = program();
  const within = `printf '%s\\n' "$KEYRIG_URL" "$KEYRIG_TOKEN" >"$0" && exec "$@"`;
  const words = [keyrig, 'exec', '--quiet', '--trace', trace, '--', '/bin/sh', '-c', within, told, chromium];
  writeFileSync(wrapper, `#!/bin/sh\nexec ${words.map(quoted).join(' ')} "$@"\n`);
  chmodSync(wrapper, 0o700);
  const rack = () => new Keyrig(...readFileSync(told, 'utf8').trim().split('\n'), keyrig, trace);
  await use({ way: 'hid', executable: wrapper, rack });
}

/** A rack beside the browser. */
async function rackOfPages(directory, browser, use) {
  const [keyrig, token, trace] = [program(), randomUUID(), join(directory, 'trace.jsonl')];
  const where = ['--usbip', 'none', '--key', 'none', '--control', `unix:${join(directory, 'control')}`, '--http', '127.0.0.1:0'];
  const words = ['serve', '--json', '--exit-on-stdin-end', '--trace', trace, ...where];
  const serving = spawn(keyrig, words, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, KEYRIG_TOKEN: token } });
  const ended = new Promise((end) => serving.once('exit', end));
  const line = await Promise.race([new Promise((read) => createInterface(serving.stdout).once('line', read)), ended]);
  if (typeof line !== 'string') throw new KeyrigError({ code: 'no-rack', message: `${keyrig} serve ended with status ${line}` });
  const { url } = JSON.parse(line).http;
  await use({ way: 'page', executable: browser, rack: () => new Keyrig(url, token, keyrig, trace) });
  serving.stdin.end();
  await ended;
}

export const test = base.extend({
  /** What the finger does: auto, manual, deny, every or after=MILLISECONDS. */
  touch: ['auto', { option: true }],

  /** 'hid': the browser finds keys as on USB; 'page': a script asks them. Without it, 'hid' for Chromium and 'page' for others. */
  webauthn: [undefined, { option: true, scope: 'worker' }],

  rackOfWorker: [
    async ({ playwright, browserName, launchOptions, webauthn }, use) => {
      const way = webauthn ?? (browserName === 'chromium' ? 'hid' : 'page');
      if (!['hid', 'page'].includes(way) || (way === 'hid' && browserName !== 'chromium')) {
        const message = `webauthn is 'page', or in Chromium 'hid': this project has ${way}, and ${browserName}`;
        throw new KeyrigError({ code: 'browser', message });
      }
      const browser = launchOptions.executablePath || playwright[browserName].executablePath();
      if (!existsSync(browser)) {
        const message = `there is no browser at ${browser}: 'npx playwright install ${browserName}' fetches Playwright's, launchOptions.executablePath names another`;
        throw new KeyrigError({ code: 'no-browser', message });
      }
      const directory = mkdtempSync(join(tmpdir(), 'keyrig-'));
      await (way === 'hid' ? rackOfBrowser : rackOfPages)(directory, browser, use);
      rmSync(directory, { recursive: true });
    },
    { scope: 'worker' },
  ],

  browser: [
    async ({ playwright, browserName, launchOptions, headless, rackOfWorker }, use) => {
      const launched = playwright[browserName].launch({ headless, ...launchOptions, executablePath: rackOfWorker.executable });
      const browser = await launched.catch((error) => { throw notLaunched(error); });
      await use(browser);
      await browser.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],

  context: async ({ context, rackOfWorker }, use) => {
    if (rackOfWorker.way === 'page') await rackOfWorker.rack().askFrom(context);
    await use(context);
  },

  /** The rack of this worker's browser: empty at first, and again after the test. */
  keyrig: async ({ browser, rackOfWorker, touch }, use, testInfo) => {
    if (!browser.isConnected()) throw new KeyrigError({ code: 'browser', message: 'the browser, and the rack with it, has ended' });
    const keyrig = rackOfWorker.rack();
    const empty = async () => {
      for (const key of await keyrig.keys()) await key.remove();
      await keyrig.finger();
    };
    await empty();
    await keyrig.touchPolicy(touch);
    const begun = Date.now();
    await use(keyrig);
    if (testInfo.status !== testInfo.expectedStatus) {
      const [began, ...events] = await keyrig.trace();
      const asked = events.some(({ event, command, at_us }) => event === 'request' && ASKS.test(command) && began.started_unix_us + at_us >= begun * 1000);
      const body = `${asked ? '' : NO_KEY_WAS_ASKED}${await keyrig.traceText(begun)}`;
      await testInfo.attach('what the keys were asked', { body, contentType: 'text/plain' });
    }
    await empty();
  },
});
