'use strict';

// The page speaks the same API as every other client. Whatever comes from the server is put into the page as text.

const find = (id) => document.getElementById(id);
let session = null;
let login = null;
let enrolment = null;

class Refused extends Error {
  constructor(body) {
    super(body.reason);
    this.body = body;
  }
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (session) headers['X-CSRF-Token'] = session.csrf_token;
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (response.ok) return answer;
  throw new Refused(answer ?? { code: String(response.status), reason: response.statusText });
}

// What changes factors may need the password again: ask, and do it once more.
async function confirmed(method, path, body) {
  try {
    return await call(method, path, body);
  } catch (error) {
    if (!(error instanceof Refused) || error.body.code !== 'confirmation_required') throw error;
  }
  const password = await askForPassword();
  if (password === null) throw new Error('Nothing was changed.');
  await call('POST', '/api/session/confirm', { password });
  return call(method, path, body);
}

function askForPassword() {
  const dialog = find('confirm');
  const form = dialog.querySelector('form');
  form.reset();
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'ok' ? form.elements.password.value : null);
      form.reset();
    }, { once: true });
  });
}

// `navigator.credentials`, from and to WebAuthn's own JSON.
async function credential(operation, options) {
  if (/^[\d.]+$|:/.test(location.hostname)) {
    throw new Error('Browsers have no WebAuthn on an IP address: open this page by a name, such as localhost.');
  }
  if (!window.isSecureContext || !window.PublicKeyCredential) {
    throw new Error('This browser has no WebAuthn on this page: it needs https, or http://localhost.');
  }
  if (!PublicKeyCredential.parseCreationOptionsFromJSON) {
    throw new Error('This browser lacks the JSON form of WebAuthn: use a newer one.');
  }
  const publicKey = operation === 'create'
    ? PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey)
    : PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
  return (await navigator.credentials[operation]({ publicKey })).toJSON();
}

// Text of others, with what is not seen, or turns the rest around, said: as the command line prints it.
function printable(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (hidden) => `\\u{${hidden.codePointAt(0).toString(16)}}`);
}

function say(text, good, detail, commands = []) {
  const message = find('message');
  message.replaceChildren(Object.assign(document.createElement('div'), { textContent: printable(text) }));
  for (const command of commands) {
    message.append(Object.assign(document.createElement('code'), { textContent: printable(command) }));
  }
  if (detail) {
    const details = document.createElement('details');
    details.append(
      Object.assign(document.createElement('summary'), { textContent: 'Report' }),
      Object.assign(document.createElement('pre'), { textContent: JSON.stringify(detail, null, 2).split('\n').map(printable).join('\n') }),
    );
    message.append(details);
  }
  message.className = good ? 'good' : '';
  message.hidden = !text;
}

function fail(error) {
  if (error instanceof Refused) {
    const { code, reason, report_id: id, report } = error.body;
    // What the command line tells of each check that refused.
    const explained = (report?.verification?.refused_by ?? []).map((check) => `keyrig explain ${check}`);
    say(`Refused (${code}): ${reason}${id ? ` (report ${id})` : ''}`, false, report, explained);
    if (code === 'not_logged_in') show(null);
  } else if (error instanceof DOMException) {
    say(`The browser says ${error.name}: ${error.message}`, false);
  } else {
    say(error.message, false);
  }
}

// Runs what a button or a form does, with its buttons disabled meanwhile.
function on(id, event, action) {
  find(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const form = happened.currentTarget;
    const buttons = form.tagName === 'FORM' ? [...form.querySelectorAll('button')] : [form];
    buttons.forEach((button) => { button.disabled = true; });
    say('');
    try {
      await action(form, happened.submitter?.value);
    } catch (error) {
      fail(error);
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  });
}

function only(id) {
  for (const section of ['login', 'second-factor', 'account']) find(section).hidden = section !== id;
}

function show(view) {
  session = view;
  enrolment = null;
  find('totp-enrolment').hidden = true;
  find('recovery-keys').hidden = true;
  find('who').textContent = view ? printable(`${view.user}, ${view.role}`) : 'a site to rehearse on';
  if (!view) return only('login');
  only('account');
  return list();
}

async function entered(answer) {
  if (answer.state === 'second_factor') return offer(answer);
  login = null;
  await show(answer.session);
  if (answer.state === 'enrolment_required') {
    say(`You are not in yet: this realm requires a second factor (${describe(answer.requirement)}). Add one now.`, false);
  }
  return undefined;
}

function describe(requirement) {
  const { type, digits, step } = requirement;
  if (type === 'oath') return `codes of ${digits} digits every ${step} s`;
  return type === 'webauthn' ? 'a security key' : type;
}

function offer(answer) {
  login = answer;
  const { webauthn, totp, totp_locked: locked, recovery, unusable_keys: unusable } = answer.factors;
  only('second-factor');
  find('unusable-keys').hidden = !unusable;
  find('unusable-keys').textContent = unusable ? `Security keys: ${printable(unusable)}.` : '';
  find('offer-webauthn').hidden = !webauthn;
  find('offer-totp').hidden = !totp;
  find('totp-locked').hidden = !locked;
  find('offer-recovery').hidden = !recovery;
  find('recovery-left').textContent = recovery ? `${recovery} left` : '';
}

function when(seconds) {
  return seconds === null || seconds === undefined ? 'never' : new Date(seconds * 1000).toLocaleString();
}

