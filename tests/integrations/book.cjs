// What axe-core finds on a page of the book in Chromium, as JSON: book.cjs PAGE, wide and narrow, light and dark.
const { chromium } = require('@playwright/test');

const [page, executablePath] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      const tab = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
      await tab.goto(`file://${page}`);
      await tab.addScriptTag({ path: require.resolve('axe-core/axe.min.js') });
      const { violations } = await tab.evaluate(() => globalThis.axe.run());
      const tell = ({ id, nodes }) => `${colorScheme}, ${width}: ${id}: ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`;
      found.push(...violations.map(tell));
    }
  }
  console.log(JSON.stringify(found));
  await browser.close();
})();
