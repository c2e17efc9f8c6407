// What is done at any page of keyrig's, by its elements: as somebody would who sees it.
window.looking ??= (() => {
  const find = (id) => document.getElementById(id);

  // In milliseconds: less than drivers wait for a script, so that it is said what was waited for.
  const PATIENCE = 240_000;
  // Where the focus goes and what is scrolled to changes nothing of the document.
  const MOVES = ['focusin', 'scroll'];

  // Resolves with the first of what the condition gives, as soon as the page is so.
  const until = (condition) => new Promise((resolve, reject) => {
    const end = (settle, value) => {
      observer.disconnect();
      clearTimeout(limit);
      for (const move of MOVES) document.removeEventListener(move, look, true);
      settle(value);
    };
    const look = () => {
      try {
        const found = condition();
        if (found) end(resolve, found);
      } catch (error) {
        end(reject, error);
      }
    };
    const limit = setTimeout(() => end(reject, new Error(`the page never came to ${condition}`)), PATIENCE);
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    for (const move of MOVES) document.addEventListener(move, look, true);
    look();
  });
  const message = () => !find('message').hidden && find('message').textContent;
  const said = () => until(message);
  const seen = (one) => one && one.getClientRects().length > 0 && one;
  const button = (text, where) => [...where.querySelectorAll('button')].find((one) => one.textContent === text && !one.hidden);
  const shows = (text) => document.documentElement.outerHTML.includes(text) || [...document.querySelectorAll('input')].some(({ value }) => value.includes(text));

  // The dialog that is open, by its id, once one is; and away with it, and with what the page takes out of it then.
  const opened = () => until(() => document.querySelector('dialog[open]')?.id);
  async function dismiss() {
    const dialog = document.querySelector('dialog[open]');
    const closed = new Promise((resolve) => { dialog.addEventListener('close', resolve, { once: true }); });
    [...dialog.querySelectorAll('button')].at(-1).click();
    await closed;
    return true;
  }

  // What an element is called.
  const called = (one) => (one.ariaLabel ?? one.labels?.[0]?.textContent ?? one.textContent).trim().slice(0, 80);

  // What has the focus, by what it is called; whether it is seen, and seen to have it. A title that a page begins with is for screen readers.
  function focus() {
    const at = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    const isMarked = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
    const box = at.getBoundingClientRect();
    const isInView = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    return { called: called(at), isTitle: at.tabIndex < 0, isMarked, isInView, inDialog: Boolean(at.closest('dialog')) };
  }
  // Who works by keyboard sees it, and that it has the focus.
  const focused = () => until(() => {
    const at = focus();
    return (at.isTitle || (at.isMarked && at.isInView)) && at;
  });
  // What Tab has come to since this was asked first, of all that it should come to, is taken off; what is left.
  let left = null;
  function leftToReach(isFirst) {
    if (isFirst) {
      const all = document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]');
      left = new Set([...all].filter((one) => seen(one) && !one.disabled));
    }
    left.delete(document.activeElement);
    return [...left].map(called);
  }

  // What there is to be seen, for who has to find out why something was not.
  const state = () => JSON.stringify({
    address: location.href,
    focus: focus(),
    dialogs: [...document.querySelectorAll('dialog[open]')].map(({ id }) => id),
    busy: [...document.querySelectorAll('[aria-busy=true], [aria-disabled=true]')].map(called),
    text: document.body.innerText,
  }, null, 1);

  const tooWide = () => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth;
  async function audit() {
    const { violations } = await window.axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  }

  return { find, until, message, said, seen, button, shows, opened, dismiss, focused, leftToReach, state, tooWide, audit };
})();
