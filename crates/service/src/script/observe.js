(tools, note) => {
  // Takes notes of what a page asks of navigator.credentials, and of what came of it; the page gets what it would get anyway. `note` takes
  // each, a line of JSON, out of the page. Notes are posted to /v1/notes, not by the page.
  //
  // What the page can see all the same: a Proxy that it gives as options hears who looks at it, and another document's
  // Function.prototype.toString says of these functions that they are native, and not their names.
  'use strict';

  const {
    apply, getOwnPropertyDescriptor, defineProperty, ownKeys, stringify, includes, now, Bytes, Wrapped, getter,
    nameOf, messageOf, attempt, record, list, cut, read, text, number, items, base64url,
  } = tools;

  const idOf = getter(globalThis.Credential?.prototype, 'id');
  const responseOf = getter(globalThis.PublicKeyCredential?.prototype, 'response');
  const clientDataOf = getter(globalThis.AuthenticatorResponse?.prototype, 'clientDataJSON');

  // Where this is.
  const isTop = window === window.top;
  const ancestors = list();
  attempt(() => {
    for (let at = 0; at < location.ancestorOrigins.length && at < 16; at += 1) ancestors[at] = location.ancestorOrigins[at];
  });
  const place = record({
    origin: cut(self.origin),
    top: isTop,
    ancestors: location.ancestorOrigins === undefined ? undefined : ancestors,
    user_agent: cut(navigator.userAgent),
  });
  const thisDocument = Array.from(crypto.getRandomValues(new Bytes(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  let counted = 0;
  const tell = (members) => attempt(() => note(stringify(record(members))));

  const id = (descriptor) => base64url(read(descriptor, 'id'));
  const optionsOf = (given) => {
    const asked = read(given, 'publicKey');
    if (typeof asked !== 'object' || asked === null) return undefined;
    const selection = read(asked, 'authenticatorSelection');
    const extensions = read(asked, 'extensions');
    return record({
      rp_id: text(asked, 'rpId') ?? text(read(asked, 'rp'), 'id'),
      challenge: base64url(read(asked, 'challenge')),
      timeout_ms: number(asked, 'timeout'),
      user_verification: text(asked, 'userVerification') ?? text(selection, 'userVerification'),
      resident_key: text(selection, 'residentKey'),
      attachment: text(selection, 'authenticatorAttachment'),
      attestation: text(asked, 'attestation'),
      mediation: text(given, 'mediation'),
      algorithms: items(read(asked, 'pubKeyCredParams'), 32, (one) => number(one, 'alg')),
      allowed: items(read(asked, 'allowCredentials'), 64, id),
      excluded: items(read(asked, 'excludeCredentials'), 64, id),
      hints: items(read(asked, 'hints'), 8, (hint) => cut(hint)),
      extensions: typeof extensions === 'object' && extensions !== null
        ? items(ownKeys(extensions), 16, (name) => cut(name)) : undefined,
    });
  };
  const exception = (error) => {
    const name = attempt(() => apply(nameOf, error, [])) ?? text(error, 'name') ?? typeof error;
    const message = attempt(() => apply(messageOf, error, [])) ?? text(error, 'message') ?? '';
    return record({ name: cut(name), message: cut(message) });
  };

  // What the site says to a credential is an answer to a request that has the credential in it.
  let latest = null;
  const concerns = (body) => latest !== null && typeof body === 'string' && apply(includes, body, [latest.credential]);
  const answered = (credential, status, url, body) => tell({
    note: 'answered', id: credential.id, at_unix_ms: now(), status, url: cut(url), body: cut(body, 8192),
  });

  // An async function's promise is as native as the browser's, and nobody has handled it: a page that does not either hears so.
  const noted = async (ceremony, promise) => {
    try {
      const result = await promise;
      const credential = attempt(() => apply(idOf, result, []));
      if (credential !== undefined) latest = record({ id: ceremony, credential });
      tell({
        note: 'ended', id: ceremony, at_unix_ms: now(), credential: cut(credential, 1400),
        client_data_json: base64url(attempt(() => apply(clientDataOf, apply(responseOf, result, []), [])), 8192),
      });
      return result;
    } catch (error) {
      tell({ note: 'ended', id: ceremony, at_unix_ms: now(), exception: exception(error) });
      throw error;
    }
  };
  const ceremony = (operation) => (native, self, given) => {
    const options = attempt(() => optionsOf(given[0]));
    if (options === undefined) return apply(native, self, given);
    counted += 1;
    const began = `${thisDocument}-${counted}`;
    tell({ note: 'began', id: began, at_unix_ms: now(), ceremony: operation, ...place, options });
    return noted(began, apply(native, self, given));
  };

  // In the place of a native function, and for all but another document's toString the same to look at.
  const natives = new WeakMap();
  const { get: getNative, set: setNative } = WeakMap.prototype;
  const replace = (object, name, call) => {
    const member = object && getOwnPropertyDescriptor(object, name);
    if (typeof member?.value !== 'function') return;
    const wrapped = new Wrapped(member.value, record({ apply: call }));
    apply(setNative, natives, [wrapped, member.value]);
    defineProperty(object, name, record({ ...member, value: wrapped }));
  };

  replace(Function.prototype, 'toString', (native, self, given) => {
    const known = typeof self === 'function' ? apply(getNative, natives, [self]) : undefined;
    return apply(native, known ?? self, given);
  });
  const container = globalThis.CredentialsContainer?.prototype;
  replace(container, 'create', ceremony('create'));
  replace(container, 'get', ceremony('get'));

  const { clone, text: textOf } = Response.prototype;
  const statusOf = getter(Response.prototype, 'status');
  const urlOf = getter(Response.prototype, 'url');
  const fetched = async (promise, credential) => {
    const response = await promise;
    attempt(() => {
      const status = apply(statusOf, response, []);
      const url = apply(urlOf, response, []);
      if (status < 400) return answered(credential, status, url);
      const copy = apply(clone, response, []);
      const told = async () => {
        try {
          answered(credential, status, url, await apply(textOf, copy, []));
        } catch {
          answered(credential, status, url);
        }
      };
      return told();
    });
    return response;
  };
  replace(globalThis, 'fetch', (native, self, given) => {
    const credential = attempt(() => (concerns(read(given[1], 'body')) ? latest : null)) ?? null;
    const promise = apply(native, self, given);
    return credential === null ? promise : fetched(promise, credential);
  });

  const request = XMLHttpRequest.prototype;
  const { addEventListener } = EventTarget.prototype;
  const ofRequest = (name) => getter(request, name);
  const [status, url, answer, kind] = ['status', 'responseURL', 'response', 'responseType'].map(ofRequest);
  replace(request, 'send', (native, self, given) => {
    if (attempt(() => concerns(given[0]))) {
      const credential = latest;
      attempt(() => apply(addEventListener, self, ['loadend', () => attempt(() => {
        const of = (member) => apply(member, self, []);
        const isText = of(kind) === '' || of(kind) === 'text';
        const body = isText ? of(answer) : of(kind) === 'json' ? stringify(of(answer)) : undefined;
        answered(credential, of(status), of(url), of(status) < 400 ? undefined : body);
      })]));
    }
    return apply(native, self, given);
  });
}
