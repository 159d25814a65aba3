// Why an overlay cannot be made, found, brought up or deleted: the words, and what to do.
import { OverlayError } from '@overlayadm/api';

/** What may be under way with a name. */
export type UnderWay = 'created' | 'brought up' | 'deleted' | 'given another data path';

export const shuttingDown = (): OverlayError => new OverlayError('SHUTTING_DOWN', 'overlayd is stopping', { advice: 'Try again in a moment.' });

export const onlySaved = (name: string): OverlayError =>
  new OverlayError('OVERLAY_DOWN', `${name}: saved, but not up`, {
    details: { overlay: name },
    advice: `"overlayadm up-overlay ${name}" brings it up, "overlayadm delete-overlay ${name}" removes what is saved.`,
  });

export const notThere = (name: string, reason: string): OverlayError =>
  new OverlayError('OVERLAY_DOWN', `${name}: is not there (${reason})`, { details: { overlay: name, reason } });

/** `isOther`: there is something of this name, but no overlay. */
export const notFound = (name: string, isOther: boolean): OverlayError =>
  new OverlayError('OVERLAY_NOT_FOUND', isOther ? `${name} is not an overlay` : `${name}: object not found`, {
    details: { overlay: name },
    advice: '"overlayadm show-overlay" shows the overlays there are.',
  });

/** `isDown`: it has a record, and is not there. */
export const taken = (name: string, isDown: boolean): OverlayError =>
  new OverlayError('OVERLAY_EXISTS', `overlay creation failed (name): ${name}: object already exists${isDown ? ', but is not up' : ''}`, {
    details: { overlay: name, step: 'name' },
    advice: isDown
      ? `Bring it up with "overlayadm up-overlay ${name}", or delete it with "overlayadm delete-overlay ${name}".`
      : `Choose another name, or delete it with "overlayadm delete-overlay ${name}".`,
  });

export const underWay = (name: string, what: UnderWay): OverlayError =>
  new OverlayError('OVERLAY_BUSY', `${name}: link busy (it is being ${what})`, { details: { overlay: name }, advice: 'Try again in a moment.' });

/** `links`: what stands on it; `first`: what to delete first. */
export const busy = (name: string, links: readonly string[], first: string): OverlayError =>
  new OverlayError('OVERLAY_BUSY', `failed to delete ${name}: link busy (${links.join(', ')})`, {
    details: { overlay: name, links },
    advice: `Delete first what stands on it: "overlayadm delete-vnic ${first}".`,
  });

export const unreadable = (name: string, problem: string): OverlayError =>
  new OverlayError('STATE_UNREADABLE', `${name}: ${problem}`, {
    details: { overlay: name },
    advice: `Mend the file, or delete it with "overlayadm delete-overlay ${name}".`,
  });

export const nothingSaved = (name: string): OverlayError =>
  new OverlayError('OVERLAY_NOT_FOUND', `${name}: is temporary, nothing is saved of it`, { details: { overlay: name } });
