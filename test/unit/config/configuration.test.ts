// The configuration directory: what a file may say, what is refused and how, and how the values reach an overlay.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OverlayError } from '@overlayadm/api';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Configuration, checkConfiguration, checkConfiguredNames, KEYS, loadConfiguration } from '../../../src/core/config/configuration.ts';
import { parseDefaults } from '../../../src/core/config/defaults.ts';
import { checkDescription } from '../../../src/core/property/description.ts';
import { propertyTable, resolveProperties } from '../../../src/core/property/table.ts';
import { MAX_CONFIGURATION_BYTES, MAX_NAME_CHARS, MAX_PATH_BYTES, MAX_PROPERTY_BYTES } from '../../../src/core/util/limits.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

let directory: string;
let yaml: string;
let json: string;

beforeEach(() => {
  directory = temporaryFolder();
  yaml = join(directory, 'config.yaml');
  json = join(directory, 'config.json');
});

const write = (path: string, contents: string | Uint8Array): void => writeFileSync(path, contents, { mode: 0o600 });
const load = (path: string, contents: string | Uint8Array): Promise<Configuration> => {
  write(path, contents);
  return loadConfiguration(directory);
};
const defaultsOf = async (path: string, contents: string): Promise<Record<string, string>> =>
  Object.fromEntries((await load(path, contents)).defaults);

async function refused(path: string, contents: string | Uint8Array): Promise<OverlayError> {
  const error: unknown = await load(path, contents).catch((thrown: unknown) => thrown);
  if (!(error instanceof OverlayError)) throw new Error('was not refused');
  expect(error.details.path).toBe(path);
  expect(error.advice).toBeTypeOf('string');
  return error;
}
/** The message of CONFIG_INVALID without the directory. */
async function whyInvalid(path: string, contents: string | Uint8Array): Promise<string> {
  const error = await refused(path, contents);
  expect(error.code).toBe('CONFIG_INVALID');
  return error.message.slice(directory.length + 1);
}

describe('a configuration', () => {
  it('has the example of overlayadm.conf(5)', async () => {
    const text = 'defaults:\n  vxlan/listen_ip: 192.0.2.1\n  files/config: /etc/overlayadm/map.json\n';
    const configuration = await load(yaml, text);
    expect(configuration.path).toBe(yaml);
    expect([...configuration.defaults]).toEqual([
      ['vxlan/listen_ip', '192.0.2.1'],
      ['files/config', '/etc/overlayadm/map.json'],
    ]);
  });

  it('may be JSON', async () => {
    const configuration = await load(json, '\ufeff{"defaults": {"vxlan/listen_port": 4789, "a1/b_2": true, "datapath": "tap"}}');
    expect(configuration.path).toBe(json);
    expect(Object.fromEntries(configuration.defaults)).toEqual({ 'vxlan/listen_port': '4789', 'a1/b_2': 'true', datapath: 'tap' });
  });

  it('is empty without a file, and without the directory', async () => {
    const empty = { path: undefined, defaults: new Map() };
    expect(await loadConfiguration(directory)).toEqual(empty);
    rmSync(directory, { recursive: true });
    expect(await loadConfiguration(directory)).toEqual(empty);
  });

  it.each(['', '\n', '# all\n  # commented out\n', '---\n', '{}', 'defaults:\n#  mtu: 1500\n', 'defaults: {}\n'])(
    'is empty when YAML says nothing: %j',
    async (text) => {
      expect(await load(yaml, text)).toEqual({ path: yaml, defaults: new Map() });
    },
  );

  it('is read anew each time', async () => {
    expect(await defaultsOf(yaml, 'defaults: {mtu: 1450}')).toEqual({ mtu: '1450' });
    expect(await defaultsOf(yaml, 'defaults: {mtu: 1451}')).toEqual({ mtu: '1451' });
  });

  it('is not looked for under other names, nor above', async () => {
    const below = join(directory, 'below');
    mkdirSync(below);
    const others = ['config.yml', 'config.js', 'config.ts', 'config', 'package.json', '.overlayadmrc', 'overlayadm.config.js'];
    for (const name of others) write(join(below, name), 'throw new Error("run")');
    write(yaml, 'defaults: {mtu: 1450}');
    expect((await loadConfiguration(below)).path).toBeUndefined();
  });

  it('is refused when there are two', async () => {
    write(json, '{}');
    const error = await refused(yaml, '');
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: `${yaml}: ${json} is there too` });
  });

  it('describes every key', () => {
    expect(Object.keys(KEYS)).toEqual(['defaults']);
    for (const key of Object.keys(KEYS)) expect(() => checkConfiguration('x', { [key]: {} })).not.toThrow();
  });
});

