() => {
  // What scripts in a page stand on. The page may put something else in the place of what everybody uses: so what is needed is taken before
  // it can, and what is made inherits nothing.
  'use strict';

  const { apply, getPrototypeOf, getOwnPropertyDescriptor, defineProperty, ownKeys } = Reflect;
  const { setPrototypeOf } = Object;
  const { hasOwnProperty: has } = Object.prototype;
  const { stringify } = JSON;
  const { slice, includes } = String.prototype;
  const { isView } = ArrayBuffer;
  const { isArray } = Array;
  const { now } = Date;
  const Bytes = Uint8Array;
  const Wrapped = Proxy;
  const getter = (prototype, name) => prototype && getOwnPropertyDescriptor(prototype, name)?.get;
  const typed = getPrototypeOf(Bytes.prototype);
  const [lengthOfBuffer, lengthOfView, bufferOfView, startOfView, lengthOfData, bufferOfData, startOfData] = [
    [ArrayBuffer.prototype, 'byteLength'],
    [typed, 'byteLength'], [typed, 'buffer'], [typed, 'byteOffset'],
    [DataView.prototype, 'byteLength'], [DataView.prototype, 'buffer'], [DataView.prototype, 'byteOffset'],
  ].map(([prototype, name]) => getter(prototype, name));
  const nameOf = getter(DOMException.prototype, 'name');
  const messageOf = getter(DOMException.prototype, 'message');

  // Nothing that goes wrong in here is the page's.
  const attempt = (what) => {
    try {
      return what();
    } catch {
      return undefined;
    }
  };
  // What is made here has no prototype that the page could change, and JSON.stringify finds no toJSON.
  const record = (members) => setPrototypeOf(members, null);
  const list = () => setPrototypeOf([], null);
  const cut = (value, length = 512) => (typeof value === 'string' ? apply(slice, value, [0, length]) : undefined);

  // A member, if it is a plain value: a getter of the page is called by the browser alone.
  const read = (object, name) => {
    for (let at = object, depth = 0; typeof at === 'object' && at !== null && depth < 8; at = getPrototypeOf(at), depth += 1) {
      const member = getOwnPropertyDescriptor(at, name);
      if (member !== undefined) return apply(has, member, ['value']) ? member.value : undefined;
    }
    return undefined;
  };
  const text = (object, name) => cut(read(object, name));
  const number = (object, name) => {
    const value = read(object, name);
    return typeof value === 'number' ? value : undefined;
  };
  const items = (value, most, of) => {
    if (!isArray(value)) return undefined;
    const taken = list();
    const length = read(value, 'length');
    for (let at = 0; at < length && at < most; at += 1) taken[at] = of(read(value, `${at}`)) ?? null;
    return taken;
  };

  const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const bytes = (source) => {
    if (!isView(source)) return new Bytes(source, 0, apply(lengthOfBuffer, source, []));
    const buffer = attempt(() => apply(bufferOfView, source, []));
    return buffer === undefined
      ? new Bytes(apply(bufferOfData, source, []), apply(startOfData, source, []), apply(lengthOfData, source, []))
      : new Bytes(buffer, apply(startOfView, source, []), apply(lengthOfView, source, []));
  };
  const base64url = (source, most = 1024) => attempt(() => {
    const from = bytes(source);
    const length = apply(lengthOfView, from, []);
    if (length > most) return undefined;
    let encoded = '';
    for (let at = 0; at < length; at += 3) {
      const bits = (from[at] << 16) | ((from[at + 1] ?? 0) << 8) | (from[at + 2] ?? 0);
      encoded += DIGITS[bits >> 18] + DIGITS[(bits >> 12) & 63];
      if (at + 1 < length) encoded += DIGITS[(bits >> 6) & 63];
      if (at + 2 < length) encoded += DIGITS[bits & 63];
    }
    return encoded;
  });

  return {
    apply, getPrototypeOf, getOwnPropertyDescriptor, defineProperty, ownKeys, setPrototypeOf, stringify, slice,
    includes, isView, isArray, now, Bytes, Wrapped, getter, lengthOfBuffer, lengthOfView, bufferOfView, nameOf,
    messageOf, attempt, record, list, cut, read, text, number, items, DIGITS, bytes, base64url,
  };
}
