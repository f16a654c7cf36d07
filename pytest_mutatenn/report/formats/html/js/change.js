// A change, from a source and its edits: the lines before and after, side by side.

// places in a line are counted in characters; JavaScript counts some characters twice
function offset(line, column) {
  if (!/[\ud800-\udbff]/.test(line)) return column - 1;
  return [...line].slice(0, column - 1).join("").length;
}

// the hunks of a change: each has the lines before and after, and in them what changed
function hunksOf(text, edits) {
  const lines = text.split("\n");
  const line = (number) => lines[number - 1] ?? "";
  const hunks = [];
  for (const [fromLine, fromColumn, toLine, toColumn, replacement] of edits) {
    const edit = {
      from: [fromLine, offset(line(fromLine), fromColumn)],
      to: [toLine, offset(line(toLine), toColumn)],
      replacement,
    };
    const last = hunks[hunks.length - 1];
    if (last && fromLine <= last.end) {
      last.edits.push(edit);
      last.end = Math.max(last.end, toLine);
    } else hunks.push({ start: fromLine, end: toLine, edits: [edit] });
  }
  return { lines, hunks: hunks.map((hunk) => changed(hunk, lines)) };
}

function changed({ start, end, edits }, lines) {
  const before = lines.slice(start - 1, end).map((text) => ({ text, marked: [] }));
  const after = [{ text: "", marked: [] }];
  const write = (text, marked) => {
    text.split("\n").forEach((piece, at) => {
      if (at) after.push({ text: "", marked: [] });
      const last = after[after.length - 1];
      if (marked && piece) last.marked.push([last.text.length, last.text.length + piece.length]);
      last.text += piece;
    });
  };
  let at = [start, 0];
  const upTo = ([line, column]) => {
    for (; at[0] < line; at = [at[0] + 1, 0]) write(`${lines[at[0] - 1].slice(at[1])}\n`, false);
    write((lines[line - 1] ?? "").slice(at[1], column), false);
    at = [line, column];
  };
  for (const { from, to, replacement } of edits) {
    upTo(from);
    for (let number = from[0]; number <= Math.min(to[0], end); number++) {
      const a = number === from[0] ? from[1] : 0;
      const b = number === to[0] ? to[1] : (before[number - start]?.text.length ?? 0);
      if (b > a) before[number - start]?.marked.push([a, b]);
    }
    write(replacement, true);
    at = to;
  }
  upTo([end, (lines[end - 1] ?? "").length]);
  return trimmed({ start, before, after });
}

// lines at either end that are the same are no part of the change
function trimmed({ start, before, after }) {
  let top = 0;
  const same = (a, b) => a !== undefined && b !== undefined && a.text === b.text;
  while (top < before.length && top < after.length && same(before[top], after[top])) top++;
  let bottom = 0;
  while (
    bottom < before.length - top &&
    bottom < after.length - top &&
    same(before[before.length - 1 - bottom], after[after.length - 1 - bottom])
  )
    bottom++;
  return {
    start: start + top,
    before: before.slice(top, before.length - bottom),
    after: after.slice(top, after.length - bottom),
  };
}

// rows of the whole text: what is the same on both sides, and the hunks
function rowsOf(text, edits, language) {
  const { lines, hunks } = hunksOf(text, edits);
  const colours = highlighted(text, language);
  const rows = [];
  let number = 1;
  let shift = 0;
  const same = (to) => {
    for (; number < to; number++)
      rows.push({ kind: "same", a: number, b: number + shift, line: colours[number - 1] });
  };
  for (const { start, before, after } of hunks) {
    same(start);
    if (!before.length && !after.length) continue;
    const [old, fresh] = [before, after].map((side) =>
      highlighted(side.map(({ text: line }) => line).join("\n"), language),
    );
    rows.push({
      kind: "change",
      before: before.map(({ marked }, at) => ({ number: start + at, line: old[at], marked })),
      after: after.map(({ marked }, at) => ({
        number: start + shift + at,
        line: fresh[at],
        marked,
      })),
    });
    number = start + before.length;
    shift += after.length - before.length;
  }
  same(lines.length + (text.endsWith("\n") ? 0 : 1));
  return rows;
}

// of two single lines what they do not share at either end
function difference(before, after) {
  let from = 0;
  const least = Math.min(before.length, after.length);
  while (from < least && before[from] === after[from]) from++;
  let to = 0;
  while (to < least - from && before[before.length - 1 - to] === after[after.length - 1 - to]) to++;
  // whole words and numbers, which are easier to read than the digits that differ
  const inWord = (text, at) => /[A-Za-z0-9_.]/.test(text[at] ?? "");
  while (from > 0 && inWord(before, from - 1) && (inWord(before, from) || inWord(after, from)))
    from--;
  const ends = () => [before.length - to, after.length - to];
  while (
    to > 0 &&
    inWord(before, ends()[0]) &&
    (inWord(before, ends()[0] - 1) || inWord(after, ends()[1] - 1))
  )
    to--;
  return { from, before: Math.max(from, ends()[0]), after: Math.max(from, ends()[1]) };
}
