//! Builds the clients in other languages that end-to-end tests run. A machine without their tools
//! skips those tests, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::say;
use crate::shell::{self, Failure};

/// What tells the tests where a client is, and where.
pub(crate) type Built = Vec<(&'static str, String)>;

const JAVA: &str = "tests/e2e/java";
const GO: &str = "tests/e2e/go";
const JAVASCRIPT: &str = "tests/e2e/javascript";

/// Builds all that can be built here.
pub(crate) fn build() -> Result<Built, Failure> {
    let mut built = Built::new();
    if let Some(classes) = java()? {
        built.push(("PANGEA_JAVA_CLASSES", classes));
    }
    if let Some(program) = go()? {
        built.push(("PANGEA_GO_CLIENT", program.to_string_lossy().into_owned()));
    }
    if let Some(folder) = javascript()? {
        built.push(("PANGEA_JAVASCRIPT", folder.to_string_lossy().into_owned()));
    }
    Ok(built)
}

/// The class path of the Java clients, with what Maven installs for them.
fn java() -> Result<Option<String>, Failure> {
    if !there("Java", &[&["javac", "-version"], &["mvn", "--version"]]) {
        return Ok(None);
    }
    let source = shell::root().join(JAVA);
    let built = shell::target()?.join("clients/java");
    let (classpath, stamp) = (built.join("classpath"), built.join("installed"));
    // Maven takes seconds to see that nothing is to be done. The stamp is what it was done for.
    let version = shell::output(Command::new("java").arg("--version"))?;
    let wanted = format!("{version}{}", text_below(&source)?);
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut maven = shell::program_in_root("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(source.join("pom.xml"));
        maven.arg(format!("-Dbuilt={}", built.display()));
        maven.args(["compiler:compile", "dependency:build-classpath"]);
        maven.arg(format!("-Dmdep.outputFile={}", classpath.display()));
        if !shell::succeeds(&mut maven)? {
            return Ok(unbuilt("Java"));
        }
        fs::write(&stamp, wanted).map_err(|error| unreadable(&stamp, &error))?;
    }
    let libraries = fs::read_to_string(&classpath);
    let libraries = libraries.map_err(|error| unreadable(&classpath, &error))?;
    Ok(Some(format!("{}:{}", built.join("classes").display(), libraries.trim())))
}

/// The Go client; Go itself sees what is to be done.
fn go() -> Result<Option<PathBuf>, Failure> {
    if !there("Go", &[&["go", "version"]]) {
        return Ok(None);
    }
    let program = shell::target()?.join("clients/go-client");
    let mut build = shell::program_in_root("go");
    build.current_dir(shell::root().join(GO)).args(["build", "-o"]).arg(&program).arg(".");
    Ok(if shell::succeeds(&mut build)? { Some(program) } else { unbuilt("Go") })
}

/// A copy of the JavaScript clients, beside the packages that npm installs for them: modules are
/// looked for where a program is, and the sources' own folder is kept free of them.
fn javascript() -> Result<Option<PathBuf>, Failure> {
    if !there("JavaScript", &[&["node", "--version"], &["npm", "--version"]]) {
        return Ok(None);
    }
    let source = shell::root().join(JAVASCRIPT);
    let built = shell::target()?.join("clients/javascript");
    fs::create_dir_all(&built).map_err(|error| unreadable(&built, &error))?;
    let entries = fs::read_dir(&source).map_err(|error| unreadable(&source, &error))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let copy = built.join(path.file_name().unwrap_or_default());
        fs::copy(&path, copy).map_err(|error| unreadable(&path, &error))?;
    }
    // npm installs anew whenever it is asked to. The stamp is what it was done for.
    let stamp = built.join("installed");
    let lock = built.join("package-lock.json");
    let lock = fs::read_to_string(&lock).map_err(|error| unreadable(&lock, &error))?;
    let wanted = format!("{}{lock}", shell::output(Command::new("node").arg("--version"))?);
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut npm = shell::program_in_root("npm");
        npm.current_dir(&built).args(["ci", "--ignore-scripts", "--loglevel=error"]);
        if !shell::succeeds(&mut npm)? {
            return Ok(unbuilt("JavaScript"));
        }
        fs::write(&stamp, wanted).map_err(|error| unreadable(&stamp, &error))?;
    }
    Ok(Some(built))
}

fn there(language: &str, probes: &[&[&str]]) -> bool {
    let missing = probes
        .iter()
        .find(|probe| !shell::quietly(Command::new(probe[0]).args(&probe[1..])))
        .map(|probe| probe[0]);
    if let Some(program) = missing {
        say::problem(&format!("no {program}: tests of clients in {language} are skipped"));
    }
    missing.is_none()
}

fn unbuilt<T>(language: &str) -> Option<T> {
    say::problem(&format!(
        "the clients in {language} cannot be built (is their registry reached?): their tests are \
         skipped"
    ));
    None
}

/// All files below a folder, one after the other, in an order that does not change.
fn text_below(folder: &Path) -> Result<String, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        text += &if path.is_dir() {
            text_below(&path)?
        } else {
            fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?
        };
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
