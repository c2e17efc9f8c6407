// Playwright's test with security keys: each worker's Chromium finds the keys of a rack of its own, by 'keyrig exec'.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

export const test = base.extend({
  /** What the finger does: auto, manual, deny, every or after=MILLISECONDS. */
  touch: ['auto', { option: true }],

  rackOfWorker: [
    async ({ playwright, browserName, launchOptions }, use) => {
      if (browserName !== 'chromium') {
        throw new KeyrigError({ code: 'browser', message: `keyrig's fixtures start Chromium alone, and this project has ${browserName}` });
      }
      const chromium = launchOptions.executablePath || playwright.chromium.executablePath();
      if (!existsSync(chromium)) {
        const message = `there is no browser at ${chromium}: 'npx playwright install chromium' fetches Playwright's, launchOptions.executablePath names another`;
        throw new KeyrigError({ code: 'no-browser', message });
      }
      const directory = mkdtempSync(join(tmpdir(), 'keyrig-'));
      const [wrapper, told, trace] = ['chromium', 'rack', 'trace.jsonl'].map((name) => join(directory, name));
      const keyrig = program();
      const within = `printf '%s\\n' "$KEYRIG_URL" "$KEYRIG_TOKEN" >"$0" && exec "$@"`;
      const words = [keyrig, 'exec', '--quiet', '--trace', trace, '--', '/bin/sh', '-c', within, told, chromium];
      writeFileSync(wrapper, `#!/bin/sh\nexec ${words.map(quoted).join(' ')} "$@"\n`);
      chmodSync(wrapper, 0o700);
      const rack = () => new Keyrig(...readFileSync(told, 'utf8').trim().split('\n'), keyrig, trace);
      await use({ wrapper, rack });
      rmSync(directory, { recursive: true });
    },
    { scope: 'worker' },
  ],

  browser: [
    async ({ playwright, launchOptions, headless, rackOfWorker }, use) => {
      const launched = playwright.chromium.launch({ headless, ...launchOptions, executablePath: rackOfWorker.wrapper });
      const browser = await launched.catch((error) => { throw notLaunched(error); });
      await use(browser);
      await browser.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],

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
      const body = `${asked ? '' : NO_KEY_WAS_ASKED}${await keyrig.traceText()}`;
      await testInfo.attach('what the keys were asked', { body, contentType: 'text/plain' });
    }
    await empty();
  },
});
