// What the panel stands on: the service, and text of others. Whatever comes from there is put into the page as text.

export const find = (id) => document.getElementById(id);

// The token of this tab, and who is told that it is good no more.
const KEPT = 'keyrig-panel-token';
let token = sessionStorage.getItem(KEPT);
let lost = () => {};
export const whenLost = (action) => { lost = action; };
export const hasToken = () => token !== null;

export function keepToken(given) {
  token = given;
  if (given === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, given);
}

export class Refused extends Error {
  constructor(error) {
    super(error.what_to_do ? `${error.message}: ${error.what_to_do}` : error.message);
    this.code = error.code;
  }
}

async function refusal(response) {
  try {
    return new Refused((await response.json()).error);
  } catch {
    return new Refused({ code: String(response.status), message: `HTTP status ${response.status}: is something in between?` });
  }
}

async function request(method, path, body, signal) {
  const headers = {};
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused({ code: 'gone', message: 'keyrig does not answer: has it ended?' });
  }
  if (response.ok) return response;
  const refused = await refusal(response);
  if (response.status === 401) lost(refused.message);
  throw refused;
}

// Asks the service, and returns what it answers.
export async function call(method, path, body) {
  return (await request(method, path, body)).json();
}

export const ofKey = (name, rest = '') => `/v1/keys/${encodeURIComponent(name)}${rest}`;

// Server-sent events (HTML §9.2), which EventSource would read if it could send a token.
export async function* stream(path, signal) {
  const response = await request('GET', path, undefined, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const told = { event: 'message', id: null, data: '' };
      for (const line of part.split('\n')) {
        const at = line.indexOf(':');
        if (at > 0) told[line.slice(0, at)] = line.slice(at + 1).replace(/^ /, '');
      }
      if (told.data) yield told;
    }
  }
}

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

// Changes a text, if it is another.
export function write(node, text) {
  const shown = printable(text);
  if (node.textContent !== shown) node.textContent = shown;
}

export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

let forget;
export function say(text, isGood = false) {
  const message = find('message');
  clearTimeout(forget);
  write(message, text);
  message.className = isGood ? 'good' : '';
  message.hidden = !text;
  // What went well needs no answer.
  if (isGood) forget = setTimeout(() => say(''), 6000);
}

// Does something that a button or a form asks for, and says why not.
export function on(target, event, action) {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    say('');
    try {
      await action(happened);
    } catch (error) {
      say(error.message);
    }
  });
}

// A button that does something, and what it says to who cannot see beside what it stands.
export function button(text, about, action, className = 'plain small') {
  const made = element('button', { type: 'button', className, ariaLabel: printable(`${text}: ${about}`) }, text);
  on(made, 'click', action);
  return made;
}

// Asks for a yes.
export function sure(title, text) {
  const dialog = find('sure');
  write(find('sure-title'), title);
  write(find('sure-text'), text);
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'ok'), { once: true });
  });
}

// Asks for a new PIN, and with `isChange` for the present one; null if nobody wants one. Nothing of it stays in the page.
export function newPin(title, isChange) {
  const dialog = find('pin');
  const form = dialog.querySelector('form');
  const { pin, new_pin: fresh, again } = form.elements;
  write(find('pin-title'), title);
  show(find('pin-present'), isChange);
  pin.disabled = !isChange;
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener('close', () => {
      const given = { pin: pin.value, new_pin: fresh.value };
      const isSame = fresh.value === again.value;
      form.reset();
      if (dialog.returnValue !== 'ok') resolve(null);
      else if (isSame) resolve(given);
      else reject(new Error('The two new PINs differ: nothing was changed.'));
    }, { once: true });
  });
}

// What is to be done before the next picture, each once: however much is told meanwhile, it is drawn once.
const due = new Map();
export function soon(name, action) {
  if (due.size === 0) requestAnimationFrame(() => {
    const all = [...due.values()];
    due.clear();
    for (const one of all) one();
  });
  due.set(name, action);
}
