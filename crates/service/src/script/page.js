(tools, way) => {
  // Is navigator.credentials in a page, in the place of the browser's own: what the page asks is carried out by a browser's client of keyrig,
  // over the keys of a rack, and by its rules. What it cannot judge is how this browser would have: that is for keys which the browser finds.
  'use strict';

  const { ask, service } = way;
  const {
    apply, defineProperty, setPrototypeOf, stringify, isView, isArray, Bytes, getter, lengthOfBuffer,
    bufferOfView, attempt, record, list, DIGITS, base64url,
  } = tools;

  const { create: inherit, keys } = Object;
  const { parse } = JSON;
  const Exception = DOMException;
  const Mistake = TypeError;
  const { then: thenOf } = Promise.prototype;
  const { indexOf } = String.prototype;
  const fetching = globalThis.fetch;
  const Aborting = AbortController;
  const { addEventListener: listen } = EventTarget.prototype;
  const [isAborted, abortReason] = ['aborted', 'reason'].map((name) => getter(AbortSignal.prototype, name));
  const textOfAnswer = Response.prototype.text;
  const windowOrigin = self.origin;

  const fromBase64url = (encoded) => {
    const decoded = new Bytes((encoded.length * 3) >> 2);
    let bits = 0;
    let held = 0;
    let at = 0;
    for (let index = 0; index < encoded.length; index += 1) {
      bits = ((bits << 6) | apply(indexOf, DIGITS, [encoded[index]])) & 0xffffff;
      held += 6;
      if (held < 8) continue;
      held -= 8;
      decoded[at] = (bits >> held) & 0xff;
      at += 1;
    }
    return apply(bufferOfView, decoded, []);
  };
  const each = (array, call) => {
    for (let at = 0; at < array.length; at += 1) call(array[at], at);
  };
  const eachOf = (object, call) => each(keys(object), (name) => call(name, object[name]));
  const has = (array, wanted) => {
    for (let at = 0; at < array.length; at += 1) if (array[at] === wanted) return true;
    return false;
  };
  const isBytes = (value) => isView(value) || attempt(() => apply(lengthOfBuffer, value, [])) !== undefined;
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  // What a page gives, in JSON: as Web IDL reads it, getters and all.
  const given = (call, what, value) => {
    if (!isBytes(value)) {
      throw new Mistake(`Failed to execute '${call}' on 'CredentialsContainer': Failed to read the '${what}' property: the provided value is not of type '(ArrayBuffer or ArrayBufferView)'.`);
    }
    const encoded = base64url(value, 1 << 20);
    if (encoded === undefined) throw new Mistake(`Failed to execute '${call}' on 'CredentialsContainer': '${what}' is too long.`);
    return encoded;
  };
  const plain = (value, depth = 8) => {
    if (isBytes(value)) return base64url(value, 1 << 20);
    if (!isObject(value)) return typeof value === 'bigint' || typeof value === 'symbol' ? undefined : value;
    if (depth === 0 || typeof value === 'function') return undefined;
    if (isArray(value)) {
      const listed = list();
      for (let at = 0; at < value.length && at < 1024; at += 1) listed[at] = plain(value[at], depth - 1) ?? null;
      return setPrototypeOf(listed, null);
    }
    const members = record({});
    eachOf(value, (name, member) => { members[name] = plain(member, depth - 1); });
    return members;
  };
  const descriptors = (call, name, value) => {
    if (value === undefined) return undefined;
    const listed = list();
    let at = 0;
    for (const one of value) {
      listed[at] = record({ type: one.type, id: given(call, `${name}.id`, one.id), transports: plain(one.transports) });
      at += 1;
    }
    return listed;
  };
  const dictionary = (call, value, name) => {
    if (!isObject(value)) {
      throw new Mistake(`Failed to execute '${call}' on 'CredentialsContainer': Failed to read the '${name}' property: the provided value is not of type 'object'.`);
    }
    return value;
  };
  const asked = {
    create: (options) => {
      const user = dictionary('create', options.user, 'user');
      return record({
        ...plain(record({ ...options, challenge: undefined, user: undefined, excludeCredentials: undefined })),
        challenge: given('create', 'challenge', options.challenge),
        user: record({ ...plain(record({ ...user, id: undefined })), id: given('create', 'user.id', user.id) }),
        excludeCredentials: descriptors('create', 'excludeCredentials', options.excludeCredentials),
      });
    },
    get: (options) => record({
      ...plain(record({ ...options, challenge: undefined, allowCredentials: undefined })),
      challenge: given('get', 'challenge', options.challenge),
      allowCredentials: descriptors('get', 'allowCredentials', options.allowCredentials),
    }),
  };

  // What is answered, as a page has it.
  const made = new WeakMap();
  const { get: getMade, set: setMade } = WeakMap.prototype;
  const membersOf = (self) => {
    const members = isObject(self) ? apply(getMade, made, [self]) : undefined;
    if (members === undefined) throw new Mistake('Illegal invocation');
    return members;
  };
  // An interface of the browser's, or one that it lacks, with these members; objects of the browser's own go on as they were.
  const face = (name, parent, getters, methods) => {
    const Native = globalThis[name];
    const Face = Native ?? class {
      constructor() {
        throw new Mistake('Illegal constructor');
      }
    };
    if (Native === undefined) {
      defineProperty(Face, 'name', record({ value: name, configurable: true }));
      if (parent !== undefined) {
        setPrototypeOf(Face, parent);
        setPrototypeOf(Face.prototype, parent.prototype);
      }
      defineProperty(Face.prototype, Symbol.toStringTag, record({ value: name, configurable: true }));
      defineProperty(globalThis, name, record({ value: Face, configurable: true, writable: true }));
    }
    each(getters, (member) => {
      const own = getter(Face.prototype, member);
      const get = function () {
        const ours = isObject(this) ? apply(getMade, made, [this]) : undefined;
        return ours === undefined && own !== undefined ? apply(own, this, []) : membersOf(this)[member];
      };
      defineProperty(Face.prototype, member, record({ get, enumerable: true, configurable: true }));
    });
    eachOf(methods, (member, call) => {
      const own = Face.prototype[member];
      // None of them takes anything.
      const value = function () {
        const ours = isObject(this) ? apply(getMade, made, [this]) : undefined;
        return ours === undefined && typeof own === 'function' ? apply(own, this, []) : call(membersOf(this));
      };
      defineProperty(value, 'name', record({ value: member, configurable: true }));
      defineProperty(Face.prototype, member, record({ value, enumerable: true, configurable: true, writable: true }));
    });
    return Face;
  };
  const instance = (Face, members) => {
    const object = inherit(Face.prototype);
    apply(setMade, made, [object, members]);
    return object;
  };

  const BINARY = ['first', 'second', 'blob', 'credBlob', 'output1', 'output2', 'getCredBlob'];
  const outputs = (value) => {
    const result = {};
    eachOf(value, (name, member) => {
      result[name] = typeof member === 'string' && has(BINARY, name) ? fromBase64url(member)
        : isObject(member) && !isArray(member) ? outputs(member) : member;
    });
    return result;
  };

  const exceptionOf = (told) => {
    const name = told?.name;
    const message = told?.message;
    if (name === 'TypeError') return new Mistake(message);
    if (name === 'RangeError') return new RangeError(message);
    if (typeof name === 'string') return new Exception(message, name);
    // It is not about the page: whoever drives it is told in the words of keyrig.
    return new Exception(`keyrig: ${message ?? 'it does not answer'}`, 'UnknownError');
  };

  const ancestorsOfThis = () => {
    const origins = list();
    for (let at = 0; at < (location.ancestorOrigins?.length ?? 0) && at < 16; at += 1) origins[at] = location.ancestorOrigins[at];
    return origins;
  };

  // One request: a promise of what is answered, read, and how to give it up.
  const byFunction = (request) => {
    const id = base64url(crypto.getRandomValues(new Bytes(12)));
    const answered = async () => parse(await ask(stringify(record({ id, ...request }))));
    return { answer: answered(), abort: () => attempt(() => ask(stringify(record({ id, ceremony: 'abort' })))) };
  };
  const byFetch = ({ ceremony, ...request }) => {
    const aborting = new Aborting();
    const above = ancestorsOfThis();
    const between = list();
    each(above, (origin, at) => { if (at + 1 < above.length) between[at] = origin; });
    const place = above.length === 0 ? {} : { top_origin: above[above.length - 1], ancestors: between };
    const answered = async () => {
      let answer;
      try {
        answer = await apply(fetching, globalThis, [`${service.url}/v1/client/${ceremony}`, record({
          method: 'POST',
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
          headers: record({ authorization: `Bearer ${service.token}`, 'content-type': 'application/json' }),
          signal: aborting.signal,
          body: stringify(ceremony === 'capabilities' ? record({}) : record({ origin: windowOrigin, ...place, ...request })),
        })]);
      } catch (error) {
        if (apply(isAborted, aborting.signal, [])) throw error;
        throw new Exception(`keyrig: ${service.url} cannot be fetched from here: a Content-Security-Policy, or it has ended`, 'UnknownError');
      }
      return parse(await apply(textOfAnswer, answer, []));
    };
    return { answer: answered(), abort: () => aborting.abort() };
  };

  const implement = () => {
    const reach = ask === undefined ? byFetch : byFunction;
    const Credential = face('Credential', undefined, ['id', 'type'], {});
    const responses = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'];
    const Answered = face('AuthenticatorResponse', undefined, ['clientDataJSON'], {});
    const Attested = face('AuthenticatorAttestationResponse', Answered, ['attestationObject'], {
      getTransports: ({ told }) => parse(stringify(told.transports)),
      getAuthenticatorData: ({ told }) => fromBase64url(told.authenticatorData),
      getPublicKey: ({ told }) => (told.publicKey === undefined ? null : fromBase64url(told.publicKey)),
      getPublicKeyAlgorithm: ({ told }) => told.publicKeyAlgorithm,
    });
    const Asserted = face('AuthenticatorAssertionResponse', Answered, ['authenticatorData', 'signature', 'userHandle'], {});
    const PublicKey = face('PublicKeyCredential', Credential, ['rawId', 'response', 'authenticatorAttachment'], {
      getClientExtensionResults: ({ extensions }) => outputs(extensions),
      toJSON: ({ told }) => parse(stringify(told)),
    });
    const Container = face('CredentialsContainer', undefined, [], {});

    const credentialOf = (told, Face) => {
      const members = record({ told: told.response });
      each(responses, (name) => { members[name] = told.response[name] === undefined ? null : fromBase64url(told.response[name]); });
      return instance(PublicKey, record({
        told,
        id: told.id,
        type: told.type,
        rawId: fromBase64url(told.rawId),
        authenticatorAttachment: told.authenticatorAttachment ?? null,
        extensions: told.clientExtensionResults ?? {},
        response: instance(Face, members),
      }));
    };

    // A document asks once at a time. What is asked conditionally gives way to it.
    let pending = 0;
    let waiting;
    const refuse = (message, name) => { throw new Exception(message, name); };
    const checkPlace = (call) => {
      const feature = `publickey-credentials-${call}`;
      const policy = document.permissionsPolicy ?? document.featurePolicy;
      const isTop = window === window.top;
      let isOwn = true;
      each(ancestorsOfThis(), (origin) => { isOwn &&= origin === windowOrigin; });
      // A browser that does not tell a page's policy: its default is that frames of other origins may not.
      const allowed = policy !== undefined && has(policy.features(), feature) ? policy.allowsFeature(feature) : isTop || isOwn;
      if (!allowed) {
        refuse(`The '${feature}' feature is not enabled in this document. Permissions Policy may be used to delegate Web Authentication capabilities to cross-origin child frames.`, 'NotAllowedError');
      }
      if (call === 'create' && !isOwn && navigator.userActivation?.isActive === false) {
        refuse("A user activation is required to create a credential in a cross-origin iframe.", 'NotAllowedError');
      }
      if (windowOrigin === 'null') refuse('The origin of the document is opaque and may not ask for credentials.', 'NotAllowedError');
    };
    const carryOut = async (call, options, Face) => {
      const signal = options.signal ?? undefined;
      if (signal !== undefined && apply(isAborted, signal, [])) throw apply(abortReason, signal, []);
      const mediation = options.mediation ?? undefined;
      const request = record({ ceremony: call, mediation, options: asked[call](dictionary(call, options.publicKey, 'publicKey')) });
      checkPlace(call);
      if (pending > 0) refuse('A request is already pending.', 'OperationError');
      waiting?.();
      const { answer, abort } = reach(request);
      let givenUp;
      const stopped = new Promise((_, reject) => {
        givenUp = (reason) => {
          abort();
          reject(reason);
        };
      });
      if (signal !== undefined) apply(listen, signal, ['abort', () => givenUp(apply(abortReason, signal, [])), record({ once: true })]);
      const isConditional = mediation === 'conditional';
      const giveWay = () => givenUp(new Exception('A new request has taken its place.', 'AbortError'));
      if (isConditional) waiting = giveWay;
      else pending += 1;
      try {
        const told = await new Promise((resolve, reject) => {
          apply(thenOf, answer, [resolve, reject]);
          apply(thenOf, stopped, [resolve, reject]);
        });
        if (told === null || typeof told !== 'object' || told.error !== undefined) throw exceptionOf(told?.error);
        return credentialOf(told, Face);
      } finally {
        if (!isConditional) pending -= 1;
        else if (waiting === giveWay) waiting = undefined;
      }
    };

    const isOfPublicKey = (options) => isObject(options) && options.publicKey !== undefined;
    const credentials = navigator.credentials ?? inherit(Container.prototype);
    const natives = record({ create: Container.prototype.create, get: Container.prototype.get, store: Container.prototype.store });
    const otherwise = (call, self, rest) => (typeof natives[call] === 'function' ? apply(natives[call], self, rest) : null);
    // Each promises whatever goes wrong, as the browser's do.
    const calls = {
      async create(options) {
        return isOfPublicKey(options) ? carryOut('create', options, Attested) : otherwise('create', this, [options]);
      },
      async get(options) {
        return isOfPublicKey(options) ? carryOut('get', options, Asserted) : otherwise('get', this, [options]);
      },
      async store(credential) {
        if (isObject(credential) && apply(getMade, made, [credential]) !== undefined) {
          refuse("Store operation not permitted for PublicKey credentials.", 'NotSupportedError');
        }
        return otherwise('store', this, [credential]);
      },
      async preventSilentAccess() {},
    };
    const put = (object, calls) => {
      eachOf(calls, (name, value) => {
        defineProperty(object, name, record({ value, enumerable: true, configurable: true, writable: true }));
      });
    };
    put(Container.prototype, calls);
    if (navigator.credentials === undefined) {
      defineProperty(Navigator.prototype, 'credentials', record({ get: () => credentials, enumerable: true, configurable: true }));
    }

    // What is here to ask.
    const capabilities = async () => {
      const told = await reach(record({ ceremony: 'capabilities' })).answer;
      if (told.error !== undefined) throw exceptionOf(told.error);
      return told;
    };
    const isBase64url = (text) => {
      for (let at = 0; at < text.length; at += 1) if (apply(indexOf, DIGITS, [text[at]]) < 0) return false;
      return text.length % 4 !== 1;
    };
    const decoded = (text, what) => {
      if (typeof text !== 'string' || !isBase64url(text)) {
        throw new Exception(`'${what}' is not a valid base64url string.`, 'EncodingError');
      }
      return fromBase64url(text);
    };
    const described = (listed) => listed?.map((one) => ({ ...one, id: decoded(one.id, 'id') }));
    const withOutputs = (options) => (options.extensions === undefined ? {} : { extensions: inputs(options.extensions) });
    const inputs = (value) => {
      const result = {};
      eachOf(value, (name, member) => {
        result[name] = typeof member === 'string' && has(['first', 'second', 'write', 'credBlob'], name) ? decoded(member, name)
          : isObject(member) && !isArray(member) ? inputs(member) : member;
      });
      return result;
    };
    const signal = (which, needs) => async (options) => {
      const members = record({});
      eachOf(needs, (name, kind) => {
        const value = isObject(options) ? options[name] : undefined;
        if (kind === 'ids' ? !isArray(value) : typeof value !== 'string') {
          throw new Mistake(`Failed to execute a signal on 'PublicKeyCredential': ${name} is required.`);
        }
        const listed = list();
        each(kind === 'ids' ? value : [value], (encoded, at) => {
          if (kind !== 'text' && (typeof encoded !== 'string' || !isBase64url(encoded))) throw new Mistake(`Invalid base64url string for ${name}.`);
          listed[at] = encoded;
        });
        members[name] = kind === 'ids' ? listed : value;
      });
      const told = await reach(record({ ceremony: 'signal', signal: which, options: members })).answer;
      if (told?.error !== undefined) throw exceptionOf(told.error);
    };
    put(PublicKey, {
      async isUserVerifyingPlatformAuthenticatorAvailable() {
        return (await capabilities()).userVerifyingPlatformAuthenticator;
      },
      async isConditionalMediationAvailable() {
        return (await capabilities()).conditionalGet;
      },
      async getClientCapabilities() {
        return capabilities();
      },
      parseCreationOptionsFromJSON(options) {
        return {
          ...options,
          challenge: decoded(options.challenge, 'challenge'),
          user: { ...options.user, id: decoded(options.user.id, 'user.id') },
          ...(options.excludeCredentials === undefined ? {} : { excludeCredentials: described(options.excludeCredentials) }),
          ...withOutputs(options),
        };
      },
      parseRequestOptionsFromJSON(options) {
        return {
          ...options,
          challenge: decoded(options.challenge, 'challenge'),
          ...(options.allowCredentials === undefined ? {} : { allowCredentials: described(options.allowCredentials) }),
          ...withOutputs(options),
        };
      },
      signalUnknownCredential: signal('unknown-credential', record({ rpId: 'text', credentialId: 'id' })),
      signalAllAcceptedCredentials: signal('all-accepted-credentials', record({ rpId: 'text', userId: 'id', allAcceptedCredentialIds: 'ids' })),
      signalCurrentUserDetails: signal('current-user-details', record({ rpId: 'text', userId: 'id', name: 'text', displayName: 'text' })),
    });
  };
  // Where a browser has no such interface, there is none: a page that is not secure.
  if (globalThis.isSecureContext) implement();
}