describe('a file that is no YAML or JSON', () => {
  it.each([
    ['config.yaml', 'a: [\n', 'config.yaml, line 2, column 1: deficient indentation'],
    ['config.yaml', 'defaults:\n  mtu: 1\n  mtu: 2\n', 'config.yaml, line 3, column 3: duplicated mapping key'],
    ['config.yaml', 'x: 1\n---\ny: 2\n', 'config.yaml: expected a single document in the stream, but found more'],
    ['config.yaml', 'a: !!js/function secret\n', 'config.yaml, line 1, column 4: unknown scalar tag'],
    ['config.yaml', 'a: *secret\n', 'config.yaml, line 1, column 5: unidentified alias'],
    ['config.yaml', 'defaults: {x/y: !sec:ret,z 1}', 'config.yaml, line 1, column 17: unknown scalar tag'],
    ['config.json', '{"defaults": {\n  "mtu": 1,\n}}', 'config.json, line 3, column 1: expected a key in double quotes'],
    ['config.json', '{"defaults": {\r\n "mtu": 1, "mtu": 2}}', 'config.json, line 2, column 12: this key is there twice'],
    ['config.json', '', 'config.json, line 1, column 1: expected a value'],
  ])('%s %j is named with line and column', async (name, text, message) => {
    const why = await whyInvalid(join(directory, name), text);
    expect(why).toBe(message);
    expect(why).not.toContain('secret');
  });

  it('has line and column in the details', async () => {
    expect((await refused(json, '{\n  x')).details).toMatchObject({ path: json, line: 2, column: 3 });
  });

  it('has to be UTF-8, and of bounded size', async () => {
    expect(await whyInvalid(yaml, Buffer.from([0x61, 0xff]))).toBe('config.yaml: is not UTF-8');
    expect(await load(yaml, `#${'x'.repeat(MAX_CONFIGURATION_BYTES - 1)}`)).toMatchObject({ path: yaml });
    expect(await whyInvalid(yaml, `#${'x'.repeat(MAX_CONFIGURATION_BYTES)}`)).toBe(`config.yaml: has more than ${MAX_CONFIGURATION_BYTES} bytes`);
  });
});

describe('keys', () => {
  it.each([
    ['defalts: {mtu: 1}', 'config.yaml: defalts: unknown key; did you mean defaults?'],
    ['something: {}', 'config.yaml: something: unknown key'],
    ['$import: /etc/shadow', 'config.yaml: $import: unknown key'],
    ['__proto__: {defaults: {mtu: 1}}', 'config.yaml: __proto__: unknown key'],
    ['"a b\\n": 1', 'config.yaml: "a b\\n": unknown key'],
    ['[defaults]', 'config.yaml: is not a map of names to values'],
    ['defaults', 'config.yaml: is not a map of names to values'],
    ['defaults: [mtu]', 'config.yaml: defaults: is not a map of names to values'],
    ['defaults: 5', 'config.yaml: defaults: is not a map of names to values'],
  ])('%j: %s', async (text, message) => {
    expect(await whyInvalid(yaml, text)).toBe(message);
  });

  it('are listed in the advice', async () => {
    expect((await refused(yaml, 'x: 1')).advice).toBe('Known are: defaults.');
  });
});

describe('names of defaults', () => {
  it.each([
    ['encap', 'encap: cannot have a default (create-overlay takes it from -e alone)'],
    ['search', 'search: cannot have a default (create-overlay takes it from -s alone)'],
    ['vnetid', 'vnetid: cannot have a default (create-overlay takes it from -v alone)'],
    ['varpd/id', 'varpd/id: cannot have a default (read-only property)'],
    ['datapth', 'datapth: no such property; did you mean datapath?'],
    ['listen_ip', 'listen_ip: no such property'],
    ['vxlan/', 'vxlan/: no such property'],
    ['/listen_ip', '/listen_ip: no such property'],
    ['Vxlan/listen_ip', 'Vxlan/listen_ip: no such property'],
    ['a/b/c', 'a/b/c: no such property'],
    ['__proto__', '__proto__: no such property'],
    ['constructor', 'constructor: no such property'],
    ['<<', '<<: no such property'],
    ['vxlan/a b', '"vxlan/a b": no such property'],
  ])('%s is refused', async (name, message) => {
    expect(await whyInvalid(json, JSON.stringify({ defaults: JSON.parse(`{${JSON.stringify(name)}: 1}`) }))).toBe(`config.json: ${message}`);
    expect((await refused(json, `{"defaults": {${JSON.stringify(name)}: 1}}`)).details.key).toBeTypeOf('string');
  });

  it('are those that a plugin may give its properties', () => {
    const description = { type: 'string', access: 'rw', required: false, summary: '', live: false, hasRefuse: false };
    const name = fc.oneof(fc.string(), fc.stringMatching(/^[a-z_0-9]{1,34}$/), fc.constant('a'.repeat(MAX_NAME_CHARS + 1)));
    fc.assert(
      fc.property(name, (property) => {
        const isTaken = checkDescription({ ...description, name: property }) === undefined;
        const parse = (): unknown => parseDefaults('x', { [`plugin/${property}`]: 'v' });
        if (isTaken) expect(parse()).toEqual(new Map([[`plugin/${property}`, 'v']]));
        else expect(parse).toThrow(OverlayError);
      }),
    );
  });
});

