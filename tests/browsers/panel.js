// What is done at the panel.
window.at ??= (() => {
  const { find, until, button } = window.looking;
  const card = (name) => document.querySelector(`.card[data-key="${name}"]`);
  const choose = (select, value) => {
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  };

  // Who is in sees keys; who is not is told how to get in.
  const inside = () => until(() => {
    if (!find('gate').hidden) return `outside: ${find('gate-why').textContent}`;
    return find('live').textContent === 'live' && find('keys').children.length > 0 && `in, at ${location.pathname}${location.hash}`;
  });
  const forget = () => sessionStorage.clear();
  async function give(token) {
    const before = find('gate-why').textContent;
    find('gate-form').elements.token.value = token;
    find('gate-form').requestSubmit();
    await until(() => find('gate').hidden || find('gate-why').textContent !== before);
    return inside();
  }

  async function policy(value) {
    choose(find('policy'), value);
    return until(() => !find('message').hidden && find('message').textContent.includes(value) && value);
  }

  // What a key's card says that it waits for, once the site is known: before that it is the only page that asks, probably.
  const asks = (name, site) => until(() => {
    const why = card(name)?.classList.contains('asks') && card(name).querySelector('.why').textContent;
    return why && why.endsWith(` at ${site}`) && !why.includes('probably') && why;
  });
  const rests = (name) => until(() => card(name) && !card(name).classList.contains('asks') && 'rests');
  async function touch(name) {
    card(name).querySelector('.key').click();
    return true;
  }
  async function focus(name) {
    card(name).querySelector('.key').focus();
    return document.activeElement.ariaLabel;
  }
  async function press(name, text) {
    button(text, card(name)).click();
    return true;
  }
  const isOut = (name, isOut) => until(() => card(name)?.classList.contains('out') === isOut && 'so');

  // The latest refusal: its title, who refused, and why.
  const refused = (site) => until(() => {
    const first = find('refusals').firstElementChild;
    return first?.textContent.includes(site) && first.textContent;
  });
  const refusals = () => find('refusals').children.length;

  async function open(name) {
    card(name).querySelector('details').open = true;
    await until(() => card(name).querySelector('.fault'));
    return until(() => !card(name).querySelector('details').textContent.includes('PIN: …') && card(name).querySelector('details').textContent);
  }
  const holds = (name, text) => until(() => {
    const list = card(name).querySelector('.credentials');
    return list.textContent.includes(text) && list.textContent;
  });
  async function faultOn(name, kind, parameter, command, times) {
    const { elements } = card(name).querySelector('.fault');
    choose(elements.kind, kind);
    if (parameter) elements.parameter.value = parameter;
    elements.command.value = command && `,command=${command}`;
    elements.times.value = times;
    card(name).querySelector('.fault').requestSubmit();
    return faults(name, kind);
  }
  const faults = (name, text) => until(() => {
    const list = card(name).querySelector('.faults');
    return (text ? list.textContent.includes(text) : list.children.length === 0) && (list.textContent || 'none');
  });
  async function faultOff(name) {
    button('Switch off', card(name).querySelector('.faults')).click();
    return faults(name, '');
  }

  async function add(name, profile) {
    find('add').click();
    const { elements } = find('new-key').querySelector('form');
    elements.name.value = name;
    choose(elements.profile, profile);
    find('new-key').querySelector('[value=ok]').click();
    // The service may tell of the key before it answers.
    await says(`${name} has come`);
    return until(() => card(name)?.querySelector('.kind').textContent);
  }
  async function remove(name) {
    card(name).querySelector('details').open = true;
    (await until(() => button('Remove', card(name)))).click();
    await until(() => find('sure').open);
    find('sure').querySelector('[value=ok]').click();
    return until(() => !card(name) && 'gone');
  }

  const asking = (count) => until(() => document.querySelectorAll('.card.asks').length === count && count);
  const resting = () => until(() => document.querySelectorAll('.card.asks').length === 0 && 'all');
  const gone = (name) => until(() => !card(name) && 'gone');
  const row = (command) => until(() => [...find('exchanges').querySelectorAll('details')].find((one) => one.textContent.includes(command))?.textContent);
  async function openRow(command) {
    const details = [...find('exchanges').querySelectorAll('details')].find((one) => one.textContent.includes(command));
    details.open = true;
    return until(() => details.querySelector('pre')?.textContent);
  }
  const close = () => document.querySelectorAll('details[open]').forEach((one) => { one.open = false; });
  // Nothing here is a picture of others, and nothing turns text around.
  const markup = () => document.images.length + document.querySelectorAll('b, iframe').length + Number(/[\u202e\u200b]/.test(document.body.textContent));

  // Opens a dialog: to add a key, to be sure, or for a PIN.
  async function openDialog(name, text) {
    if (name) {
      card(name).querySelector('details').open = true;
      (await until(() => button(text, card(name)))).click();
    } else {
      button(text, document).click();
    }
    return window.looking.opened();
  }

  // A key's PIN: how it is set or changed, and what is said then.
  async function pin(name, text, present, fresh, again) {
    await openDialog(name, text);
    const form = find('pin').querySelector('form');
    Object.entries({ pin: present, new_pin: fresh, again }).forEach(([field, value]) => { form.elements[field].value = value; });
    form.querySelector('[value=ok]').click();
    return window.looking.said();
  }
  const pinState = (name, text) => until(() => {
    const line = [...card(name).querySelectorAll('details p')].find((one) => one.textContent.startsWith('PIN: '))?.textContent;
    return line?.includes(text) && line;
  });

  // The keys that the latest refusal is told of.
  const refusedKeys = () => [...find('refusals').firstElementChild.querySelectorAll('.rows strong')].map((one) => one.textContent);

  // What the panel says, once it has these words.
  const says = (words) => until(() => window.looking.message() && find('message').textContent.includes(words) && find('message').textContent);

  // How much the panel is told, how often it draws, and how much of the document that changes, since this was asked first.
  let counted = null;
  function count() {
    if (!counted) {
      const { parse } = JSON;
      JSON.parse = (...given) => { counted.told += 1; return parse(...given); };
      const draw = window.requestAnimationFrame.bind(window);
      window.requestAnimationFrame = (action) => { counted.drawn += 1; return draw(action); };
      const observer = new MutationObserver((changes) => { counted.changed += changes.length; });
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    }
    const before = counted;
    counted = { told: 0, drawn: 0, changed: 0 };
    return before;
  }

  return {
    ...window.looking, inside, forget, give, policy, asks, rests, touch, focus, press, isOut, refused, refusals, refusedKeys, open, holds, faultOn,
    faultOff, faults, add, remove, asking, resting, gone, row, openRow, close, openDialog, pin, pinState, says, count, markup,
  };
})();
