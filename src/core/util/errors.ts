// The error class for folders that do not know the contracts of plugins.
export { messageOf, OverlayError } from '@overlayadm/api';