describe('values of defaults', () => {
  // YAML 1.2 (core schema), unlike 1.1: words are words, times and dates are text, a leading zero is decimal.
  it.each([
    ['no', 'no'],
    ['off', 'off'],
    ['True', 'true'],
    ['"no"', 'no'],
    ['4789', '4789'],
    ['"4789"', '4789'],
    ['0x10', '16'],
    ['"0x10"', '0x10'],
    ['0o10', '8'],
    ['010', '10'],
    ['1_000', '1_000'],
    ['1e3', '1000'],
    ['1.5', '1.5'],
    ['-0', '0'],
    ['2026-11-20', '2026-11-20'],
    ['12:30:45', '12:30:45'],
    ['2:8:20:0:0:1', '2:8:20:0:0:1'],
    ['2001:db8::1', '2001:db8::1'],
    ['"::"', '::'],
    ['/etc/map.json # a comment', '/etc/map.json'],
    ['/a b c', '/a b c'],
  ])('YAML %s is %s', async (text, value) => {
    expect(await defaultsOf(yaml, `defaults:\n  p/x: ${text}\n`)).toEqual({ 'p/x': value });
  });

  it.each([
    ['', 'has no value'],
    ['~', 'has no value'],
    ['""', 'has no value'],
    ['[1]', 'is a list, but has to be a string, number or boolean'],
    ['{a: 1}', 'is a map, but has to be a string, number or boolean'],
    ['12345678901234567890', 'is no number that can be kept exactly'],
    ['.nan', 'is no number that can be kept exactly'],
    ['.inf', 'is no number that can be kept exactly'],
    ['a,b', 'has , or = in it, which no value of a property can have'],
    ['a=b', 'has , or = in it, which no value of a property can have'],
    ['"a\\nb"', 'is not one line of text'],
    ['"a\\rb"', 'is not one line of text'],
    ['"a\\0b"', 'is not one line of text'],
    ['"\\ud800"', 'is not one line of text'],
  ])('YAML %s is refused', async (text, reason) => {
    expect(await whyInvalid(yaml, `defaults:\n  p/x: ${text}\n`)).toBe(`config.yaml: p/x: ${reason}`);
  });

  it('says what to do about an IPv6 address that YAML takes for something else', async () => {
    expect((await refused(yaml, 'defaults:\n  vxlan/listen_ip: ::\n')).advice).toContain('needs quotes');
  });

  it.each([
    ['text', 'x'.repeat(MAX_PROPERTY_BYTES + 1), MAX_PROPERTY_BYTES],
    ['text of two bytes a letter', 'é'.repeat(MAX_PROPERTY_BYTES / 2 + 1), MAX_PROPERTY_BYTES],
    ['path', `/${'x'.repeat(MAX_PATH_BYTES)}`, MAX_PATH_BYTES],
  ])('may not be longer than a property: %s', async (_, text, max) => {
    expect(await whyInvalid(yaml, `defaults: {p/x: ${text}}`)).toBe(`config.yaml: p/x: has more than ${max} bytes`);
  });

  it('may be as long as a property', async () => {
    const path = `/${'x'.repeat(MAX_PATH_BYTES - 1)}`;
    const text = 'x'.repeat(MAX_PROPERTY_BYTES);
    expect(await defaultsOf(yaml, `defaults: {p/x: ${path}, p/y: ${text}}`)).toEqual({ 'p/x': path, 'p/y': text });
  });
});

