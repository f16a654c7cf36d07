// The command that runs one mutant in one cell: the run's own, without what chose the others.

const TAKEN_OUT = {
  // option -> whether it has a value
  "--mutatenn": false,
  "--mutatenn-devices": true,
  "--mutatenn-opt-levels": true,
  "--mutatenn-operators": true,
  "--mutatenn-stages": true,
  "--mutatenn-mutants": true,
  "--mutatenn-sample": true,
  "--mutatenn-shard": true,
  "--mutatenn-order": true,
  "--mutatenn-positions": true,
  "--mutatenn-report": true,
  "--mutatenn-record": true,
  "--mutatenn-keep": true,
  "--mutatenn-keep-dir": true,
  "--mutatenn-fail-under": true,
  "--mutatenn-fail-on": true,
  "--mutatenn-max-survivors": true,
  "--mutatenn-baseline": true,
  "--mutatenn-update-baseline": false,
  "--mutatenn-list": false,
  "--mutatenn-differential": false,
  "--mutatenn-latency-repeats": true,
  "--mutatenn-latency-warmup": true,
  "--mutatenn-repeats": true,
  "--numprocesses": true,
  "--maxprocesses": true,
  "--dist": true,
  "--junitxml": true,
  "--junit-xml": true,
  "-n": true,
};

function quoted(word) {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function withoutChoice(argv) {
  const kept = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at];
    const [name] = word.split("=", 1);
    if (/^-n\S+$/.test(word)) continue;
    if (name in TAKEN_OUT) {
      if (TAKEN_OUT[name] && !word.includes("=")) at++;
      continue;
    }
    kept.push(word);
  }
  return kept;
}

// of several runs in one report that which had the cell's device, if their options say
function argvOf(run, device) {
  const all = run.runs?.length ? run.runs : [run];
  const named = (one) =>
    one.argv.some((word, at) => {
      const value = word.startsWith("--mutatenn-devices=")
        ? word.split("=").slice(1).join("=")
        : one.argv[at - 1] === "--mutatenn-devices" && word;
      return value && value.split(",").includes(device);
    });
  return (all.find(named) ?? all[0]).argv ?? [];
}

function commandOf(record, m, cell) {
  const found = record.cells.find((entry) => entry.id === cell);
  const device = found?.device ?? cell.replace(/-O[0-9]+$/, "");
  const level = found?.opt_level ?? cell.match(/-O([0-9]+)$/)?.[1];
  const words = ["python", "-m", "pytest", ...withoutChoice(argvOf(record.run, device))];
  words.push(`--mutatenn-mutants=${m.id}`, `--mutatenn-devices=${device}`);
  if (level !== undefined) words.push(`--mutatenn-opt-levels=${level}`);
  return words.map(quoted).join(" ");
}
