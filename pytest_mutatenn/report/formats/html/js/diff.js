// A change on the page: unified or side by side, with context and line numbers.

const CONTEXT = 4;

function diffBox({ source, edits }, label) {
  const rows = rowsOf(source.text, edits, source.language);
  const box = h("div", { class: "diff", role: "region", "aria-label": label, tabindex: 0 });
  const wide = () => (state.now.get("diff") ?? "unified") === "side";
  const button = (kind, name) =>
    h(
      "button",
      {
        type: "button",
        "data-diff": kind,
        onclick: () => {
          adjust({ diff: kind === "side" ? "side" : null });
          show();
        },
      },
      name,
    );
  const buttons = [button("unified", "Unified"), button("side", "Side by side")];
  let opened = new Set();
  function show() {
    buttons.forEach((one) =>
      one.setAttribute("aria-pressed", String((one.dataset.diff === "side") === wide())),
    );
    box.classList.toggle("side", wide());
    replace(
      box,
      folds(rows, opened).map((part) =>
        part.hidden
          ? h(
              "button",
              {
                type: "button",
                class: "fold",
                onclick: () => {
                  opened = new Set([...opened, part.at]);
                  show();
                },
              },
              `⋯ ${countOf(part.hidden, "unchanged line")}`,
            )
          : part.rows.map((row) => (wide() ? sideRows(row) : unifiedRows(row))),
      ),
    );
  }
  show();
  return h(
    "div",
    { class: "diffbox" },
    h(
      "div",
      { class: "diffhead" },
      h("span", null, `${source.stage} · ${source.name}`, h("small", null, ` ${source.language}`)),
      h("span", { class: "switch", role: "group", "aria-label": "form" }, buttons),
    ),
    box,
  );
}

// runs of unchanged lines that are far from a change are folded
function folds(rows, opened) {
  const near = rows.map(() => false);
  rows.forEach((row, at) => {
    if (row.kind === "change")
      for (let i = at - CONTEXT; i <= at + CONTEXT; i++) if (i in near) near[i] = true;
  });
  const parts = [];
  rows.forEach((row, at) => {
    const last = parts[parts.length - 1];
    if (last && last.near === near[at]) last.rows.push(row);
    else parts.push({ at, near: near[at], rows: [row] });
  });
  return parts.map((part) =>
    part.near || part.rows.length < 3 || opened.has(part.at)
      ? part
      : { at: part.at, hidden: part.rows.length },
  );
}

function codeLine(kind, a, b, line, marked) {
  const sign = { same: " ", old: "−", fresh: "+" }[kind];
  return h(
    "div",
    { class: `codeline ${kind}` },
    h("span", { class: "no", "data-no": a ?? "" }),
    h("span", { class: "no", "data-no": b ?? "" }),
    h("span", { class: "sign" }, sign),
    h("code", null, coloured(line, marked, kind === "old" ? "del" : "ins")),
  );
}

function unifiedRows(row) {
  if (row.kind === "same") return codeLine("same", row.a, row.b, row.line, []);
  return [
    ...row.before.map((side) => codeLine("old", side.number, null, side.line, side.marked)),
    ...row.after.map((side) => codeLine("fresh", null, side.number, side.line, side.marked)),
  ];
}

function sideRows(row) {
  const half = (kind, number, line, marked) =>
    h(
      "div",
      { class: `half ${kind}` },
      h("span", { class: "no", "data-no": number ?? "" }),
      h("span", { class: "sign" }, { same: " ", old: "−", fresh: "+", none: " " }[kind]),
      h("code", null, line ? coloured(line, marked, kind === "old" ? "del" : "ins") : ""),
    );
  const pair = (left, right) => h("div", { class: "pair" }, left, right);
  if (row.kind === "same")
    return pair(half("same", row.a, row.line, []), half("same", row.b, row.line, []));
  const height = Math.max(row.before.length, row.after.length);
  return Array.from({ length: height }, (_, at) => {
    const [old, fresh] = [row.before[at], row.after[at]];
    return pair(
      old ? half("old", old.number, old.line, old.marked) : half("none"),
      fresh ? half("fresh", fresh.number, fresh.line, fresh.marked) : half("none"),
    );
  });
}

// where only the line is known
function lineDiff(before, after, language) {
  const { from, before: a, after: b } = difference(before, after);
  const part = (kind, text, to) =>
    highlighted(text, language).map((line, at) =>
      codeLine(kind, null, null, line, at === 0 && to > from ? [[from, to]] : []),
    );
  return h(
    "div",
    { class: "diffbox" },
    h("div", { class: "diff lines" }, part("old", before, a), part("fresh", after, b)),
  );
}
