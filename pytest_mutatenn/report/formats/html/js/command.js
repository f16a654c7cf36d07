// The command that runs one mutant in one cell.

function quoted(word) {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function commandOf(alone, m, cell) {
  const words = alone[cell].map((word) => (word === "--mutatenn-mutants=" ? word + m.id : word));
  return words.map(quoted).join(" ");
}
