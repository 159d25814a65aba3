// The tests that every encapsulation has to pass.
import type { AnyPropertyValues, EncapPlugin } from '@overlayadm/api';
import { parseIp } from '@overlayadm/api';
import { encapProblems, formatProblems } from './format-problems.ts';
import { propertyProblems } from './property-problems.ts';
import { matchOfBit, referenceHeader, referenceRead } from './reference-codec.ts';
import { bytesOf, hexOf, type TestFunctions } from './testing.ts';

export interface EncapVectors {
  /** Values a person could give, defaults filled in. */
  readonly values: AnyPropertyValues;
  /** Headers taken from the specification, not from the code. Entropy fields are zero. */
  readonly headers: readonly { readonly vnetid: number; readonly header: string }[];
  /** What happens to received bytes: the identifier they are kept under, or the reason they are dropped for. */
  readonly received: readonly { readonly packet: string; readonly vnetid?: number; readonly dropped?: string }[];
}

function formatTests({ it, expect }: TestFunctions, { format, vnetid }: EncapPlugin, vectors: EncapVectors): void {
  it('has a format that a host accepts', () => expect(formatProblems(format)).toEqual([]));
  it('has a format that is data: it survives JSON unchanged', () => {
    expect(JSON.stringify(JSON.parse(JSON.stringify(format)))).toBe(JSON.stringify(format));
    expect(JSON.parse(JSON.stringify(format))).toEqual(format);
  });
  it('sends a template that it would receive itself', () =>
    expect(referenceRead(format, format.template)).toEqual({ kind: 'kept', vnetid: 0, headerBytes: format.template.length }));
  it('carries the first, the last and the middle identifier, whatever the entropy', () => {
    for (const id of [vnetid.min, Math.floor((vnetid.min + vnetid.max) / 2), vnetid.max]) {
      for (const entropy of [0, 0xffff_ffff]) expect(referenceRead(format, referenceHeader(format, id, entropy))).toEqual(kept(format, id));
    }
  });
  it('drops a packet with any one compared bit changed, under the reason of the first match for it', () => {
    const header = referenceHeader(format, vnetid.max, 0xffff_ffff);
    for (let bit = 0; bit < 8 * header.length; bit++) {
      const reason = matchOfBit(format, bit);
      if (reason === undefined) continue;
      const flipped = header.map((byte, at) => (at === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
      expect(referenceRead(format, flipped), `bit ${bit}`).toEqual({ kind: 'dropped', reason });
    }
  });
  it('has no match that can never be the reason', () => {
    const bits = Array.from({ length: 8 * format.template.length }, (_, bit) => matchOfBit(format, bit));
    for (const match of format.accept) expect(bits.includes(match.dropReason), match.dropReason).toBe(true);
  });
  it('comes with vectors for sending and receiving', () => expect(vectors.headers.length > 0 && vectors.received.length > 0).toBe(true));
}

const kept = (format: EncapPlugin['format'], vnetid: number) => ({ kind: 'kept', vnetid, headerBytes: format.template.length });

function vectorTests({ it, expect }: TestFunctions, { format }: EncapPlugin, vectors: EncapVectors): void {
  for (const { vnetid, header } of vectors.headers) {
    it(`sends ${header} for ${vnetid}`, () => expect(hexOf(referenceHeader(format, vnetid))).toBe(hexOf(bytesOf(header))));
  }
  for (const { packet, vnetid, dropped } of vectors.received) {
    it(`receives ${packet || 'nothing'}: ${dropped ?? vnetid}`, () => {
      const reading = referenceRead(format, bytesOf(packet));
      expect(reading.kind === 'kept' ? reading.vnetid : reading.reason).toBe(dropped ?? vnetid);
    });
  }
}

function socketTests({ it, expect }: TestFunctions, plugin: EncapPlugin, values: AnyPropertyValues): void {
  it('names a socket for its values, and the same one again', () => {
    const frozen = Object.freeze({ ...values });
    const socket = plugin.socket(frozen);
    expect(parseIp(socket.listenIp)).toBe(socket.listenIp);
    expect(socket.listenPort !== undefined).toBe(plugin.format.carrier.over === 'udp');
    const port = socket.listenPort ?? 1;
    expect(Number.isInteger(port) && port >= 1 && port <= 65535).toBe(true);
    expect(plugin.socket(frozen)).toEqual(socket);
    expect(JSON.parse(JSON.stringify(socket))).toEqual(socket);
  });
}

/** Declares the tests of one encapsulation. `test` are the functions of the runner: `{ describe, it, expect }` of vitest. */
export function encapTests(test: TestFunctions, plugin: EncapPlugin, vectors: EncapVectors): void {
  const { describe, it, expect } = test;
  describe(`encapsulation ${plugin.name}`, () => {
    it('has a name, needs and a range of identifiers that go together', () => expect(encapProblems(plugin)).toEqual([]));
    it('has a sound table of properties', () => expect(propertyProblems(plugin.properties)).toEqual([]));
    formatTests(test, plugin, vectors);
    vectorTests(test, plugin, vectors);
    socketTests(test, plugin, vectors.values);
  });
}
