import assert from 'node:assert';
import test from 'node:test';
import { Builder } from 'selenium-webdriver';
import chrome from 'selenium-webdriver/chrome.js';
import { VirtualAuthenticatorOptions } from 'selenium-webdriver/lib/virtual_authenticator.js';

const { SITE, DRIVER } = process.env; // DRIVER="$(command -v keyrig-chromedriver)"

test('a second key replaces a lost one, and a page from elsewhere gets nothing', async (t) => {
  const options = new chrome.Options().addArguments('--headless=new');
  const service = new chrome.ServiceBuilder(DRIVER);
  const builder = new Builder().forBrowser('chrome').setChromeService(service);
  const driver = await builder.setChromeOptions(options).build();
  t.after(() => driver.quit());
  await driver.get(SITE);
  await driver.addVirtualAuthenticator(new VirtualAuthenticatorOptions());
  assert.equal(await driver.executeScript('return register()'), 'registered');
  await driver.removeVirtualAuthenticator(); // it is lost
  await driver.addVirtualAuthenticator(new VirtualAuthenticatorOptions());
  assert.equal(await driver.executeScript('return register()'), 'registered');
  assert.equal(await driver.executeScript('return logIn()'), 'logged in');
  await driver.get(SITE.replace('localhost', '127.0.0.1'));
  await assert.rejects(driver.executeScript('return register()'), /SecurityError|invalid domain/);
});
