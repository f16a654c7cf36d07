// What the views ask about the mutants, worked out once.

function indexed({ record, titles, worst, alone, together }) {
  const ranks = new Map(); // model, layer -> place in the network
  const names = new Map();
  for (const model of record.models) {
    Object.entries(model.layers ?? {}).forEach(([layer, title], at) => {
      ranks.set(`${model.id}\n${layer}`, at);
      names.set(`${model.id}\n${layer}`, title);
    });
  }
  const rankOf = (model, layer) => ranks.get(`${model}\n${layer}`) ?? Infinity;
  const titleOf = (model, layer) => names.get(`${model}\n${layer}`) ?? layer;

  const rows = record.mutants.map((m, at) => {
    const cells = Object.entries(m.cells);
    const verdicts = new Set(cells.map(([, there]) => there.verdict));
    return {
      at,
      m,
      cells,
      verdicts,
      survived: cells.filter(([, there]) => there.verdict === "SURVIVED").length,
      detected: cells.filter(([, there]) => isDetected(there.verdict)).length,
      rank: Math.min(Infinity, ...m.layers.map((layer) => rankOf(m.model, layer))),
      text: null,
    };
  });
  const of = new Map(rows.map((row) => [`${row.m.model}\n${row.m.id}`, row]));

  const summaries = new Map((record.operators ?? []).map(({ id, summary }) => [id, summary]));
  const places = new Map(record.sources.map(({ id }, at) => [id, at]));
  const source = memory((id) => {
    const at = places.get(id);
    if (at === undefined) return null;
    return { ...record.sources[at], text: read(document.querySelectorAll("script.text")[at]) };
  });
  const chunk = memory((at) => read(document.querySelectorAll("script.details")[at]));
  const divergent = new Map(record.divergent.map((e) => [`${e.model}\n${e.mutant}`, e]));
  return {
    record,
    titles,
    worst,
    alone,
    rows,
    rankOf,
    titleOf,
    row: (model, id) => of.get(`${model}\n${id}`) ?? null,
    // what only the view of one mutant shows: in its cells, and between them
    details: memory((row) => chunk(Math.floor(row.at / together))[row.at % together]),
    divergence: (m) => divergent.get(`${m.model}\n${m.id}`) ?? null,
    model: (id) => record.models.find((model) => model.id === id) ?? null,
    says: (operator) => summaries.get(operator) ?? "",
    // the texts that a change is of, each with its edits
    parts: (change) =>
      (change ? [change, ...(change.others ?? [])] : [])
        .map((part) => ({ source: source(part.source), edits: part.edits }))
        .filter((part) => part.source),
    several: record.models.length > 1,
    // cells in which mutants ran, or were to
    cells: [...new Set(rows.flatMap((row) => row.cells.map(([cell]) => cell)))].sort(),
  };
}

function memory(make) {
  const known = new Map();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key);
  };
}

// all that is looked through for a text, in small letters
function textOf(row) {
  if (row.text === null) {
    const { m } = row;
    const lines = row.cells.flatMap(([, there]) => [there.before, there.after]);
    const tests = row.cells.flatMap(([, there]) => [...there.killed_by, ...there.survived]);
    const said = [m.id, m.model, m.layer, m.weight, m.before, m.after, m.category];
    row.text = [...new Set([...said, ...lines, ...tests])].join("\n").toLowerCase();
  }
  return row.text;
}

// verdicts counted: how many detected, how many survived, and divergent mutants
function tallied(rows, cell) {
  const found = { detected: 0, survived: 0, divergent: 0, score: null, low: null, high: null };
  for (const row of rows) {
    if (!cell) {
      found.detected += row.detected;
      found.survived += row.survived;
      if (row.m.divergent) found.divergent++;
      continue;
    }
    const there = row.m.cells[cell];
    if (!there) continue;
    if (there.verdict === "SURVIVED") found.survived++;
    else if (isDetected(there.verdict)) found.detected++;
    if (row.m.divergent && verdictOf(there.alone).scored) found.divergent++;
  }
  const all = found.detected + found.survived;
  if (all) found.score = (100 * found.detected) / all;
  return found;
}

function grouped(rows, key) {
  const found = new Map();
  for (const row of rows) {
    for (const name of [key(row)].flat()) {
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(row);
    }
  }
  return found;
}
