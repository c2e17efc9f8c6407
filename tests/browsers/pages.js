// What is done at keyrig's own pages, by their elements: as somebody would who sees and clicks.
window.at ??= (() => {
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
  const said = () => !find('message').hidden && find('message').textContent;
  const seen = (one) => one && one.getClientRects().length > 0 && one;
  const button = (text, where) => [...where.querySelectorAll('button')].find((one) => one.textContent === text);
  const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);

  // The login, as it is before anybody is in.
  const start = () => until(() => !find('login').hidden);

  // Opens a page by its link, and waits until what it shows is there.
  async function open(page, there) {
    find('nav').querySelector(`a[href="#${page}"]`).click();
    await until(() => !find(page).hidden && seen(document.querySelector(there)));
    return true;
  }

  // Answers the dialogs that come up, until something is said.
  async function answered(password, value) {
    const next = await until(() => (find('confirm').open && 'confirm') || (find('ask').open && 'ask') || said());
    if (next !== 'confirm' && next !== 'ask') return next;
    const dialog = find(next);
    if (next === 'confirm') dialog.querySelector('input').value = password;
    else if (value) dialog.querySelector('input').value = value;
    const title = find('ask-title').textContent;
    dialog.querySelector('[value=ok]').click();
    await until(() => !dialog.open || find('ask-title').textContent !== title);
    return answered(password, value);
  }

  // Fills a form and sends it.
  async function send(form, values, password) {
    for (const [name, value] of Object.entries(values)) find(form).elements[name].value = value;
    find(form).requestSubmit();
    return answered(password);
  }

  // Gives what is typed as the second factor.
  async function give(form, name, value) {
    find(form).elements[name].value = value;
    find(form).requestSubmit();
    return until(() => (!find('account').hidden && 'in') || said());
  }

  // Begins to add an app, and returns its secret.
  async function addApp(description) {
    find('add').elements.description.value = description;
    find('add').querySelector('[value=totp]').click();
    return until(() => find('totp-secret').textContent);
  }

  // The recovery keys that were shown, once they are gone.
  async function paper() {
    const keys = await until(() => seen(find('recovery-keys')) && texts('#recovery-keys li'));
    find('forget-keys').click();
    await until(() => find('recovery-keys').hidden);
    return keys;
  }
  const shows = (text) => document.documentElement.outerHTML.includes(text);

  // A user's entry on the page of users, opened.
  async function user(name) {
    const is = (one) => one.querySelector('strong').textContent === name;
    const item = await until(() => [...document.querySelectorAll('#user-list > li')].find(is));
    const details = item.querySelector('details');
    details.open = true;
    await until(() => details.querySelector('dl'));
    return item;
  }
  async function press(name, text, password, value) {
    button(text, await user(name)).click();
    return answered(password, value);
  }
  async function deleteFactor(name, factor, password) {
    const cards = [...(await user(name)).querySelectorAll('.cards > li')];
    button('Delete', cards.find((one) => one.querySelector('h4')?.textContent === factor)).click();
    return answered(password);
  }

  // What a realm requires is changed.
  async function require(realm, type, password) {
    const form = [...document.querySelectorAll('#realm-list form')].find((one) => one.ariaLabel.includes(realm));
    form.elements.type.value = type;
    form.requestSubmit();
    return answered(password);
  }
  const lacking = () => find('realm-list').textContent;

  // What can be added by who is not in yet.
  async function offered() {
    await until(() => !find('required').hidden);
    return [...document.querySelectorAll('#add button')].filter(seen).map((one) => one.value).join(', ');
  }

  // The first of one's own factors gets another name.
  async function rename(description, password) {
    (await until(() => button('Rename', find('factors')))).click();
    return answered(password, description);
  }

  // The kinds of the events that concern a user.
  async function eventsOf(name) {
    find('event-filter').elements.user.value = name;
    find('event-filter').requestSubmit();
    return until(() => {
      const users = texts('#event-list > li > :nth-child(3)');
      return users.length > 0 && users.every((one) => one === name) && texts('#event-list > li > strong').join(', ');
    });
  }
  async function lastReport() {
    button('Report', find('event-list')).click();
    await until(() => find('report').open);
    const text = find('report-body').textContent;
    find('report').querySelector('button[value]').click();
    await until(() => !find('report-body').hasChildNodes());
    return text;
  }

  // All that the page holds.
  const held = () => JSON.stringify([
    find('page').outerHTML, [...document.querySelectorAll('input, select')].map((one) => one.value), location.href,
    Object.keys(sessionStorage), Object.keys(localStorage),
  ]);

  const needing = () => find('audit-list').textContent;
  const areLocked = () => !find('totp-locked').hidden;
  const trouble = () => until(() => find('trouble').textContent);
  const tooWide = () => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth;
  const markup = () => document.images.length - 1 + Number(/[\u202e\u200b]/.test(document.body.textContent));
  async function audit() {
    const { violations } = await window.axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  }

  return {
    start, open, answered, send, give, addApp, paper, shows, user: async (name) => Boolean(await user(name)), press, deleteFactor, require,
    lacking, offered, rename, eventsOf, lastReport, held, needing, areLocked, trouble, tooWide, markup, audit,
  };
})();
