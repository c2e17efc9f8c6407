// The test of a wrong origin as Playwright's own authenticator passes it: a page of localhost asks for a credential of example.com, and
// is not to get one. Prints the versions, and what the page got: "credential", or the name of an exception.
const { chromium } = require('playwright-core');
const { version } = require('playwright-core/package.json');
const { createServer } = require('node:http');

const creation = {
  rp: { id: 'example.com', name: 'Example' },
  user: { id: new Uint8Array([1]), name: 'alice', displayName: 'Alice' },
  challenge: new Uint8Array([1, 2, 3]),
  pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
};

async function main() {
  const site = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('here'));
  await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
  const context = await browser.newContext();
  await context.credentials.install();
  const page = await context.newPage();
  await page.goto(`http://localhost:${site.address().port}/`);
  const got = await page.evaluate(async (publicKey) => {
    const bytes = (list) => Uint8Array.from(Object.values(list));
    publicKey.challenge = bytes(publicKey.challenge);
    publicKey.user.id = bytes(publicKey.user.id);
    try {
      await navigator.credentials.create({ publicKey });
      return 'credential';
    } catch (error) {
      return error.name;
    }
  }, creation);
  console.log(JSON.stringify({ playwright: version, chromium: browser.version(), got }));
  await browser.close();
  site.close();
}

main();
