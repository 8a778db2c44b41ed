//! Owns what a server is made of: jars from Maven Central and our compiled launcher, in a cache outside the clone.
//! Must not know how a server is started.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The files of `tests/servers` that make one server; they lie in the test binary, so that a run needs no source tree.
#[derive(Debug)]
pub struct Recipe {
    /// Name of the server's folder in the cache.
    pub name: &'static str,
    /// Which artifacts Maven is to fetch.
    pub pom: &'static str,
    /// File name and text of each Java source.
    pub sources: &'static [(&'static str, &'static str)],
    /// log4j2 properties, one for all servers.
    pub log_config: &'static str,
}

/// A server ready to be started.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Class path of the JVM.
    pub class_path: String,
    /// log4j2 properties file.
    pub log_config: PathBuf,
    /// The JVM's option for its archive of loaded classes (CDS), which halves the time to start.
    pub archive_option: String,
}

/// Takes the parts from the cache; what is missing is fetched and compiled first, once for all test processes. `train` runs
/// the server once, so that the JVM archives at its end what it has loaded.
pub fn ready(recipe: &Recipe, train: impl FnOnce(Parts) -> Result<()>) -> Result<Parts> {
    let cache = cache_folder()?.join(recipe.name);
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let lock = File::create(cache.join("lock")).context("lock of the test cache")?;
    lock.lock().context("lock of the test cache")?;

    let jars = cache.join(format!("jars-{:016x}", hash(&recipe.pom)));
    built(&jars, |folder| fetch(recipe, folder))?;
    // the launcher is compiled against these jars, and the archive is good for both
    let key = hash(&(recipe.pom, recipe.sources, recipe.log_config));
    let launcher = cache.join(format!("launcher-{key:016x}"));
    built(&launcher, |folder| compile(recipe, &jars, folder))?;
    let parts = |archive_option| Parts {
        class_path: format!("{}:{}/*", launcher.join("launcher.jar").display(), jars.display()),
        log_config: launcher.join("log4j2.properties"),
        archive_option,
    };
    let archive = cache.join(format!("archive-{key:016x}"));
    built(&archive, |folder| {
        train(parts(format!("-XX:ArchiveClassesAtExit={}", folder.join("classes.jsa").display())))
    })?;
    // an archive of another JVM, or none, is passed over by the JVM itself
    Ok(parts(format!("-XX:SharedArchiveFile={}", archive.join("classes.jsa").display())))
}

fn cache_folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FINTAIL_TEST_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("fintail-tests")))
        .or_else(|| Some(set("HOME")?.join(".cache/fintail-tests")))
        .context("no place for the test cache: set FINTAIL_TEST_CACHE")
}

/// Fills `folder` by way of a neighbour and a rename: a folder of that name is whole, whenever a run was cut short.
fn built(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    }
    fs::create_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    fill(&unfinished)?;
    fs::rename(&unfinished, folder).with_context(|| folder.display().to_string())
}

fn fetch(recipe: &Recipe, folder: &Path) -> Result<()> {
    let project = tempfile::Builder::new().prefix("fintail-pom-").tempdir()?;
    let pom = project.path().join("pom.xml");
    fs::write(&pom, recipe.pom)?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "dependency:copy-dependencies"]);
    maven.arg("--file").arg(&pom).arg(format!("-DoutputDirectory={}", folder.display()));
    run(&mut maven, "maven")
}

fn compile(recipe: &Recipe, jars: &Path, folder: &Path) -> Result<()> {
    let work = tempfile::Builder::new().prefix("fintail-java-").tempdir()?;
    let classes = work.path().join("classes");
    let mut compiler = Command::new("javac");
    compiler.args(["-nowarn", "-Xlint:none", "-encoding", "UTF-8", "-cp"]).arg(jars.join("*"));
    compiler.arg("-d").arg(&classes);
    for (name, text) in recipe.sources {
        let path = work.path().join(name);
        fs::write(&path, text)?;
        compiler.arg(path);
    }
    run(&mut compiler, "openjdk-17-jdk-headless")?;
    // a jar, since the JVM archives no classes that come from a folder
    let mut packer = Command::new("jar");
    packer.arg("--create").arg("--file").arg(folder.join("launcher.jar")).arg("-C").arg(&classes).arg(".");
    run(&mut packer, "openjdk-17-jdk-headless")?;
    fs::write(folder.join("log4j2.properties"), recipe.log_config)?;
    Ok(())
}

/// Runs a tool to its end; a tool that is not installed is named with the Debian package that holds it.
fn run(command: &mut Command, package: &str) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(&program, package)),
        Err(error) => return Err(error).with_context(|| program.display().to_string()),
    };
    if !output.status.success() {
        bail!(
            "{} ended with {}\n{}{}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// What a test says where a tool is not installed.
pub(crate) fn missing(program: &OsStr, package: &str) -> anyhow::Error {
    anyhow::anyhow!("{} is not installed: `apt-get install {package}`, or run tests/run", program.display())
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let error = run(&mut Command::new("no-such-tool"), "its-package").unwrap_err().to_string();
        assert_eq!(error, "no-such-tool is not installed: `apt-get install its-package`, or run tests/run");
    }

    #[test]
    fn a_folder_filled_by_half_is_not_taken_for_whole() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("jars");
        built(&folder, |unfinished| {
            fs::write(unfinished.join("half"), "")?;
            bail!("cut short")
        })
        .unwrap_err();
        assert!(!folder.exists());
        built(&folder, |fresh| Ok(fs::write(fresh.join("whole"), "")?)).unwrap();
        assert!(folder.join("whole").exists() && !folder.join("half").exists());
    }
}
