// Where a VNIC stands, as a state machine: what is known of its link, what is seen of it now, and what follows.
import type { VnicRecord } from './record.ts';

/** What tells a network namespace from others (KernelNetwork.namespaceId()); overlayd's own, which cannot go, has this one. */
export const OWN_NAMESPACE = 'own';

export type Standing =
  /** Nothing is known yet: overlayd has just come up, or somebody asks for it. */
  | { readonly kind: 'new' }
  | { readonly kind: 'there'; readonly namespace: string }
  /** Its namespace does not exist. */
  | { readonly kind: 'waiting' }
  /** Gone, while its namespace is the one it was in: nobody but a person does that, and it is not made again by itself. */
  | { readonly kind: 'deleted'; readonly namespace: string }
  /** Another link has its name. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Seen {
  /** Undefined: it does not exist. */
  readonly namespace: string | undefined;
  /** What stands there under the name of the VNIC. */
  readonly link: 'own' | 'foreign' | 'none';
}

export interface Step {
  readonly standing: Standing;
  /** It is to be made now. */
  readonly make: boolean;
}

const isIn = (standing: Standing, namespace: string): boolean =>
  (standing.kind === 'there' || standing.kind === 'deleted') && standing.namespace === namespace;

export function step(standing: Standing, { namespace, link }: Seen): Step {
  if (namespace === undefined) return { standing: { kind: 'waiting' }, make: false };
  if (link === 'own') return { standing: { kind: 'there', namespace }, make: false };
  if (link === 'foreign') return { standing: { kind: 'foreign' }, make: false };
  if (isIn(standing, namespace)) return { standing: { kind: 'deleted', namespace }, make: false };
  const isAgain = standing.kind === 'there' || standing.kind === 'deleted';
  return { standing: isAgain ? { kind: 'waiting' } : standing, make: true };
}

/** Can anything happen to it that nobody tells us? */
export const needsWatch = (standing: Standing, { netns }: Pick<VnicRecord, 'netns'>): boolean =>
  netns !== null || (standing.kind !== 'there' && standing.kind !== 'deleted');

/** In the words of show-vnic; undefined when it is there. */
export function absence(standing: Standing, { netns }: Pick<VnicRecord, 'netns'>): string | undefined {
  switch (standing.kind) {
    case 'there':
      return undefined;
    case 'new':
      return 'waiting for its overlay';
    case 'waiting':
      return `waiting for namespace ${netns}`;
    case 'deleted':
      return 'deleted by somebody';
    case 'foreign':
      return 'name in use by a foreign link';
    case 'failed':
      return standing.reason;
  }
}
