// One copy of @overlayadm/api in a plugin host: plugins are given the host's own, so they install without a registry.
import { registerHooks } from 'node:module';

const API = '@overlayadm/api';

/** For every import that follows. Only the package itself: its other entries are not part of the contract. */
export function shareApi(): void {
  const url = import.meta.resolve(API);
  registerHooks({
    resolve: (specifier, context, next) => (specifier === API ? { url, format: 'module', shortCircuit: true } : next(specifier, context)),
  });
}
