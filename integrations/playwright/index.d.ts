import type { BrowserContext, PlaywrightTestArgs, PlaywrightTestOptions, PlaywrightWorkerArgs, PlaywrightWorkerOptions, TestType } from '@playwright/test';

export { expect } from '@playwright/test';

/** A site's options: JSON as text or as an object, with or without `publicKey` around them. */
export type Options = string | object;
/** What a page sends to its site: `PublicKeyCredential.toJSON()`. */
export type Credential = { id: string; rawId: string; type: 'public-key'; response: Record<string, unknown>; [member: string]: unknown };

export class KeyrigError extends Error {
  code: string;
  details: Record<string, unknown>;
}

export class Refused extends KeyrigError {
  /** The name of the exception that a page catches. */
  errorName?: string;
  refusedBy: 'client' | 'authenticator' | 'relying_party';
  reason: string;
  whatToDo?: string;
}

export class Keyrig {
  url: string;
  token: string;
  ask(method: string, path: string, body?: unknown): Promise<any>;
  key(profile?: string, how?: { name?: string; pin?: string; snapshot?: string; plugged?: boolean; quirks?: string[]; enterprise_rps?: string[] }): Promise<Key>;
  keys(): Promise<Key[]>;
  client(origin: string, how?: { pin?: string; browser?: 'chromium' | 'firefox' | 'safari'; on?: Key[]; [member: string]: unknown }): {
    create(options: Options): Promise<Credential>;
    get(options: Options): Promise<Credential>;
  };
  finger(key?: Key): Promise<void>;
  /** For a context that the test made, where the project's `webauthn` is 'page': before its first page. */
  askFrom(context: BrowserContext): Promise<void>;
  touchPolicy(policy: string): Promise<void>;
  events(after?: number, how?: { timeout?: number }): Promise<Record<string, unknown>[]>;
  trace(): Promise<Record<string, unknown>[]>;
  traceText(since?: number): Promise<string>;
}

/** What waits does so for `timeout` milliseconds, 30,000 unless told otherwise; with 0 it does not. */
export class Key {
  readonly name: string;
  readonly profile: string;
  touch(how?: { timeout?: number }): Promise<void>;
  deny(how?: { timeout?: number }): Promise<void>;
  verify(how?: { miss?: boolean; timeout?: number }): Promise<void>;
  wait(what?: 'touch' | 'plugged' | 'attached', how?: { timeout?: number }): Promise<void>;
  plug(): Promise<void>;
  unplug(): Promise<void>;
  powerCycle(): Promise<void>;
  reset(): Promise<void>;
  remove(): Promise<void>;
  snapshot(): Promise<string>;
  restore(snapshot: string): Promise<void>;
  setPin(pin: string): Promise<void>;
  credentials(): Promise<Record<string, unknown>[]>;
  fault(fault: string): Promise<void>;
}

export const test: TestType<
  PlaywrightTestArgs & PlaywrightTestOptions & { keyrig: Keyrig; touch: string },
  PlaywrightWorkerArgs & PlaywrightWorkerOptions & { webauthn?: 'hid' | 'page' }
>;
