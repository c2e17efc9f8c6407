// What the page of a run does in Chromium, as JSON: report.cjs PAGE CHROMIUM. Its search, its switch, its cells, and what axe-core finds.
const { chromium } = require('@playwright/test');

const [page, executablePath] = process.argv.slice(2);

// The runs and the cells of the matrix that are seen, by their texts.
const seen = () => {
  const texts = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility()).map((one) => one.textContent.trim());
  return { runs: texts('details.run > summary'), rows: texts('.matrix > tbody > tr > th'), open: document.querySelectorAll('details.run[open]').length };
};

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const found = { errors: [], requests: [], violations: [] };
  const open = async (options) => {
    const tab = await browser.newPage(options);
    tab.on('pageerror', (error) => found.errors.push(String(error)));
    tab.on('request', (request) => request.url() === `file://${page}` || found.requests.push(request.url()));
    await tab.goto(`file://${page}`);
    return tab;
  };
  const tab = await open({ viewport: { width: 1280, height: 900 } });
  found.all = await tab.evaluate(seen);
  for (const word of ['SECOND-KEY', 'authenticatorGetAssertion', 'nobody has this word']) {
    await tab.fill('#search', word);
    found[word] = await tab.evaluate(seen);
  }
  await tab.fill('#search', '');
  await tab.check('#wrong');
  found.wrong = await tab.evaluate(seen);
  await tab.click('#open');
  found.closed = await tab.evaluate(seen);
  await tab.uncheck('#wrong');
  await tab.click('#open');
  found.opened = await tab.evaluate(seen);
  await tab.click('#open');
  await tab.click('.matrix a.cell >> nth=0');
  found.clicked = await tab.evaluate(seen);
  await tab.close();
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      const look = await open({ colorScheme, viewport: { width, height: 900 } });
      await look.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
      found.wide = await look.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
      if (found.wide > 0) found.violations.push(`${colorScheme}, ${width}: ${found.wide} pixels too wide`);
      // The page's own rules for scripts are for others'.
      await look.evaluate(require('node:fs').readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
      const { violations } = await look.evaluate(() => globalThis.axe.run());
      const tell = ({ id, nodes }) => `${colorScheme}, ${width}: ${id}: ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`;
      found.violations.push(...violations.map(tell));
      await look.close();
    }
  }
  console.log(JSON.stringify(found));
  await browser.close();
})();
