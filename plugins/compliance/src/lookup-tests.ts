// The tests that every lookup plugin has to pass.
import { type DynamicInstance, OverlayError, type PointInstance } from '@overlayadm/api';
import { destinationFor, destinationProblems } from './destination-problems.ts';
import { PROVIDER_NAME } from './format-problems.ts';
import { ALL_NEEDS, type ExpectedAnswers, type LookupSetup, makeRig, type Needs, type Rig, requestFor, sameNeeds } from './lookup-setup.ts';
import { propertyProblems } from './property-problems.ts';
import { inTime, settled, type TestFunctions, turns } from './testing.ts';

type Run = (rig: Rig) => Promise<void>;
const never = (): AbortSignal => new AbortController().signal;
const pathProperties = ({ plugin }: LookupSetup): string[] => plugin.properties.filter(({ type }) => type === 'path').map(({ name }) => name);

/** Starts an instance, runs the test, and stops the instance whatever the test did. */
async function started(setup: LookupSetup, needs: Needs, run: Run): Promise<void> {
  const rig = makeRig(setup, needs);
  try {
    await inTime(rig.instance.start(never()), 'start()');
    await run(rig);
  } finally {
    await inTime(rig.instance.stop(), 'stop()');
  }
}

/** Everything that could make a forgotten timer or iteration call the host. */
async function disturb({ host }: Rig, setup: LookupSetup): Promise<void> {
  for (const property of pathProperties(setup)) {
    await host.write(property, '{ this is no file of any format');
    await host.fail(property, new Error('the file is gone'));
  }
  await host.advance(3_600_000);
  await turns();
}

function tableTests({ it, expect }: TestFunctions, { plugin }: LookupSetup): void {
  it('has a name and a sound table of properties', () => {
    expect(plugin.kind).toBe('lookup');
    expect(PROVIDER_NAME.test(plugin.name)).toBe(true);
    expect(propertyProblems(plugin.properties)).toEqual([]);
  });
}

function needsTests({ it, expect }: TestFunctions, setup: LookupSetup): void {
  for (const needs of ALL_NEEDS) {
    const served = setup.serves.some((other) => sameNeeds(other, needs));
    it(`${served ? 'serves' : 'refuses'} an encapsulation that needs ${needs.join(' and ') || 'nothing'}`, () => {
      let error: unknown;
      try {
        const { host, instance } = makeRig(setup, needs);
        expect(instance.mode).toBe(setup.answers.mode);
        expect(host.calls, 'create() asks nothing of the host').toEqual([]);
      } catch (thrown) {
        error = thrown;
      }
      if (served) expect(error).toBe(undefined);
      else expect(OverlayError.is(error) ? error.code : error).toBe('LOOKUP_CANNOT_SERVE');
    });
  }
}

function lifeTests({ it, expect }: TestFunctions, setup: LookupSetup, needs: Needs): void {
  it('starts, asks only for files of its own properties, and stops', async () => {
    await started(setup, needs, async ({ host }) => {
      const asked = host.calls.flatMap((call) => (call.call === 'file' ? [call.property] : []));
      expect(asked.filter((property) => !pathProperties(setup).includes(property))).toEqual([]);
      expect(host.calls.filter(({ call }) => call === 'degrade')).toEqual([]);
    });
  });
  it('asks nothing of the host after stop()', async () => {
    const rig = makeRig(setup, needs);
    await inTime(rig.instance.start(never()), 'start()');
    expect((await settled(rig.instance.stop())).kind).toBe('value');
    const before = rig.host.calls.length;
    await disturb(rig, setup);
    expect(rig.host.calls.slice(before)).toEqual([]);
  });
  it('ends start() when it is aborted, though the host never answers, and stops', async () => {
    const rig = makeRig(setup, needs, { files: {} });
    const abort = new AbortController();
    const starting = rig.instance.start(abort.signal);
    abort.abort();
    const end = await settled(starting);
    expect(end.kind === 'error' ? end.error instanceof Error : end.kind === 'value').toBe(true);
    expect((await settled(rig.instance.stop())).kind).toBe('value');
    const before = rig.host.calls.length;
    await disturb(rig, setup);
    expect(rig.host.calls.slice(before)).toEqual([]);
  });
  it('can be stopped while it starts', async () => {
    const { instance } = makeRig(setup, needs, { files: {} });
    const abort = new AbortController();
    const starting = settled(instance.start(abort.signal));
    await turns();
    abort.abort();
    expect((await settled(instance.stop())).kind).toBe('value');
    expect((await starting).kind === 'pending').toBe(false);
  });
}

function badStartTests({ it, expect }: TestFunctions, setup: LookupSetup, needs: Needs): void {
  for (const bad of setup.badStarts) {
    it(`refuses to start: ${bad.name}`, async () => {
      const rig = makeRig(setup, bad.needs ?? needs, bad);
      const end = await settled(rig.instance.start(never()));
      const error = end.kind === 'error' ? end.error : undefined;
      expect(error instanceof Error, 'start() rejects with an Error').toBe(true);
      expect(error instanceof Error && /^\S[^\n]*\S$/.test(error.message), 'its message is one line').toBe(true);
      expect((await settled(rig.instance.stop())).kind).toBe('value');
      const before = rig.host.calls.length;
      await disturb(rig, setup);
      expect(rig.host.calls.slice(before)).toEqual([]);
    });
  }
}

