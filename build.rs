//! Embeds `pipelines/` and `manifests/`, so that an installed or containerised `redpajama` has
//! them: a new slice's files are found by being there.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut names = Vec::new();
    for folder in ["pipelines", "manifests"] {
        println!("cargo:rerun-if-changed={folder}");
        find(&root, Path::new(folder), &mut names)?;
    }
    names.sort();
    let mut code = String::from("&[\n");
    for name in names {
        let path = root.join(&name);
        // Writing to a string cannot fail.
        let _ = writeln!(code, "    ({name:?}, include_str!({path:?})),");
    }
    code.push_str("]\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"), code)
}

fn find(root: &Path, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            println!("cargo:rerun-if-changed={}", name.display());
            find(root, &name, names)?;
        } else if name.extension().is_some_and(|ending| ending == "yaml") {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
