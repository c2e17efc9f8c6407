// What a test does at a page: by the page's own elements where it has them, and as a script of the page where it has not.
window.keys ??= (() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const list = (ids) => ids.map((id) => ({ type: 'public-key', id: bytes(id) }));
  const { find: element, message, until } = window.looking;
  const random = () => crypto.getRandomValues(new Uint8Array(32));

  // The credential that the browser gave the page last, whoever asked for it.
  let answered = null;
  for (const operation of ['create', 'get']) {
    const original = navigator.credentials[operation].bind(navigator.credentials);
    navigator.credentials[operation] = async (options) => {
      answered = null;
      const credential = await original(options);
      answered = credential.id;
      return credential;
    };
  }

  const shown = (id) => !element(id).hidden;
  const told = (text) => ({ said: text, credential: answered });

  // keyrig's own site.
  async function enter(user, password) {
    await until(() => shown('login'));
    const form = element('password-form');
    form.elements.user.value = user;
    form.elements.password.value = password;
    form.requestSubmit();
    return until(() => message() || (shown('account') && 'in') || (shown('second-factor') && 'second factor'));
  }
  async function add(kind, description, password) {
    const form = element('add');
    form.elements.description.value = description;
    answered = null;
    form.querySelector(`[value=${kind}]`).click();
    const confirmation = element('confirm');
    const next = await until(() => message() || (confirmation.open && 'confirm'));
    if (next !== 'confirm') return told(next);
    confirmation.querySelector('[name=password]').value = password;
    confirmation.querySelector('[value=ok]').click();
    return told(await until(message));
  }
  async function useKey(button) {
    answered = null;
    element(button).click();
    return told(await until(() => message() || (shown('account') && 'in')));
  }
  async function leave() {
    element('log-out').click();
    await until(() => shown('login'));
    return true;
  }

  // A page that asks for what it likes. `options` is what differs from the usual.
  async function ceremony(operation, options, evaluate) {
    try {
      const credential = await navigator.credentials[operation]({ publicKey: options });
      return { ...told('done'), ...evaluate(credential) };
    } catch (error) {
      return told(error.name);
    }
  }
  const create = (options, known = []) => ceremony('create', {
    challenge: random(), rp: { id: location.hostname, name: 'keys' },
    user: { id: bytes(btoa(options.user ?? 'alice')), name: options.user ?? 'alice', displayName: options.user ?? 'Alice' },
    pubKeyCredParams: [{ type: 'public-key', alg: -7 }], excludeCredentials: list(known), timeout: 60000, hints: ['security-key'],
    ...options.publicKey,
    authenticatorSelection: {
      authenticatorAttachment: 'cross-platform', residentKey: 'discouraged', userVerification: 'discouraged', ...options.selection,
    },
    extensions: extensions(options.extensions),
  }, (credential) => ({ extensions: results(credential), format: format(credential.response.attestationObject) }));
  const get = (options, known = []) => ceremony('get', {
    challenge: random(), rpId: location.hostname, allowCredentials: list(known), timeout: 60000, hints: ['security-key'],
    userVerification: 'discouraged', ...options.publicKey, extensions: extensions(options.extensions),
  }, (credential) => ({
    extensions: results(credential), user: new TextDecoder().decode(credential.response.userHandle ?? new Uint8Array()),
  }));

  // Bytes come and go as text.
  function extensions(given = {}) {
    const wanted = structuredClone(given);
    if (wanted.prf?.eval) wanted.prf.eval.first = bytes(wanted.prf.eval.first);
    if (wanted.largeBlob?.write) wanted.largeBlob.write = bytes(wanted.largeBlob.write);
    return wanted;
  }
  function results(credential) {
    const text = (_, value) => (value instanceof ArrayBuffer ? btoa(String.fromCharCode(...new Uint8Array(value))) : value);
    return JSON.parse(JSON.stringify(credential.getClientExtensionResults(), text));
  }
  // The attestation format is the text after "fmt" in the CBOR of the attestation object.
  function format(object) {
    const content = String.fromCharCode(...new Uint8Array(object));
    const at = content.indexOf('cfmt') + 4;
    const length = content.charCodeAt(at) - 0x60;
    return content.slice(at + 1, at + 1 + length);
  }

  // A ceremony that goes on while the keys are worked.
  let pending = null;
  const begin = (name, ...given) => { pending = window.keys[name](...given); return true; };
  const finish = () => pending;

  return { enter, add, useKey, leave, create, get, begin, finish };
})();
