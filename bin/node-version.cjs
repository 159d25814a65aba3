// Ends the program with one line when Node.js is too old to run it: for who starts bin/*.js without the launcher.
var least = [22, 18];
var parts = process.versions.node.split('.').map(Number);
if (parts[0] < least[0] || (parts[0] === least[0] && parts[1] < least[1])) {
  console.error(`overlayadm: needs Node.js ${least.join('.')} or newer; this is ${process.version} at ${process.execPath}`);
  process.exit(1);
}
