// What all pages stand on: the API, dialogs, and text of others. Whatever comes from the server is put into the page as text.

export const find = (id) => document.getElementById(id);

// `era` changes with whoever is in: what was asked for before is not shown after.
export const state = { session: null, login: null, site: null, trouble: null, era: 0 };

// Whether who is in has all of these privileges.
export function may(...privileges) {
  const { session } = state;
  return session?.kind === 'full' && privileges.every((privilege) => session.privileges.includes(privilege));
}

export class Refused extends Error {
  constructor(body) {
    super(body.reason);
    this.body = body;
  }
}

// Somebody else is in by now, or nobody.
class Late extends Error {}

// Whom a session's end is told.
let ended = () => {};
export const whenOver = (action) => { ended = action; };

// Text of others, with what is not seen, or turns the rest around, said: as the command line prints it.
export function printable(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (hidden) => `\\u{${hidden.codePointAt(0).toString(16)}}`);
}

// An element with what belongs into it; texts go in as text.
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : printable(child))));
  return made;
}

async function ask(method, path, body) {
  const { era } = state;
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (state.session) headers['X-CSRF-Token'] = state.session.csrf_token;
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  if (era !== state.era) throw new Late();
  let answer = null;
  try {
    if (text) answer = JSON.parse(text);
  } catch {
    throw new Error(`What came back from ${path} is no JSON (HTTP status ${response.status}): is something in between?`);
  }
  if (!response.ok) throw new Refused(answer ?? { code: String(response.status), reason: response.statusText });
  return { answer, next: /<([^>]+)>; rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? null };
}

export async function call(method, path, body) {
  return (await ask(method, path, body)).answer;
}

// A part of a list, and the path of the next one if it goes on.
export async function part(path) {
  const { answer, next } = await ask('GET', path);
  return { items: answer, next };
}

// What changes factors, users or realms may need the password again: ask, and do it once more.
export async function confirmed(method, path, body) {
  try {
    return await call(method, path, body);
  } catch (error) {
    if (!(error instanceof Refused) || error.body.code !== 'confirmation_required') throw error;
  }
  const password = await answerOf(find('confirm'), 'password');
  if (password === null) throw new Error('Nothing was changed.');
  await call('POST', '/api/session/confirm', { password });
  return call(method, path, body);
}

// What a dialog is answered with; `null` if it is cancelled. Nothing stays in it.
function answerOf(dialog, field) {
  const form = dialog.querySelector('form');
  const { era } = state;
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener('close', () => {
      if (era !== state.era) {
        reject(new Late());
        return;
      }
      const answer = dialog.returnValue === 'ok' ? form.elements[field].value : null;
      form.reset();
      resolve(answer);
    }, { once: true });
  });
}

// Makes an element what it was: `was` is a copy of it. What scripts listen to stays.
export function restore(live, was) {
  for (const { name } of [...live.attributes]) if (!was.hasAttribute(name)) live.removeAttribute(name);
  for (const { name, value } of was.attributes) if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  const isSame = live.childNodes.length === was.childNodes.length
    && [...was.childNodes].every((child, index) => child.nodeName === live.childNodes[index].nodeName);
  if (!isSame) {
    live.replaceChildren(...[...was.childNodes].map((child) => child.cloneNode(true)));
    return;
  }
  was.childNodes.forEach((child, index) => {
    const now = live.childNodes[index];
    if (child instanceof Element) restore(now, child);
    else if (now.nodeValue !== child.nodeValue) now.nodeValue = child.nodeValue;
  });
}

// Asks for a yes, or with a `label` for a text.
export async function question({ title, text = '', label = '', value = '', type = 'text', go = 'Go on', mayBeEmpty = false }) {
  const dialog = find('ask');
  const { value: input } = dialog.querySelector('form').elements;
  find('ask-title').textContent = printable(title);
  find('ask-text').textContent = printable(text);
  find('ask-label').hidden = !label;
  find('ask-label').firstElementChild.textContent = label;
  Object.assign(input, { value, type, required: Boolean(label) && !mayBeEmpty });
  dialog.querySelector('[value=ok]').textContent = go;
  const answer = await answerOf(dialog, 'value');
  find('ask-title').textContent = '\u00a0';
  find('ask-text').textContent = '';
  input.type = 'text';
  return answer;
}

export function say(text, good, detail, commands = []) {
  const message = find('message');
  message.replaceChildren(element('div', {}, text), ...commands.map((command) => element('code', {}, command)));
  if (detail) message.append(element('details', {}, element('summary', {}, 'Report'), reported(detail)));
  message.className = good ? 'good' : '';
  message.hidden = !text;
  if (text) message.scrollIntoView({ block: 'nearest' });
}

