// Code in colour: what a word is, by the language's own rules, line by line.

const WORDS_OF = {
  tvmscript:
    "def for in with if elif else while return and or not is as from import class lambda True False None pass range",
  c: "void int char short long float double unsigned signed const static inline extern struct union enum typedef sizeof return if else for while do switch case default break continue goto restrict volatile register",
  opencl:
    "__kernel kernel __global global __local local __constant constant __private private barrier __attribute__",
  cuda: "__global__ __device__ __shared__ __restrict__ __launch_bounds__ __forceinline__ template typename class namespace using nullptr",
  llvm: "define declare ret br label switch call invoke load store getelementptr inbounds alloca phi select icmp fcmp add fadd sub fsub mul fmul fdiv sdiv udiv srem urem shl lshr ashr and or xor trunc zext sext fptrunc fpext fptosi sitofp uitofp bitcast ptrtoint inttoptr insertelement extractelement shufflevector tail nsw nuw fast contract align to eq ne slt sle sgt sge ult ule ugt uge oeq olt ole ogt oge une volatile atomic private internal global constant unnamed_addr attributes target datalayout triple void float double half ptr x",
  asm: "",
};
const C_WORDS = `${WORDS_OF.c} bool size_t ptrdiff_t true false NULL`;
const KEYWORDS = {
  tvmscript: WORDS_OF.tvmscript,
  c: C_WORDS,
  opencl: `${C_WORDS} ${WORDS_OF.opencl}`,
  cuda: `${C_WORDS} ${WORDS_OF.cuda}`,
  llvm: WORDS_OF.llvm,
  asm: WORDS_OF.asm,
};

const NUMBER = /0[xX][0-9a-fA-F]+[uUlL]*|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFuUlL]*/
  .source;
const C_LIKE = {
  comment: /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/.source,
  string: /"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?/.source,
  mark: /#[^\n]*/.source,
  name: /[A-Za-z_][A-Za-z0-9_]*/.source,
};
const RULES = {
  tvmscript: {
    comment: /#[^\n]*/.source,
    string: /"""[\s\S]*?(?:"""|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?/.source,
    mark: /@[A-Za-z_][A-Za-z0-9_.]*/.source,
    name: /[A-Za-z_][A-Za-z0-9_]*/.source,
  },
  c: C_LIKE,
  opencl: C_LIKE,
  cuda: C_LIKE,
  llvm: {
    comment: /;[^\n]*/.source,
    string: /c?"[^"\n]*"?/.source,
    mark: /[%@!#][A-Za-z0-9_.$-]+/.source,
    name: /[A-Za-z_][A-Za-z0-9_.]*/.source,
  },
  asm: {
    comment: /[#;][^\n]*|\/\/[^\n]*/.source,
    string: /"[^"\n]*"?/.source,
    mark: /\.[A-Za-z_][A-Za-z0-9_.]*|%[a-z0-9]+/.source,
    name: /[A-Za-z_.$][A-Za-z0-9_.$]*/.source,
  },
};

const languageOf = memory((name) => {
  const known = RULES[name] ? name : "c";
  const { comment, string, mark, name: word } = RULES[known];
  return {
    pattern: new RegExp(`(${comment})|(${string})|(${mark})|(${word})|(${NUMBER})`, "g"),
    keywords: new Set(KEYWORDS[known].split(" ")),
    namespaces: new Set(known === "tvmscript" ? ["T", "R", "I", "tir", "relax"] : []),
  };
});

// the lines of a text, each a list of [text, class]
function highlighted(text, language) {
  const { pattern, keywords, namespaces } = languageOf(language);
  const lines = [[]];
  const add = (part, kind) => {
    part.split("\n").forEach((piece, at) => {
      if (at) lines.push([]);
      if (piece) lines[lines.length - 1].push([piece, kind]);
    });
  };
  let done = 0;
  let after = ""; // the namespace before a dot, as in T.max
  for (const found of text.matchAll(pattern)) {
    const between = text.slice(done, found.index);
    add(between, null);
    done = found.index + found[0].length;
    const [all, comment, string, mark, word] = found;
    let kind = "num";
    if (comment !== undefined) kind = "com";
    else if (string !== undefined) kind = "str";
    else if (mark !== undefined) kind = "mark";
    else if (word !== undefined) {
      const member = between === "." && namespaces.has(after);
      if (member || (namespaces.has(word) && text[done] === ".")) kind = "api";
      else kind = keywords.has(word) ? "key" : null;
    }
    add(all, kind);
    after = word ?? "";
  }
  add(text.slice(done), null);
  return lines;
}

// a line as nodes; `marked` are ranges of it, [from, to), that changed
function coloured(line, marked, change) {
  const nodes = [];
  let at = 0;
  for (const [text, kind] of line) {
    let from = 0;
    while (from < text.length) {
      const position = at + from;
      const inside = marked.find(([a, b]) => position >= a && position < b);
      const next = inside
        ? inside[1]
        : Math.min(...marked.map(([a]) => a).filter((a) => a > position), Infinity);
      const to = Math.min(text.length, next - at);
      const classes = [kind && `c-${kind}`, inside && change].filter(Boolean).join(" ");
      const piece = text.slice(from, to);
      nodes.push(classes ? h("span", { class: classes }, piece) : piece);
      from = to;
    }
    at += text.length;
  }
  return nodes;
}