function asDynamic(instance: PointInstance | DynamicInstance): DynamicInstance {
  if (instance.mode !== 'dynamic') throw new TypeError(`a dynamic instance was expected, not ${instance.mode}`);
  return instance;
}

function pointTests({ it, expect }: TestFunctions, setup: LookupSetup, needs: Needs, answers: ExpectedAnswers & { mode: 'point' }): void {
  it('names one destination with exactly the needed fields, the same each time', async () => {
    await started(setup, needs, async ({ instance }) => {
      if (instance.mode !== 'point') throw new TypeError('a point was expected');
      const destination = instance.destination();
      expect(destination).toEqual(destinationFor(answers.destination, needs));
      expect(destinationProblems(destination, needs, 'point')).toEqual([]);
      expect(instance.destination()).toEqual(destination);
    });
  });
  it('answers no questions', () => {
    const { instance } = makeRig(setup, needs);
    expect(['lookup', 'resolve', 'dhcpServer', 'group'].filter((member) => member in instance)).toEqual([]);
  });
}

type Dynamic = ExpectedAnswers & { mode: 'dynamic' };

function lookupAnswerTests({ it, expect }: TestFunctions, setup: LookupSetup, needs: Needs, answers: Dynamic): void {
  it('finds destinations with exactly the needed fields, many at a time', async () => {
    await started(setup, needs, async ({ instance }) => {
      const dynamic = asDynamic(instance);
      const questions = Array.from({ length: 50 }, () => answers.found).flat();
      const replies = await Promise.all(questions.map(({ to }) => dynamic.lookup(requestFor(to), never())));
      for (const [index, { destination }] of questions.entries()) {
        expect(replies[index]).toEqual({ kind: 'found', destination: destinationFor(destination, needs) });
      }
      const problems = replies.flatMap((reply) => (reply.kind === 'found' ? destinationProblems(reply.destination, needs, 'dynamic') : []));
      expect(problems).toEqual([]);
    });
  });
  it('drops what it does not know, with a reason', async () => {
    await started(setup, needs, async ({ instance }) => {
      for (const to of answers.dropped) {
        const reply = await asDynamic(instance).lookup(requestFor(to), never());
        expect(reply.kind).toBe('drop');
        expect(reply.kind === 'drop' && /^[a-z][a-z0-9]*\.[a-z0-9-]+$/.test(reply.reason), 'reason as area.words').toBe(true);
      }
    });
  });
  it('settles a lookup that is aborted, before or after the question', async () => {
    await started(setup, needs, async ({ instance }) => {
      const dynamic = asDynamic(instance);
      for (const to of [...answers.found.map((row) => row.to), ...answers.dropped]) {
        expect((await settled(dynamic.lookup(requestFor(to), AbortSignal.abort()))).kind === 'pending').toBe(false);
        const abort = new AbortController();
        const reply = dynamic.lookup(requestFor(to), abort.signal);
        abort.abort();
        expect((await settled(reply)).kind === 'pending').toBe(false);
      }
    });
  });
}

function proxyTests({ it, expect }: TestFunctions, setup: LookupSetup, needs: Needs, answers: Dynamic): void {
  it('has the members it is tested for, and none of a point', () => {
    const dynamic = asDynamic(makeRig(setup, needs).instance);
    expect([typeof dynamic.lookup, dynamic.resolve !== undefined, dynamic.dhcpServer !== undefined]).toEqual([
      'function',
      answers.resolved !== undefined,
      answers.dhcp !== undefined,
    ]);
    expect('destination' in dynamic).toBe(false);
    expect(dynamic.group === undefined || dynamic.group === true).toBe(true);
  });
  it('resolves addresses', async () => {
    await started(setup, needs, async ({ instance }) => {
      for (const { ip, mac } of answers.resolved ?? []) {
        const reply = await asDynamic(instance).resolve?.(ip, never());
        expect(reply?.mac, ip).toBe(mac);
        if (reply?.destination !== undefined) expect(destinationProblems(reply.destination, needs, 'dynamic')).toEqual([]);
      }
    });
  });
  it('names DHCP servers', async () => {
    await started(setup, needs, async ({ instance }) => {
      for (const { client, server } of answers.dhcp ?? []) {
        expect(await asDynamic(instance).dhcpServer?.(client, never()), client).toBe(server);
      }
    });
  });
}

/** Declares the tests of one lookup plugin. `test` are the functions of the runner: `{ describe, it, expect }` of vitest. */
export function lookupTests(test: TestFunctions, setup: LookupSetup): void {
  const { answers } = setup;
  test.describe(`lookup ${setup.plugin.name}`, () => {
    tableTests(test, setup);
    needsTests(test, setup);
    for (const needs of setup.serves) {
      test.describe(`for an encapsulation that needs ${needs.join(' and ')}`, () => {
        lifeTests(test, setup, needs);
        if (answers.mode === 'point') return pointTests(test, setup, needs, answers);
        lookupAnswerTests(test, setup, needs, answers);
        proxyTests(test, setup, needs, answers);
      });
    }
    if (setup.badStarts.length > 0) test.describe('bad starts', () => badStartTests(test, setup, setup.serves[0] ?? ['ip']));
  });
}
