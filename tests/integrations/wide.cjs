// What is cut on pages of the book in Chromium at 1280 px, which options are broken there, and which pages are wider than a telephone, as
// JSON: wide.cjs CHROMIUM PAGE…
const { chromium } = require('@playwright/test');

const [executablePath, ...pages] = process.argv.slice(2);

// Blocks that are wider than their column, each by its widest line or its head.
const cut = () =>
  [...document.querySelectorAll('main :is(pre, pre code, .table-wrapper, .recording)')]
    .filter((block) => block.scrollWidth > block.clientWidth)
    .map((block) => block.textContent.trim().split('\n').sort((one, other) => other.length - one.length)[0]);
// Options that begin on one line and end on another.
const broken = () => {
  const found = [];
  for (const code of document.querySelectorAll('main :not(pre) > code')) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      for (const { 0: option, index } of texts.currentNode.data.matchAll(/(?<!\S)-\S{1,29}(?!\S)/g)) {
        const range = document.createRange();
        range.setStart(texts.currentNode, index);
        range.setEnd(texts.currentNode, index + option.length);
        if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) found.push(option);
      }
    }
  }
  return found;
};
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
    found.push(...[...(await tab.evaluate(cut)), ...(await tab.evaluate(broken))].map((what) => `${page}: ${what}`));
    await tab.setViewportSize({ width: 390, height: 900 });
    if (await tab.evaluate(tooWide)) found.push(`${page}: the page at 390 px`);
  }
  console.log(JSON.stringify(found));
  await browser.close();
})();
