// Sets what oclif reads from the environment, some of it when it is loaded.
// We checked the version ourselves; and plugins are kept in one place for everybody, not per user as oclif would.
process.env.OCLIF_DISABLE_ENGINE_WARNING = '1';
// Node.js would complain of the two together, which oclif makes it look at.
if (process.env.NO_COLOR) delete process.env.FORCE_COLOR;
process.env.OVERLAYADM_DATA_DIR ||= '/var/lib/overlayadm/plugins';
