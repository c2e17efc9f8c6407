// What a test asks of the page: ceremonies in plain values.
'use strict';

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const list = (ids) => ids.map((id) => ({ type: 'public-key', id: bytes(id) }));

// The flags of authenticator data, in the order of their bits.
const flags = (data) => ['UP', '1', 'UV', 'BE', 'BS', '5', 'AT', 'ED'].filter((_, bit) => data[32] & (1 << bit)).join(' ');
const count = (data) => new DataView(data.buffer, data.byteOffset).getUint32(33);

// WebCrypto wants r and s as they are, and signatures have them in DER.
const raw = (der) => {
  const integer = (at) => {
    const length = der[at + 1];
    const value = der.slice(at + 2, at + 2 + length);
    const padded = new Uint8Array(32);
    padded.set(value.slice(-32), 32 - Math.min(32, value.length));
    return [padded, at + 2 + length];
  };
  const [r, next] = integer(2);
  const [s] = integer(next);
  return Uint8Array.of(...r, ...s);
};

const isSigned = async (response, spki) => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('spki', bytes(spki), algorithm, false, ['verify']);
  const hash = await crypto.subtle.digest('SHA-256', response.clientDataJSON);
  const signed = Uint8Array.of(...new Uint8Array(response.authenticatorData), ...new Uint8Array(hash));
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, raw(new Uint8Array(response.signature)), signed);
};

// A window of the browser's own that says why a ceremony has ended stays open until somebody closes it: nobody does here.
const attempt = async (timeout, what) => {
  const left = new AbortController();
  const timer = setTimeout(() => left.abort(), timeout + 5000);
  try {
    return await what(left.signal);
  } catch (error) {
    return { error: left.signal.aborted ? 'left open' : error instanceof DOMException ? error.name : String(error) };
  } finally {
    clearTimeout(timer);
  }
};

globalThis.site = {
  create: ({ resident = false, verified = 'discouraged', excluded = [], rp = 'localhost', timeout = 15000, extensions }) => attempt(timeout, async (signal) => {
    const made = await navigator.credentials.create({
      signal,
      publicKey: {
        challenge: random(32),
        rp: { id: rp, name: 'a site' },
        user: { id: new TextEncoder().encode(resident ? 'user' : 'other'), name: 'user', displayName: 'User' },
        pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
        authenticatorSelection: { residentKey: resident ? 'required' : 'discouraged', requireResidentKey: resident, userVerification: verified },
        excludeCredentials: list(excluded),
        timeout,
        extensions,
      },
    });
    const data = new Uint8Array(made.response.getAuthenticatorData());
    return { id: made.id, key: text(made.response.getPublicKey()), flags: flags(data), count: count(data), transports: made.response.getTransports() };
  }),
  get: ({ allowed, keys, verified = 'discouraged', timeout = 15000, extensions }) => attempt(timeout, async (signal) => {
    const used = await navigator.credentials.get({
      signal,
      publicKey: { challenge: random(32), rpId: 'localhost', allowCredentials: list(allowed), userVerification: verified, timeout, extensions },
    });
    const data = new Uint8Array(used.response.authenticatorData);
    const user = used.response.userHandle && new TextDecoder().decode(used.response.userHandle);
    const key = keys[used.id];
    return { id: used.id, flags: flags(data), count: count(data), user, signature: key ? await isSigned(used.response, key) : null };
  }),
};
