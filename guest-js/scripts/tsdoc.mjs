// node scripts/tsdoc.mjs: whether what the package exports is told about, and what is told can be true: every member has a
// comment, every `@param` a parameter of its name, every `{@link}` something that it leads to.
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";

const root = join(import.meta.dirname, "..");
const src = join(root, "src");
const entries = Object.keys(exportsOf(join(root, "package.json")));
const program = ts.createProgram(entries, {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  jsx: ts.JsxEmit.ReactJSX,
  skipLibCheck: true,
  noEmit: true,
});
const checker = program.getTypeChecker();
const problems = [];
const seen = new Set();

for (const entry of entries) {
  const file = program.getSourceFile(entry);
  const module = file && checker.getSymbolAtLocation(file);
  if (!module) throw new Error(`${entry} exports nothing`);
  for (const symbol of checker.getExportsOfModule(module)) visit(original(symbol));
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`tsdoc: ${seen.size} exported names and members`);

/** The source of each entry of `package.json`. */
function exportsOf(file) {
  const { exports } = JSON.parse(ts.sys.readFile(file));
  const sources = readdirSync(src);
  const found = {};
  for (const entry of Object.values(exports)) {
    const built = entry.types?.split("dist-js/")[1]?.replace(/\.d\.ts$/, "");
    if (!built) continue;
    const name = sources.find((it) => it === `${built}.ts` || it === `${built}.tsx`) ?? `${built}.ts`;
    found[join(src, name)] = true;
  }
  return found;
}

/** What an export stands for, wherever it was declared. */
function original(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

function visit(symbol) {
  if (seen.has(symbol)) return;
  seen.add(symbol);
  for (const declaration of symbol.declarations ?? []) {
    const file = declaration.getSourceFile();
    if (!file.fileName.startsWith(src)) return;
    if (!told(declaration)) report(declaration, `${symbol.name} has no comment`);
    for (const comment of ts.getJSDocCommentsAndTags(declaration)) links(comment);
    params(declaration, symbol);
    if (ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)) members(declaration);
  }
}

function members(declaration) {
  for (const member of declaration.members) {
    const isHidden =
      ts.getCombinedModifierFlags(member) & (ts.ModifierFlags.Private | ts.ModifierFlags.Override);
    const isNamed = member.name && !ts.isPrivateIdentifier(member.name);
    const symbol = isNamed && !isHidden && checker.getSymbolAtLocation(member.name);
    if (symbol) visit(symbol);
  }
}

/** Whether it has a comment; of a variable or an overload one is enough. */
function told(declaration) {
  const symbol = declaration.name && checker.getSymbolAtLocation(declaration.name);
  return (symbol?.getDocumentationComment(checker).length ?? 1) > 0;
}

function links(node) {
  for (const child of node.getChildren()) links(child);
  if (!ts.isJSDocLink(node) || !node.name) return;
  if (!checker.getSymbolAtLocation(node.name)) report(node, `{@link ${node.name.getText()}} leads nowhere`);
}

function params(declaration, symbol) {
  const names = new Set((declaration.parameters ?? []).map((it) => it.name.getText()));
  for (const tag of ts.getJSDocTags(declaration)) {
    if (!ts.isJSDocParameterTag(tag) || names.has(tag.name.getText())) continue;
    report(tag, `${symbol.name} has no parameter ${tag.name.getText()}`);
  }
}

function report(node, what) {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  problems.push(`${relative(root, file.fileName)}:${line + 1}: ${what}`);
}