async function list() {
  const [view, factors] = await Promise.all([call('GET', '/api/session'), call('GET', '/api/factors')]);
  session = view;
  find('notices').replaceChildren(...view.notices.map(({ text }) => Object.assign(document.createElement('li'), { textContent: printable(text) })));
  find('no-factors').hidden = factors.length > 0;
  find('factors').hidden = factors.length === 0;
  find('factors').querySelector('tbody').replaceChildren(...factors.map(row));
}

function row(factor) {
  const kind = { webauthn: `${factor.passkey ? 'passkey' : 'security key, a second factor'}${factor.usable === false ? `; for ${factor.rp_id}: no browser uses it here` : ''}`, totp: 'app', recovery: `recovery keys, ${factor.remaining} of ${factor.of} left` };
  const line = document.createElement('tr');
  for (const text of [kind[factor.type] ?? factor.type, factor.description, when(factor.created), when(factor.last_used)]) {
    line.append(Object.assign(document.createElement('td'), { textContent: printable(text), className: factor.enabled ? '' : 'off' }));
  }
  const cell = document.createElement('td');
  const path = `/api/factors/${encodeURIComponent(factor.id)}`;
  const button = (text, action) => {
    const made = Object.assign(document.createElement('button'), { textContent: text, className: 'plain small', type: 'button' });
    made.addEventListener('click', () => action().then(list).catch(fail));
    cell.append(made);
  };
  button('Rename', async () => {
    const description = prompt('Description', factor.description);
    if (description !== null) await confirmed('PATCH', path, { description });
  });
  button(factor.enabled ? 'Disable' : 'Enable', () => confirmed('PATCH', path, { enabled: !factor.enabled }));
  if (factor.type === 'webauthn' && !factor.passkey && factor.enabled) {
    button('Make it a passkey', async () => {
      if (confirm(`Register ${factor.description} again, to log in with it alone? Touch this key and no other: the entry is replaced.`)) {
        await add.passkey(factor.description, factor.id);
      }
    });
  }
  button('Delete', async () => {
    if (confirm(`Delete ${factor.description}?`)) await confirmed('DELETE', path);
  });
  line.append(cell);
  return line;
}

async function added(answer) {
  if (answer.session) session = answer.session;
  enrolment = null;
  find('totp-enrolment').hidden = true;
  await list();
  say(`Added ${answer.factor.description}.${answer.session ? ' You are in.' : ''}`, true);
}

const add = {
  async webauthn(description, wish = {}) {
    const { challenge, options } = await confirmed('POST', '/api/factors/webauthn/begin', wish);
    const made = await credential('create', options).catch((error) => {
      if (error.name !== 'InvalidStateError') throw error;
      throw new Error(`This key is registered already.${wish.passkey ? ' To log in with it alone, choose "Make it a passkey" beside it.' : ''}`);
    });
    await added(await call('POST', '/api/factors/webauthn', { challenge, description, credential: made }));
  },
  passkey(description, replaces) {
    return add.webauthn(description, { passkey: true, replaces });
  },
  async totp(description) {
    const begun = await confirmed('POST', '/api/factors/totp/begin', {});
    enrolment = { challenge: begun.challenge, description };
    find('qr').src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(begun.qr_svg)}`;
    find('totp-secret').textContent = begun.secret;
    find('totp-uri').textContent = begun.uri;
    find('totp-enrolment').hidden = false;
    find('totp-enrolment').elements.code.value = '';
    find('totp-enrolment').elements.code.focus();
  },
  async recovery(description) {
    const answer = await confirmed('POST', '/api/factors/recovery', { description });
    const keys = answer.recovery_keys.map((text) => Object.assign(document.createElement('li'), { textContent: text }));
    find('recovery-keys').querySelector('ol').replaceChildren(...keys);
    await added(answer);
    find('recovery-keys').hidden = false;
  },
};

on('password-form', 'submit', async (form) => {
  const { user, password } = form.elements;
  const answer = await call('POST', '/api/login', { user: user.value, password: password.value });
  password.value = '';
  await entered(answer);
});

on('passkey', 'click', async () => {
  const { login: begun, challenge, options } = await call('POST', '/api/login/passkey/begin', {});
  const shown = await credential('get', options);
  await entered(await call('POST', '/api/login/passkey', { login: begun, challenge, credential: shown }));
});

on('use-webauthn', 'click', async () => {
  // A challenge is good for one answer: every further try takes a new one.
  const ceremony = login.factors.webauthn ?? await call('POST', '/api/login/webauthn/begin', { login: login.login });
  login.factors.webauthn = null;
  const shown = await credential('get', ceremony.options);
  await entered(await call('POST', '/api/login/webauthn', { login: login.login, challenge: ceremony.challenge, credential: shown }));
});

on('offer-totp', 'submit', async (form) => {
  const code = form.elements.code.value;
  form.reset();
  await entered(await call('POST', '/api/login/totp', { login: login.login, code }));
});

on('offer-recovery', 'submit', async (form) => {
  const key = form.elements.key.value;
  form.reset();
  await entered(await call('POST', '/api/login/recovery', { login: login.login, key }));
});

on('start-over', 'click', async () => { login = null; only('login'); });

on('add', 'submit', (form, kind) => add[kind ?? 'webauthn'](form.elements.description.value));

on('totp-enrolment', 'submit', async (form) => {
  const code = form.elements.code.value;
  await added(await call('POST', '/api/factors/totp', { ...enrolment, code }));
});

on('log-out', 'click', async () => { await call('DELETE', '/api/session'); await show(null); });
on('log-out-everywhere', 'click', async () => { await call('DELETE', '/api/sessions'); await show(null); });

call('GET', '/api/session').then(show, (error) => {
  show(null);
  if (!(error instanceof Refused) || error.body.code !== 'not_logged_in') fail(error);
});
