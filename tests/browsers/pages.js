// What is done at the relying party's pages.
window.at ??= (() => {
  const { find, until, message, seen, button } = window.looking;
  const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);

  // The login, as it is before anybody is in.
  const start = () => until(() => !find('login').hidden);

  // Who works by keyboard comes from the window's frame to the first of a page.
  function beginAgain() {
    document.activeElement.blur();
    scrollTo(0, 0);
    getSelection().removeAllRanges();
    getSelection().collapse(document.body, 0);
    return true;
  }
  const isClosed = (id) => until(() => !find(id).open);

  // Opens a page by its link, and waits until all that it shows is there: nothing is drawn anew after that.
  async function open(page, there) {
    const link = find('nav').querySelector(`a[href="#${page}"]`);
    const isAnother = location.hash !== link.hash;
    // The page hears of it first, as it asked first.
    const changed = new Promise((resolve) => { addEventListener('hashchange', resolve, { once: true }); });
    link.click();
    if (isAnother) await changed;
    return isOpen(page, there);
  }
  const isAtRest = () => !document.querySelector('main[aria-busy=true], [aria-disabled=true]');
  const isOpen = (page, there) => until(() => !find(page).hidden && isAtRest() && seen(document.querySelector(there)) && true);
  const isIn = () => until(() => !find('account').hidden && isAtRest() && find('who').textContent);

  // Answers the dialogs that come up, until something is said.
  async function answered(password, value) {
    const next = await until(() => (find('confirm').open && 'confirm') || (find('ask').open && 'ask') || message());
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
    return until(() => (!find('account').hidden && 'in') || message());
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

  // A user's entry on the page of users.
  const entry = (name) => [...document.querySelectorAll('#user-list > li')].find((one) => one.querySelector('strong').textContent === name);
  // Somebody else has opened it: what is in it is there a moment later.
  const isUnfolded = (name) => until(() => entry(name)?.querySelector('details[open] dl') && true);

  // The same, opened.
  async function user(name) {
    const item = await until(() => entry(name));
    const details = item.querySelector('details');
    details.open = true;
    await until(() => details.querySelector('dl'));
    return item;
  }
  async function press(name, text, password, value) {
    button(text, await user(name)).click();
    return answered(password, value);
  }
  async function pressAtFactor(name, factor, text, password, value) {
    const cards = [...(await user(name)).querySelectorAll('.cards > li')];
    button(text, cards.find((one) => one.querySelector('h4')?.textContent === factor)).click();
    return answered(password, value);
  }
  // The same, up to the dialog that comes first.
  async function begin(name, text) {
    button(text, await user(name)).click();
    return window.looking.opened();
  }

  // The pages that whoever is in can open, and what they can do to a user.
  function mayDo(name) {
    const named = (selector, within) => [...within.querySelectorAll(selector)].filter(seen).map((one) => one.textContent).join(', ');
    return `${named('#nav a', document)}; ${named('.buttons button', entry(name))}`;
  }

  // What members of a group may.
  async function roles(group, wanted, password) {
    const card = await until(() => [...document.querySelectorAll('#group-list > li')].find((one) => one.querySelector('h3').textContent === group));
    for (const box of card.querySelectorAll('[type=checkbox]')) box.checked = wanted.includes(box.value);
    card.querySelector('form').requestSubmit();
    return answered(password);
  }

  // One's own token for programs, as a request has it; it is shown until the dialog is closed.
  async function addToken(name, comment, password) {
    const form = await until(() => find('add-token').querySelector('form'));
    Object.assign(form.elements.name, { value: name });
    Object.assign(form.elements.comment, { value: comment });
    form.requestSubmit();
    const next = await until(() => (find('confirm').open && 'confirm') || (find('token').open && 'token') || message());
    if (next === 'confirm') {
      find('confirm').querySelector('input').value = password;
      find('confirm').querySelector('[value=ok]').click();
    }
    await until(() => find('token').open);
    return find('token-header').textContent;
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
  async function openReport() {
    (await until(() => button('Report', find('event-list')))).click();
    return window.looking.opened();
  }
  async function lastReport() {
    await openReport();
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
  const markup = () => document.images.length - 1 + document.querySelectorAll('b, iframe').length + Number(/[\u202e\u200b]/.test(document.body.textContent));
  return {
    ...window.looking, start, beginAgain, isClosed, open, isOpen, isIn, isUnfolded, answered, send, give, addApp, paper, user: async (name) => Boolean(await user(name)), press,
    pressAtFactor, begin, mayDo, roles, addToken, require, lacking, offered, rename, eventsOf, openReport, lastReport, held, needing, areLocked, trouble, markup,
  };
})();
