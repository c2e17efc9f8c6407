//! Files of one member that know each other in a circle: at most four, and ARCHITECTURE names each and says why.
//!
//! A file knows another if it names something of it, by an import or by a path. Passing something on (`pub use`) is not knowing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MOST: usize = 4;

/// A module's path within its member; empty is the root.
type Module = Vec<String>;

/// A member's modules, each a file.
struct Member {
    /// Code without comments and tests.
    files: BTreeMap<Module, String>,
    /// What each passes on, by its name.
    passed_on: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        if ["tests", "testing"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            add_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code(text: &str) -> String {
    // Whatever else they are built under.
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths in a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, Some(group.trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let segments = head.split("::").map(str::trim).filter(|segment| !segment.is_empty());
    let head: Vec<_> = before.iter().cloned().chain(segments.map(str::to_owned)).collect();
    let Some(group) = group else { return paths.push(head) };
    let (mut depth, mut part) = (0, String::new());
    for c in group.chars().chain([',']) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    // A group that was cut at its last brace has it again.
                    let balanced = "}".repeat(part.matches('{').count() - part.matches('}').count());
                    expand(&(part.clone() + &balanced), &head, paths);
                }
                part.clear();
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
}

/// The imports in a file, each with whether it is passed on, and the code without them.
fn imports(code: &str) -> (Vec<(bool, Vec<String>)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let start =
            statement.rfind("\nuse ").or_else(|| statement.rfind("\npub use ")).or_else(|| statement.rfind(") use "));
        match start {
            Some(start) => {
                let (before, import) = statement.split_at(start);
                let tree = import.split_once("use ").map(|(_, tree)| tree.trim_end_matches(';')).unwrap_or_default();
                let mut paths = Vec::new();
                expand(tree, &[], &mut paths);
                let passed_on = import.contains("pub use ") || import.starts_with(')');
                found.extend(paths.into_iter().map(|path| (passed_on, path)));
                rest.push_str(before);
            }
            None => rest.push_str(statement),
        }
    }
    (found, rest)
}

/// The paths in code that begin with one of these names.
fn paths_from(code: &str, names: &BTreeSet<&str>) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let paths = code.split(|c| !is_path(c)).filter(|path| path.contains("::"));
    let paths = paths.map(|path| path.split("::").map(str::to_owned).collect::<Vec<_>>());
    paths.filter(|path| path.first().is_some_and(|first| names.contains(first.as_str()))).collect()
}

impl Member {
    fn read(folder: &Path) -> Self {
        let src = folder.join("src");
        let mut paths = Vec::new();
        add_files(&src, &mut paths);
        let mut member = Self { files: BTreeMap::new(), passed_on: BTreeMap::new() };
        for path in paths {
            let relative = path.strip_prefix(&src).expect("below it").with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().expect("text").to_owned()).collect();
            if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                module.pop();
            }
            let code = code(&fs::read_to_string(&path).expect("a source"));
            let passed_on = imports(&code).0.into_iter().filter(|(passed_on, _)| *passed_on);
            let passed_on = passed_on.filter_map(|(_, path)| Some((path.last()?.clone(), path))).collect();
            member.passed_on.insert(module.clone(), passed_on);
            member.files.insert(module, code);
        }
        member
    }

    /// The module that has what a path means there.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Module::new(), rest.get(1..)?),
            "self" => rest = rest.get(1..)?,
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    at.pop()?;
                    rest = rest.get(1..)?;
                }
            }
            _ => {}
        }
        while let Some(child) = rest.first().map(|first| [&at[..], std::slice::from_ref(first)].concat()) {
            if !self.files.contains_key(&child) {
                break;
            }
            (at, rest) = (child, rest.get(1..)?);
        }
        let passed_on = rest.first().and_then(|first| self.passed_on.get(&at)?.get(first));
        match passed_on {
            Some(target) if depth < 8 => {
                let target: Vec<_> = target.iter().chain(rest.iter().skip(1)).cloned().collect();
                self.resolve(&at, &target, depth + 1).or(Some(at))
            }
            _ => Some(at),
        }
    }

    fn known_by(&self, module: &Module, code: &str) -> BTreeSet<Module> {
        let (imports, rest) = imports(code);
        let children = self.files.keys().filter(|child| child.len() == module.len() + 1 && child.starts_with(module));
        let mut names: BTreeSet<&str> = children.filter_map(|child| child.last()).map(String::as_str).collect();
        names.extend(["crate", "super", "self"]);
        let words: BTreeSet<_> = rest.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let used = |passed_on: bool, path: &[String]| {
            let name = path.last().map(String::as_str).unwrap_or_default();
            (!passed_on || words.contains(name)) && path.first().is_some_and(|first| names.contains(first.as_str()))
        };
        let imports = imports.into_iter().filter(|(passed_on, path)| used(*passed_on, path)).map(|(_, path)| path);
        let paths = imports.chain(paths_from(&rest, &names));
        paths.filter_map(|path| self.resolve(module, &path, 0)).filter(|other| other != module).collect()
    }

    /// Each circle once.
    fn circles(&self) -> BTreeSet<BTreeSet<&Module>> {
        let known: BTreeMap<_, _> =
            self.files.iter().map(|(module, code)| (module, self.known_by(module, code))).collect();
        let reached = |from: &Module| {
            let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
            while let Some(module) = waiting.pop() {
                for next in known.get(module).into_iter().flatten() {
                    if reached.insert(next) {
                        waiting.push(next);
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<_, _> = self.files.keys().map(|module| (module, reached(module))).collect();
        let reaches = |from: &Module, to: &Module| reached.get(from).is_some_and(|reached| reached.contains(to));
        let circle = |of: &Module| self.files.keys().filter(|it| reaches(of, it) && reaches(it, of)).collect();
        self.files.keys().map(circle).filter(|circle: &BTreeSet<_>| circle.len() > 1).collect()
    }
}

#[test]
fn circles_of_files_are_small_and_each_is_named_with_its_reason() {
    let architecture = fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("a document");
    let named =
        architecture.split("**Circles.**").nth(1).and_then(|text| text.split("\n\n").next()).expect("a paragraph");
    let mut circles = 0;
    for folder in fs::read_dir(workspace().join("crates")).expect("a folder") {
        let folder = folder.expect("an entry").path();
        let member = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let reasons = named.split("\n- ").find(|part| part.starts_with(&format!("`{member}`:"))).unwrap_or_default();
        for circle in Member::read(&folder).circles() {
            let names: Vec<_> = circle.iter().map(|module| format!("`{}`", module.join("/"))).collect();
            assert!(names.len() <= MOST, "{member} has a circle of {} files: {}", names.len(), names.join(", "));
            for name in &names {
                assert!(reasons.contains(name), "ARCHITECTURE does not say why {member} has {}", names.join(", "));
            }
            circles += 1;
        }
    }
    // A rule that sees nothing holds always.
    assert!(circles > 5, "{circles} circles were found");
}
