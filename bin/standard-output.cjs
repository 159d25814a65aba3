// Ends the program when nobody takes what it prints: silently where a reader has seen enough ("| head"), else with the reason.
exports.watchOutput = () => {
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`overlayadm: cannot write: ${error.message}\n`);
    process.exit(1);
  });
};
