// What mdBook's pages lack for who reads them by keyboard or a screen reader.
for (const scrolled of document.querySelectorAll('pre > code, .table-wrapper, .recording')) scrolled.tabIndex = 0;

const textsOf = (element) => {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) found.push(texts.currentNode);
  return found;
};

// An option is not broken behind a dash: "-" at the end of a line and "-level" on the next are none. In text no word is; tables are too narrow.
for (const code of document.querySelectorAll('main :not(pre) > code')) {
  for (const text of textsOf(code)) {
    const words = text.data.split(code.closest('table') ? /((?<!\S)-\S+)/ : /(\S*-\S*)/);
    const parts = words.map((word, at) => {
      if (at % 2 === 0 || word.length > 30) return word;
      const whole = document.createElement('span');
      whole.className = 'whole';
      whole.textContent = word;
      return whole;
    });
    if (words.length > 1) text.replaceWith(...parts);
  }
}

// Long names in tables may be broken between their words, and stay whole for who copies them.
for (const cell of document.querySelectorAll('.table-wrapper td')) {
  for (const text of textsOf(cell)) {
    const parts = text.data.split(/(?<=[^\s]{4}[_,=:.])(?=\w{4})|(?<=[a-z]{3})(?=[A-Z][a-z]{3})/);
    if (parts.length > 1) text.replaceWith(...parts.flatMap((part, at) => (at ? [document.createElement('wbr'), part] : [part])));
  }
}

const bar = document.getElementById('mdbook-menu-bar');
bar?.setAttribute('role', 'navigation');
bar?.setAttribute('aria-label', 'Book');

// mdBook has a label for a checkbox that tells of itself as buttons do. A button says the same and can be pressed.
const label = document.getElementById('mdbook-sidebar-toggle');
const checkbox = document.getElementById('mdbook-sidebar-toggle-anchor');
if (label && checkbox) {
  const button = document.createElement('button');
  button.type = 'button';
  for (const name of ['id', 'class', 'title', 'aria-label', 'aria-controls']) {
    if (label.hasAttribute(name)) button.setAttribute(name, label.getAttribute(name));
  }
  button.append(...label.childNodes);
  label.replaceWith(button);
  const tell = () => button.setAttribute('aria-expanded', String(checkbox.checked));
  button.addEventListener('click', () => checkbox.click());
  checkbox.addEventListener('change', tell);
  tell();
}
