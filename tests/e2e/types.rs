//! What the types forbid: a path around redaction does not compile.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Compiles a file against the library that this test was built with; what the compiler says.
fn compile(case: &Path) -> Result<(bool, String)> {
    let test = env::current_exe()?;
    let dependencies = test.parent().context("a test outside of a target folder")?;
    let library = newest_library(dependencies)?;
    let out = tempfile::tempdir()?;
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit=metadata", "--crate-name", "case"])
        .arg("--extern")
        .arg(format!("fintail={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("--out-dir")
        .arg(out.path())
        .arg(case)
        .output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The library that was built last: cargo puts a hash into its name, and leaves those of earlier builds beside it.
fn newest_library(dependencies: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dependencies)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hash = name.strip_prefix("libfintail-").and_then(|rest| rest.strip_suffix(".rlib"));
        if hash.is_some() {
            found.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    found.into_iter().max().map(|(_, path)| path).context("libfintail is not built")
}

#[test]
fn a_way_around_redaction_does_not_compile() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compile_fail");
    let (compiles, said) = compile(&folder.join("control.rs"))?;
    ensure!(compiles, "the control case must compile, or the others fail for the wrong reason:\n{said}");
    let mut cases = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let Some(expected) = text.lines().next().and_then(|line| line.strip_prefix("//! error: ")) else {
            continue;
        };
        cases += 1;
        let (compiles, said) = compile(&path)?;
        ensure!(
            !compiles && said.contains(expected),
            "{}: wanted \"{expected}\", got\n{said}",
            path.display()
        );
    }
    assert_eq!(cases, 3);
    Ok(())
}
