// The nearest known word.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../../src/core/util/nearest.ts';

describe('nearest', () => {
  it.each([
    ['defalts', ['defaults'], 'defaults'],
    ['listen_prt', ['listen_ip', 'listen_port'], 'listen_port'],
    ['listen_ipp', ['listen_port', 'listen_ip'], 'listen_ip'],
    ['mut', ['mtu'], undefined],
    ['mtuu', ['datapath', 'mtu'], 'mtu'],
    ['abcdef', ['abcdxy'], 'abcdxy'],
    ['abcdef', ['abcxyz'], undefined],
    ['aaaa', ['aaab', 'aaac'], 'aaab'],
    ['', ['a'], undefined],
    ['a', [], undefined],
  ])('of %j among %j is %j', (word, candidates, meant) => {
    expect(nearest(word, candidates)).toBe(meant);
  });

  it('finds a word again after one wrong letter of at least three', () => {
    const words = ['listen_ip', 'mtu', 'datapath'];
    fc.assert(
      fc.property(fc.constantFrom(...words), fc.nat(), fc.constantFrom('', 'X'), (word, where, instead) => {
        const at = where % word.length;
        const typo = word.slice(0, at) + instead + word.slice(at + 1);
        // What is left has to be three letters long itself, for one to be a third of it.
        expect(nearest(typo, words)).toBe(typo.length < 3 ? undefined : word);
      }),
    );
  });

  it('does not take long for a long word', () => {
    const word = 'x'.repeat(200_000);
    expect(nearest(word, ['defaults', `${word}y`.slice(0, 20)])).toBeUndefined();
  });
});
