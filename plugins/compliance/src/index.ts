// @overlayadm/compliance: the tests every plugin has to pass, a host to test it with, and an encapsulation that is not VXLAN.
export { destinationFor, destinationProblems } from './destination-problems.ts';
export { type EncapVectors, encapTests } from './encap-tests.ts';
export { type FakeHost, type FakeHostOptions, fakeHost, type HostCall } from './fake-host.ts';
export { encapProblems, formatProblems } from './format-problems.ts';
export { ipshim } from './ipshim.ts';
export { type ExpectedAnswers, type LookupSetup, type Needs, requestFor } from './lookup-setup.ts';
export { lookupTests } from './lookup-tests.ts';
export { propertyProblems } from './property-problems.ts';
export { type ReferenceReading, readField, referenceHeader, referenceRead, writeField } from './reference-codec.ts';
export type { Expectation, TestFunctions } from './testing.ts';