export function fail(error) {
  if (error instanceof Late) return;
  if (!(error instanceof Refused)) {
    say(error.message, false);
    return;
  }
  const { code, reason, report_id: id, report } = error.body;
  if (code === 'not_logged_in') ended();
  // What the command line tells of each check that refused, or of the refusal.
  const checks = report?.verification?.refused_by ?? [];
  // Without a body, the code is the status of HTTP, as of a proxy.
  const told = checks.length ? checks : [code].filter((it) => /^[a-z]/.test(it));
  const explained = told.map((it) => `keyrig explain ${it}`);
  say(`Refused (${code}): ${reason}${id ? ` (report ${id})` : ''}`, false, report, explained);
}

// A report in words: its cause, then every check that refused or could not be made, then the others.
export function reported(report) {
  const whole = element('div', { className: 'report' });
  const { explanation, cause } = report ?? {};
  if (explanation) whole.append(element('p', {}, explanation));
  if (cause) whole.append(element('p', { className: 'small' }, `Cause: ${cause}`));
  const checks = report?.verification?.checks ?? [];
  if (checks.length) {
    const { ceremony, verdict } = report.verification;
    whole.append(element('h3', {}, `${ceremony}: ${verdict}`));
    const passed = checks.filter(({ outcome }) => outcome === 'pass' || outcome === 'not_applicable');
    const list = (found) => element('ul', { className: 'findings' }, ...found.map(foundOut));
    whole.append(list(checks.filter((check) => !passed.includes(check))));
    whole.append(element('details', {}, element('summary', {}, `${passed.length} checks that refuse nothing`), list(passed)));
  }
  const text = JSON.stringify(report, null, 2).split('\n').map(printable).join('\n');
  const raw = element('pre', { tabIndex: 0 });
  raw.textContent = text;
  whole.append(element('details', {}, element('summary', {}, 'As JSON'), raw));
  return whole;
}

function foundOut({ id, outcome, requirement, expected, found, explanation, because, enforced }) {
  const words = `${id}: ${outcome.replaceAll('_', ' ')}${outcome === 'fail' && !enforced ? ', reported only' : ''}`;
  const line = element('li', { className: outcome }, element('strong', {}, words), element('div', {}, requirement));
  if (outcome === 'not_evaluated') line.append(element('div', {}, `not looked at because of ${because}`));
  if (outcome === 'fail') line.append(element('div', {}, `expected ${expected}`), element('div', {}, `found ${found}`));
  if (explanation) line.append(element('div', {}, explanation));
  return line;
}

// Runs what a button or a form does, with its buttons out of use meanwhile. They keep the focus, which `disabled` would take from them:
// a dialog gives it back to what had it, and who works by keyboard goes on where they were.
export function on(target, event, action) {
  const where = typeof target === 'string' ? find(target) : target;
  where.addEventListener(event, async (happened) => {
    happened.preventDefault();
    const buttons = where.tagName === 'FORM' ? [...where.querySelectorAll('button')] : [where];
    if (buttons.some((button) => button.ariaDisabled)) return;
    buttons.forEach((button) => { button.ariaDisabled = 'true'; });
    say('');
    try {
      await action(where, happened.submitter?.value);
    } catch (error) {
      fail(error);
    } finally {
      buttons.forEach((button) => { button.ariaDisabled = null; });
    }
  });
}

// A small button that does something, and what it says to who cannot see beside what it stands.
export function button(text, about, action) {
  const made = element('button', { className: 'plain small', type: 'button', ariaLabel: printable(`${text}: ${about}`) }, text);
  on(made, 'click', action);
  return made;
}

export function stamp(seconds) {
  if (seconds === null || seconds === undefined) return 'never';
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

// Names and what they are, as a list of pairs; what is `null` is left out.
export function pairs(entries) {
  const list = element('dl');
  for (const [name, value] of entries) {
    if (value !== null && value !== undefined) list.append(element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  }
  return list;
}

export function requirementText({ type, digits, step }) {
  if (type === 'oath') return `codes of ${digits} digits every ${step} s`;
  return { none: 'none', any: 'a code of an app or a security key', webauthn: 'a security key' }[type] ?? type;
}

export function factorText(factor) {
  const elsewhere = factor.usable === false ? `; for ${factor.rp_id}: no browser uses it here` : '';
  if (factor.type === 'webauthn') return `${factor.passkey ? 'passkey' : 'security key, a second factor'}${elsewhere}`;
  if (factor.type === 'totp') return `app: codes of ${factor.digits} digits every ${factor.step} s`;
  if (factor.type === 'recovery') return `recovery keys, ${factor.remaining} of ${factor.of} left`;
  return factor.type === 'unreadable' ? `${factor.kind}: cannot be read: ${factor.reason}` : factor.type;
}