describe('a hostile file', () => {
  const levels = (last: string): string => {
    const lines = Array.from({ length: 30 }, (_, level) => `  p/a${level + 1}: &a${level + 1} [${Array(10).fill(`*a${level}`).join(', ')}]`);
    return `defaults:\n  p/a0: &a0 ${last}\n${lines.join('\n')}\n`;
  };

  it('that repeats aliases of aliases is refused without expanding them', async () => {
    expect(await whyInvalid(yaml, levels('lol'))).toBe('config.yaml: p/a1: is a list, but has to be a string, number or boolean');
    expect(await whyInvalid(yaml, 'defaults: &a {p/x: *a}')).toContain('config.yaml');
  });

  it('may use an alias of a value', async () => {
    expect(await defaultsOf(yaml, 'defaults: {p/x: &x 192.0.2.1, p/y: *x}')).toEqual({ 'p/x': '192.0.2.1', 'p/y': '192.0.2.1' });
  });

  it('that nests deeply is refused', async () => {
    expect(await whyInvalid(yaml, `defaults: ${'['.repeat(200_000)}`)).toContain('nesting');
    rmSync(yaml);
    expect(await whyInvalid(json, `{"defaults": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`)).toContain('is not a map');
  });

  it('changes no prototype', async () => {
    await refused(json, '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}');
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('is a configuration or an OverlayError, whatever its bytes are', async () => {
    const piece = fc.constantFrom(
      'defaults',
      ':',
      ' ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '&a',
      '*a',
      '!!',
      '---',
      '#',
      '"',
      "'",
      'mtu',
      'p/x',
      '|',
      '?',
      '-',
      '1',
      'null',
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
      fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.from(pieces.join(''))),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(yaml, json), bytes, async (path, contents) => {
        try {
          const { defaults } = await load(path, contents);
          for (const text of defaults.values()) expect(text).not.toBe('');
        } catch (error) {
          if (!(error instanceof OverlayError)) throw error;
          expect(error.code).toBe('CONFIG_INVALID');
          expect(error.message).not.toContain('\n');
        } finally {
          rmSync(path);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is any data or an OverlayError, once it was parsed', () => {
    const value = fc.oneof(fc.anything(), fc.record({ defaults: fc.oneof(fc.anything(), fc.dictionary(fc.string(), fc.anything())) }));
    fc.assert(
      fc.property(value, (data) => {
        try {
          checkConfiguration('x', data);
        } catch (error) {
          if (!(error instanceof OverlayError)) throw error;
        }
      }),
    );
  });
});

describe('configured names of plugins', () => {
  const known = [
    { prefix: 'vxlan', names: ['listen_ip', 'listen_port'] },
    { prefix: 'files', names: ['config'] },
  ];
  const check = (...names: string[]): string | undefined => checkConfiguredNames(new Map(names.map((name) => [name, 'x'])), known, '/c')?.message;

  it.each([
    [['vxlan/listen_ip', 'files/config', 'mtu'], undefined],
    [['other/anything', 'mtu'], undefined],
    [['vxlan/listen_prt'], '/c: vxlan/listen_prt: no such property; did you mean vxlan/listen_port?'],
    [['mtu', 'files/kaputt'], '/c: files/kaputt: no such property'],
    [['files/listen_ip'], '/c: files/listen_ip: no such property'],
  ])('%j: %s', (names, message) => {
    expect(check(...names)).toBe(message);
  });

  it('come with the known ones', () => {
    const error = checkConfiguredNames(new Map([['vxlan/x', '1']]), known);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', advice: 'Known are: vxlan/listen_ip, vxlan/listen_port.' });
  });
});

describe('an overlay', () => {
  const COMMON = { access: 'rw', required: true, summary: 'a test', live: false, hasRefuse: false } as const;
  const listenIp = { ...COMMON, name: 'listen_ip', type: 'ip' } as const;
  const listenPort = { ...COMMON, name: 'listen_port', type: 'uint', default: 4789 } as const;
  const table = propertyTable(
    { name: 'vxlan', needs: ['ip', 'port'], properties: [listenIp, listenPort] },
    { name: 'files', properties: [{ ...COMMON, name: 'config', type: 'path' }] },
  );

  it('takes what -p does not give', async () => {
    const text =
      'defaults: {vxlan/listen_ip: 192.0.2.1, vxlan/listen_port: 0x1000, files/config: /etc/map.json, mtu: 1450, direct/dest_ip: 192.0.2.9}';
    const { defaults } = await load(yaml, text);
    const resolved = resolveProperties(table, [{ name: 'mtu', text: '1460' }], defaults);
    expect(resolved.filter(({ from }) => from !== 'nothing').map(({ fullName, value, from }) => [fullName, value, from])).toEqual([
      ['mtu', 1460, 'argument'],
      ['datapath', 'auto', 'default'],
      ['vxlan/listen_ip', '192.0.2.1', 'configuration'],
      ['vxlan/listen_port', 4096, 'configuration'],
      ['files/config', '/etc/map.json', 'configuration'],
    ]);
  });

  it('refuses a configured value that does not fit', async () => {
    const { defaults } = await load(yaml, 'defaults: {vxlan/listen_ip: nonsense, files/config: /etc/map.json}');
    const resolve = (): unknown => resolveProperties(table, [], defaults);
    expect(resolve).toThrow(expect.objectContaining({ code: 'PROPERTY_INVALID', details: expect.objectContaining({ source: 'configuration' }) }));
  });
});
