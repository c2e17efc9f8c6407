// What is cut on pages of the book in Chromium at 1280 px, and which pages are wider than a telephone, as JSON: wide.cjs CHROMIUM PAGE…
const { chromium } = require('@playwright/test');

const [executablePath, ...pages] = process.argv.slice(2);

// Blocks that are wider than their column, each by its widest line or its head.
const cut = () =>
  [...document.querySelectorAll('main :is(pre, pre code, .table-wrapper, .recording)')]
    .filter((block) => block.scrollWidth > block.clientWidth)
    .map((block) => block.textContent.trim().split('\n').sort((one, other) => other.length - one.length)[0]);
const tooWide = () => document.documentElement.scrollWidth > globalThis.innerWidth;

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const tab = await browser.newPage();
  const found = [];
  for (const page of pages) {
    await tab.setViewportSize({ width: 1280, height: 900 });
    await tab.goto(`file://${page}`);
    // What is folded has no width.
    await tab.evaluate(() => {
      for (const folded of document.querySelectorAll('details')) folded.open = true;
    });
    found.push(...(await tab.evaluate(cut)).map((line) => `${page}: ${line}`));
    await tab.setViewportSize({ width: 390, height: 900 });
    if (await tab.evaluate(tooWide)) found.push(`${page}: the page at 390 px`);
  }
  console.log(JSON.stringify(found));
  await browser.close();
})();
