// What is done at any page of keyrig's, by its elements: as somebody would who sees it.
window.looking ??= (() => {
  const find = (id) => document.getElementById(id);

  // Resolves with the first of what the condition gives, as soon as the page is so.
  const until = (condition) => new Promise((resolve) => {
    const look = () => {
      const found = condition();
      if (!found) return;
      observer.disconnect();
      resolve(found);
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    look();
  });
  const message = () => !find('message').hidden && find('message').textContent;
  const said = () => until(message);
  const seen = (one) => one && one.getClientRects().length > 0 && one;
  const button = (text, where) => [...where.querySelectorAll('button')].find((one) => one.textContent === text && !one.hidden);
  const shows = (text) => document.documentElement.outerHTML.includes(text) || [...document.querySelectorAll('input')].some(({ value }) => value.includes(text));

  // The dialog that is open, by its id, once one is; and away with it.
  const opened = () => until(() => document.querySelector('dialog[open]')?.id);
  async function dismiss() {
    const dialog = document.querySelector('dialog[open]');
    [...dialog.querySelectorAll('button')].at(-1).click();
    await until(() => !dialog.open);
    return true;
  }

  // What has the focus, by what it is called; whether it is seen, and seen to have it. A title that a page begins with is for screen readers.
  function focused() {
    const at = document.activeElement;
    const called = at.ariaLabel ?? at.labels?.[0]?.textContent ?? at.textContent;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    const isMarked = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
    const box = at.getBoundingClientRect();
    const isInView = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    return { called: called.trim().slice(0, 80), isTitle: at.tabIndex < 0, isMarked, isInView, inDialog: Boolean(at.closest('dialog')) };
  }
  const comesTo = (called) => until(() => focused().called.startsWith(called) && true);
  // What Tab has come to since this was asked first, of all that it should come to, is taken off; how much is left.
  let left = null;
  function leftToReach(isFirst) {
    if (isFirst) {
      const all = document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]');
      left = new Set([...all].filter((one) => seen(one) && !one.disabled));
    }
    left.delete(document.activeElement);
    return left.size;
  }

  const tooWide = () => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth;
  async function audit() {
    const { violations } = await window.axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  }

  return { find, until, message, said, seen, button, shows, opened, dismiss, focused, comesTo, leftToReach, tooWide, audit };
})();
